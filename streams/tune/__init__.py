"""Which values of a rule file's parameters would have done best on a recording."""
