"""The account rules on Quix Streams: one process, durable state, started by `bench.pipeline`.

`python -m bench.quix_loop SERVERS PURCHASES DECISIONS GROUP STATE_FOLDER`. It is written as its documentation has it:
one stateful `apply` by the purchase's key, JSON in and out, state in RocksDB with a changelog topic, idempotent
producer with `acks=all`, at least once. Exact sliding windows over two lengths that give one answer each are not among
its own windows, so the log is kept in its state. It runs in an environment of its own: its dependencies and
Stopbank's exclude each other.
"""

from __future__ import annotations

import sys

from quixstreams import Application

from bench.quix_rules import decide

# Quix Streams is installed in another environment than the one that types are checked in.
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false

# Between two checkpoints: state and offsets are durable no earlier. By default it is 5 s, longer than most of a run.
COMMIT_INTERVAL_S = 1.0


def run(servers: str, purchases: str, decisions: str, group: str, state_folder: str) -> None:
    """Read, decide, send, until the process is ended."""
    app = Application(
        broker_address=servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_INTERVAL_S,
        processing_guarantee="at-least-once",
        state_dir=state_folder,
        auto_create_topics=True,
        loglevel="WARNING",
    )
    bought = app.dataframe(app.topic(purchases, value_deserializer="json"))
    bought.apply(decide, stateful=True).to_topic(app.topic(decisions, value_serializer="json"))
    app.run()


if __name__ == "__main__":
    run(*sys.argv[1:6])
