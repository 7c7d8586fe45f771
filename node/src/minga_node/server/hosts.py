"""Whose page a browser shows while it asks this node: against DNS rebinding and acts by other sites. Pure.

A page of another site can make its own name stand for this node's address; then the browser takes the node's
answers for that site's own. Its requests carry that name as their ``Host``, so browsers are answered by names
that such a site cannot have. Programs (``curl``, peers, libraries) are answered by any name: no page of
another site moves them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

MARKS = ("Origin", "Referer", "Sec-Fetch-Site", "Accept", "Accept-Language", "User-Agent")
"""Headers that are looked at."""
LOCAL = (".localhost", ".local", ".internal", ".home.arpa", ".svc", ".test")
"""Endings that nobody can register in the public DNS (RFC 6761, 6762, 8375, and ICANN's reservation)."""


def by_browser(headers: Mapping[str, str]) -> bool:
    """Whether a browser asks, as far as it can be known.

    ``Sec-Fetch-Site`` is missing over plain HTTP, and ``Origin`` with most GETs; but no page can take the
    ``Accept-Language`` away that every browser sends (Fetch Standard, 4.5).
    """
    return (
        any(name in headers for name in ("Origin", "Sec-Fetch-Site", "Accept-Language"))
        or "text/html" in headers.get("Accept", "")
        or headers.get("User-Agent", "").startswith("Mozilla/")
    )


def name_of(host: str) -> str:
    """The name or address in a ``Host`` header, without its port, in small letters; empty for none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def nobody_elses(name: str) -> bool:
    """Whether no other site can have this name: an address, a name of one part, one of a local ending."""
    if "." not in name and ":" not in name:
        return bool(name)
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name.endswith(LOCAL)
    return True


def allowed(host: str, headers: Mapping[str, str], own: Callable[[], Iterable[str]]) -> bool:
    """Whether a request may be answered by the name it uses.

    Args:
        host: its ``Host`` header.
        own: names of this node in small letters; ``*.example.com`` is all below, ``*`` is any.
    """
    if not by_browser(headers):
        return True
    name = name_of(host)
    return nobody_elses(name) or any(_means(pattern, name) for pattern in own())


def _means(pattern: str, name: str) -> bool:
    return pattern in {"*", name} or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def by_another_site(host: str, headers: Mapping[str, str]) -> bool:
    """Whether a page of another site makes this request, or may: then it must not make the node do anything.

    A browser that says nothing of where it comes from (a typed address over plain HTTP, or a picture in a
    page that hides itself) counts as another site.
    """
    if (site := headers.get("Sec-Fetch-Site")) is not None:
        return site not in {"same-origin", "none"}
    if not by_browser(headers):
        return False
    origin = headers.get("Origin") or headers.get("Referer") or ""
    return urlsplit(origin).netloc.lower() != host.lower()
