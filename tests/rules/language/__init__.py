"""The rule language, from its text to what it decides."""
