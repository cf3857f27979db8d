"""Replay: a recording's records through the same steps again, and what they give held against what was recorded."""
