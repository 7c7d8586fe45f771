"""An HTTP/1.1 server for a WSGI app, in which no thread waits for a client.

Connections wait in one epoll; whichever thread of the pool wakes with one that is ready reads what is there,
and answers when a request is complete. The parser is llhttp's (``httptools``).
"""

from minga_node.server.http.answers import AnswerStream, FileWrapper
from minga_node.server.http.limits import Limits
from minga_node.server.http.server import HttpServer

__all__ = ["AnswerStream", "FileWrapper", "HttpServer", "Limits"]
