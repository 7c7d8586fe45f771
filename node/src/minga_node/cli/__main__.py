"""``python -m minga_node.cli``."""

from minga_node.cli.main import main

main()
