"""Self-contained pages: their look, their charts and how figures are written, whatever the report."""
