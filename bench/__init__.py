"""Benchmarks: each prints its figures beside its baseline."""
