"""One node of a Minga network: a client and a server at once, over REST, gRPC and a message broker.

Start with ``parts`` (what a node consists of), ``app`` (its start and its end) and ``main`` (the process).
Each package is a part or a channel. ``docs/architecture.md`` says which may know which.

Threads: whatever a node does by itself is a ``Worker`` (``workers``). All others belong to a pool or a loop
of one part. Each part's docstring names its own.

Locks: the library's, then the store's writer, then the locks that only guard memory. No callback of another
part runs under a lock.

Lifetime: a process runs one node, which is made, started and stopped once. What outlasts it is in the state
directory and in the shared directory.
"""
