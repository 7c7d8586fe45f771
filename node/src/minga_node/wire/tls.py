"""What both ends of a piece connection by TLS go by."""

from __future__ import annotations

import ssl

RECORD_BYTES = 16 * 1024
"""Bytes of a TLS record at most (RFC 8446, 5.1); OpenSSL takes and gives no more at a time."""
WAITING = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
