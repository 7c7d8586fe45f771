"""An HTTP/1.1 server for a WSGI app, in which no thread waits for a client.

Connections wait in one epoll. Whichever thread of the pool wakes with a connection that is ready reads what
is there, and answers when a request is complete. ``incoming`` receives, ``parsing`` (no socket; llhttp by
``httptools``) and ``framing`` (pure) know the protocol, ``outgoing`` sends. ``lanes`` bounds how many
requests of one kind are worked at.

Threads: the pool ``rest N``, which grows as needed, and the worker ``rest clock``, which ends connections
that do not go on.

Locks: one for each connection, which says whose it is, one for each lane, one for the list of threads. None
is held during I/O or while the app runs.

Lifetime: a connection belongs to one thread at a time. It ends with its client, a deadline or the server; a
body's file ends with its request.
"""

from minga_node.server.http.answers import AnswerStream, FileWrapper
from minga_node.server.http.limits import Limits
from minga_node.server.http.server import HttpServer

__all__ = ["AnswerStream", "FileWrapper", "HttpServer", "Limits"]
