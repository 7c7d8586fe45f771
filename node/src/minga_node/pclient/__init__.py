"""The calling end of gRPC: what one node asks another, one module a subject.

``channels`` keeps a channel for each target and turns gRPC's errors into ours. ``messages`` and ``peers``
translate between protocol buffers and the parts' own types. Membership, downloads and drain get these clients
handed in.

Threads: calls run in the caller's thread. All streams of the process share one asyncio loop, in the thread
``streams``. Asking everybody for their flows takes a pool that ends with the question.

Locks: one guards the table of channels, and is never held during a call. One guards the remembered flows; it
is held while all nodes are asked for them, a second at most, so that one question serves everybody who waits.

Lifetime: a channel lives until its target is forgotten, its credentials change, or the node ends. The loop
``streams`` ends with the process.
"""
