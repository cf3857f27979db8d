"""A seeded world of shoppers and fraudsters, and the files of events made from it."""

from streams.simulate.config import SimulationConfig
from streams.simulate.event_file import write_events
from streams.simulate.events import SimulatedEvent, Simulation
from streams.simulate.simulation import simulate

__all__ = [
    "SimulatedEvent",
    "Simulation",
    "SimulationConfig",
    "simulate",
    "write_events",
]
