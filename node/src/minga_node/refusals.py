"""Who was not taken for a peer, and why: in a word for the metric, in words for the log."""

from __future__ import annotations

import logging
import ssl
import threading
import time

from minga_node.metrics import PEERS_REFUSED

log = logging.getLogger(__name__)

SAY_SECONDS = 60.0
"""Refusals of one host for one reason are logged once in so long."""
EXPIRED = 10
"""The number of OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED."""

_HERE = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": ("no-certificate", "it shows no certificate"),
    "HTTP_REQUEST": ("no-tls", "it does not speak TLS"),
    "HTTPS_PROXY_REQUEST": ("no-tls", "it does not speak TLS"),
    "WRONG_VERSION_NUMBER": ("no-tls", "it does not speak TLS"),
    "RECORD_LAYER_FAILURE": ("no-tls", "it does not speak TLS"),
    "UNSUPPORTED_PROTOCOL": ("no-tls", "it does not speak TLS 1.3"),
    "UNEXPECTED_EOF_WHILE_READING": ("no-tls", "it ended the connection before TLS began"),
}
"""By OpenSSL's reason: what a listener finds wrong."""
_THERE = {
    "ALERT_CERTIFICATE_EXPIRED": "this node's certificate has expired",
    "ALERT_UNKNOWN_CA": "this node's certificate is of an authority that it does not know",
    "ALERT_CERTIFICATE_REQUIRED": "it asks for a certificate",
    "ALERT_BAD_CERTIFICATE": "it does not take this node's certificate",
    "ALERT_CERTIFICATE_UNKNOWN": "it does not take this node's certificate",
}
"""By the end of OpenSSL's reason: what the other side says it finds wrong."""


def refusal(error: OSError) -> tuple[str, str]:
    """Reason and words for a handshake that a listener ended."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == EXPIRED:
            return "expired", "its certificate has expired"
        return "untrusted", f"its certificate is not one of this network: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        alert = _alert(reason)
        return (
            ("untrusted", f"it refuses this node: {alert}")
            if alert
            else _HERE.get(reason, ("no-tls", f"no handshake of TLS: {reason or error}"))
        )
    return "no-tls", f"it ended the connection before TLS began ({error.strerror or error})"


def objection(error: OSError) -> str | None:
    """Why a connection by TLS to a peer failed, in words; None when that is no matter of TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == EXPIRED:
            return "its certificate has expired"
        return f"its certificate is not of the authority in ca.crt: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return _alert(error.reason or "") or f"it does not speak TLS as peers do ({error.reason or error})"
    return None


def _alert(reason: str) -> str | None:
    return next((words for end, words in _THERE.items() if reason.endswith(end)), None)


class Refusals:
    """Says and counts who was not let in. Whoever tries again and again is counted, and not said again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str], float] = {}

    def note(self, host: str, reason: str, about: str) -> None:
        """``reason`` is one of those of the metric; ``about`` says it in words."""
        PEERS_REFUSED.labels(reason).inc()
        now = time.monotonic()
        with self._lock:
            if now < self._said.get((host, reason), float("-inf")) + SAY_SECONDS:
                return
            if len(self._said) > 1000:
                self._said.clear()
            self._said[host, reason] = now
        log.warning("refused %s: %s", host, about)
