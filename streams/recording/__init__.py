"""Recordings: Kafka topics in Parquet segments, with a manifest that says what must be there."""
