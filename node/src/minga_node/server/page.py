"""The page for people at ``/``: files of this package, served as they are, from memory.

Modules, styles and drawings stand below an address that contains a digest of them all: nothing there ever
changes, so a browser keeps it, and another version of the node has another address.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath

from blake3 import blake3
from flask import Blueprint, Response, request

from minga_node.errors import NotFound
from minga_node.server.access import for_everybody

START = "index.html"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "media-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    # No text can become markup or code, whatever a script of ours should try (Trusted Types).
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
))
SAFETY = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # Other sites are told nothing; this node is told that its own page asks.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Assets:
    """The page's files by name, and one digest of all of them."""

    files: dict[str, bytes]
    digest: str

    @classmethod
    def load(cls) -> Assets:
        folder = files("minga_node") / "page"
        found = {item.name: item.read_bytes() for item in folder.iterdir() if _suffix(item.name) in TYPES}
        digest = blake3()
        for name in sorted(found):
            digest.update(f"{name}\0{len(found[name])}\0".encode())
            digest.update(found[name])
        return cls(found, digest.hexdigest()[:16])

    @property
    def start(self) -> bytes:
        """The document that refers to all others."""
        return self.files[START].replace(b"{assets}", f"page/{self.digest}".encode())


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix


def blueprint() -> Blueprint:
    routes = Blueprint("page", __name__)
    assets = Assets.load()
    start = assets.start

    @routes.get("/")
    @for_everybody
    def page() -> Response:
        response = _response(START, start, "no-cache")
        response.set_etag(assets.digest)
        response.make_conditional(request)
        return response

    @routes.get("/favicon.ico")
    @for_everybody
    def favicon() -> Response:
        return _response("mark.svg", assets.files["mark.svg"], "no-cache")

    @routes.get("/page/<digest>/<name>")
    @for_everybody
    def asset(digest: str, name: str) -> Response:
        if digest != assets.digest or name not in assets.files or name == START:
            raise NotFound("the page has no such file; load it again")
        return _response(name, assets.files[name], FOREVER)

    return routes


def _response(name: str, content: bytes, caching: str) -> Response:
    return Response(
        content, headers={**SAFETY, "Content-Type": TYPES[_suffix(name)], "Cache-Control": caching}
    )
