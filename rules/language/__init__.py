"""The rule language: from YAML text to one compiled function a ruleset."""
