"""`python -m offtake`."""

from offtake.cli.main import main

main()
