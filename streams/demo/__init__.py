"""The demo: a broker, two workers and a recording of purchases, on one machine, in about a minute."""
