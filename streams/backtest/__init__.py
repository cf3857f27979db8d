"""What would have been: a recording under other rules, in canonical order."""
