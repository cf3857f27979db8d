"""Self-contained pages: their look and their charts, whatever the report."""
