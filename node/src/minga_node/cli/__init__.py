"""The command ``minga``: everything a person does with a network, through the REST of one of its nodes.

``main`` knows the commands. Each command is a module of its own, which asks ``client`` for answers and gives
them to ``output``. ``contexts`` and ``target`` say which node is asked. Only ``up`` starts nodes, by
:mod:`minga_node.local`.

Threads: the main one. ``get`` and ``put`` move several files at once by a pool, which ends with the command.

Locks: one guards what a table or a progress line shows, one the files of a download from several nodes.
Neither is held while the network is waited for.

Lifetime: a process runs one command. Contexts and tokens stay in the user's configuration directory.
"""

from minga_node.cli.main import main

__all__ = ["main"]
