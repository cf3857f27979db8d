"""A recording as a backtest reads it: its purchases as columns, in canonical order, joined with their labels."""
