"""`python -m ganzoo` is the command `ganzoo`."""

from ganzoo.cli import main

main()
