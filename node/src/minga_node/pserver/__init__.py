"""The answering end of gRPC: one module a service, and :mod:`.service` that runs them together.

``answering`` reads a request, looks at it and hands it on. ``calls`` (pure) says how many calls one caller
may have. ``members`` lets only peers in where they have certificates. The services call the parts that are
handed to them.

Threads: the loop ``streams``, shared with :mod:`minga_node.pclient`, reads and writes, so that nobody who
waits holds a thread. The pool ``grpc`` runs what the services do.

Locks: only the loop's: large requests are parsed one after the other. A service holds no lock while its
caller is waited for.

Lifetime: the server lives as long as its node. A call ends with its answer, its deadline or its caller.
"""
