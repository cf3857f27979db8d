"""A seeded world of shoppers and fraudsters, and the recordings made from it."""

from streams.simulate.config import SimulationConfig
from streams.simulate.events import SimulatedEvent, Simulation
from streams.simulate.recording import InvalidRecording, read_recording, write_recording
from streams.simulate.simulation import simulate

__all__ = [
    "InvalidRecording",
    "SimulatedEvent",
    "Simulation",
    "SimulationConfig",
    "read_recording",
    "simulate",
    "write_recording",
]
