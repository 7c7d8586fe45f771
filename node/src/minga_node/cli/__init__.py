"""The command ``minga``: everything a person does with a network, through the REST of one of its nodes."""

from minga_node.cli.main import main

__all__ = ["main"]
