"""Brokers that Stopbank starts itself: a real Apache Kafka for tests and benchmarks, an embedded one for the demo."""
