"""The pages: fields exist, defaults are the code's, searching finds, words are plain."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from mkdocs.commands.build import build
from mkdocs.config import load_config

from docs.reference import figures
from tests.docs import plain
from tests.docs.blocks import DOCS, REPOSITORY

PAGES = sorted(DOCS.rglob("*.md"))
RUNBOOKS = sorted((DOCS / "runbooks").glob("Minga*.md"))
CHART = REPOSITORY / "charts" / "minga"


def named(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_a_default_in_prose_is_that_of_the_code(path: Path) -> None:
    defaults = figures.defaults()
    for key, number in figures.told(path.read_text(encoding="utf-8")):
        assert defaults[key] == number, key


def test_a_default_that_changed_is_found() -> None:
    assert figures.told("after `dead_seconds` (16) it is dead") == [("dead_seconds", "16")]
    text = "`upload_slots` (<!-- default upload_slots -->9<!-- /default -->)"
    assert "-->8<!--" in figures.filled(text, {}, figures.defaults())


def fields(schema: dict[str, Any], path: str = "") -> set[str]:
    """Paths of all fields; one of free form (requests, labels) ends with ``.*``."""
    found = set()
    for name, below in schema.get("properties", {}).items():
        found |= {f"{path}{name}"} | fields(below, f"{path}{name}.")
        if below.get("type") == "object" and "properties" not in below:
            found.add(f"{path}{name}.*")
    return found


@functools.cache
def known_fields() -> frozenset[str]:
    definition = yaml.safe_load((CHART / "crds" / "p2pnetworks.yaml").read_text())
    network = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    values = json.loads((CHART / "values.schema.json").read_text())
    return frozenset(fields(network) | fields(values))


FIELD = re.compile(
    r"`(?:spec\.)?(?!\w+\.py`)((?:seeds|peers|sharing|broker|access|peerTls|monitoring|image|nodeImage)\.[A-Za-z.]+)"
)


@pytest.mark.parametrize("path", [*PAGES, REPOSITORY / "README.md"], ids=named)
def test_fields_that_a_page_names_exist(path: Path) -> None:
    named = {found.rstrip(".") for found in FIELD.findall(path.read_text(encoding="utf-8"))}
    known = known_fields()
    assert {one for one in named if not known & {one, f"{one.rpartition('.')[0]}.*"}} == set()


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_reaches_a_pod_by_kubectl(path: Path) -> None:
    """No pod has an address that a person could put for URL."""
    text = path.read_text(encoding="utf-8")
    assert "--node URL" not in text
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == [
        "What it means",
        "Where to look",
        "What to do",
        "When it is over",
    ]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The documents of the site's search index. The hooks only bring a script for diagrams."""
    site = tmp_path_factory.mktemp("site")
    config = load_config(str(REPOSITORY / "mkdocs.yml"), site_dir=str(site), hooks=[], strict=False)
    build(config)
    found: list[dict[str, str]] = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    return found


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("authentication", "security/"),
        ("access tokens", "how-to/access/"),
        ("mtls", "how-to/peer-tls/"),
        ("mutual tls", "how-to/peer-tls/"),
        ("rbac", "security/"),
        ("replication", "how-to/copies-and-wants/"),
        ("quota", "operations/sizing/"),
        ("quota", "faq/"),
        ("limits", "operations/sizing/"),
        ("monitoring", "how-to/grafana/"),
        ("uninstall", "operations/uninstall/"),
        ("images", "how-to/images/"),
        ("minio", "compare/"),
        ("versions", "operations/versions/"),
    ],
)
def test_searching_the_site_finds(words: str, page: str, searched: list[dict[str, str]]) -> None:
    """By the title of a page or a section first, then by how often the text has the words."""

    def rank(document: dict[str, str]) -> tuple[int, int]:
        title = document["title"].lower()
        return (all(word in title for word in words.split()), document["text"].lower().count(words))

    best: dict[str, tuple[int, int]] = {}
    for document in searched:
        where = document["location"].split("#")[0]
        if not where.startswith(("lab-notes", "reference")):
            best[where] = max(best.get(where, (0, 0)), rank(document))
    assert best[page] > (0, 0)
    assert page in sorted(best, key=lambda where: best[where], reverse=True)[:5]


def test_plain_words_are_told_from_others() -> None:
    assert plain.objections("Anyone who has a token may read; users who have none may not.") == []
    assert plain.objections("`who` is a command.\n```sh\nwho\n```\n") == []
    assert [word for _, word, _ in plain.objections("Only who has a token may read.")] == ["who"]
    assert [word for _, word, _ in plain.objections("Whoever reaches it, and those of others.")] == [
        "Whoever",
        "those",
    ]


@pytest.mark.parametrize("path", plain.PAGES, ids=named)
def test_a_page_keeps_to_plain_words(path: Path) -> None:
    assert plain.objections(path.read_text(encoding="utf-8")) == []
