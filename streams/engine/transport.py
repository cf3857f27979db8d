"""The Faust transport whose consumer delivers runs of records."""

from __future__ import annotations

from faust.transport.drivers import aiokafka as driver

from streams.engine.consumer import RunConsumer


class RunTransport(driver.Transport):
    """Faust's aiokafka transport with the consumer replaced; producer and conductor are Faust's own."""

    # Faust's type asks for its own base class, of which nothing would be used.
    Consumer = RunConsumer  # pyright: ignore[reportAssignmentType]
