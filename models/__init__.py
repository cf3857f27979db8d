"""What the system knows: the records on Kafka and the rule file, as contracts."""
