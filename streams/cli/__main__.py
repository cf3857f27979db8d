"""`python -m streams.cli`, where the script is not on the path."""

from streams.cli import main

main()
