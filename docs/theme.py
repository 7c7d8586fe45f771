"""Hooks of MkDocs: what the theme lacks.

The site brings Mermaid itself, so that a reader's browser asks nobody else for it: the theme takes one that
is there already, and would load it from a CDN otherwise. It comes from npm once, is checked, and is put only
into pages that have a diagram, since it is large. And the search gets a name, for those who hear the page.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

PACKAGE = "@mermaid-js/tiny"
VERSION = "11.17.2"
SHA256 = "7a644017d37f93c8359790884e6b67fb1f747c78eb20475952404bd87190a3f8"
ADDRESS = "assets/mermaid.js"
MARK = Path(__file__).parents[1] / "node" / "src" / "minga_node" / "page" / "mark.svg"
DIAGRAM = '<pre class="mermaid">'
THEME = '<script src="'
DIALOG = 'data-md-component="search" role="dialog"'


def script() -> Path:
    """The script, installed once in the user's cache.

    Raises:
        PluginError: it cannot be had, or is not what it was.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minga" / f"mermaid-{VERSION}"
    path = home / "node_modules" / PACKAGE / "dist" / "mermaid.tiny.js"
    if not path.exists():
        if shutil.which("npm") is None:
            raise PluginError(f"diagrams need {PACKAGE} from npm, once: install npm")
        home.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            subprocess.run([*command, f"{PACKAGE}@{VERSION}"], check=True, timeout=240, capture_output=True)
        except subprocess.SubprocessError as error:
            raise PluginError(f"cannot install {PACKAGE}: {error}") from error
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise PluginError(f"{path} is not {PACKAGE} {VERSION}")
    return path


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds Mermaid and the page's mark to what is copied into the site."""
    files.append(File.generated(config, ADDRESS, abs_src_path=str(script())))
    files.append(File.generated(config, "images/mark.svg", abs_src_path=str(MARK)))
    return files


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001
    """Loads Mermaid before the theme's own script, where there is a diagram."""
    output = output.replace(DIALOG, f'{DIALOG} aria-label="Search"')
    if DIAGRAM not in output:
        return output
    before, mark, after = output.rpartition(THEME)
    tag = f'<script src="{get_relative_url(ADDRESS, page.url)}"></script>\n'
    return before + tag + mark + after
