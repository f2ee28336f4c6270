"""``python -m tlbatch``."""

from tlbatch.cli import main

main()
