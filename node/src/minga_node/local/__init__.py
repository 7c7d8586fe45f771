"""A whole network on one machine: what ``minga up`` starts and ``minga down`` ends.

``spec`` says what the network is to be. ``broker`` runs RabbitMQ as a process or a container, ``network`` the
nodes, each a process of its own. ``samples`` makes files for them. ``record`` writes down what runs, so that
other commands find it. Only the command line calls this package.

Threads: one for each node, which relays its log lines and ends with the node's process.

Locks: none. The record is a file that is replaced as a whole.

Lifetime: nodes and broker live until ``minga up`` is interrupted, or until ``minga down`` ends them by the
record.
"""
