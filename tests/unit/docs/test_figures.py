"""A measured figure has one home; the pages that repeat it are filled from there."""

from __future__ import annotations

import pytest

from docs.reference import figures

TABLE = """
| case | last peer ÷ bound | wanted |
|---|---|---|
| `--peers 16` <!-- figure fan-out --> | 1.117 (1.117, 1.114) | 1.20 |
| `--peers 8` | 1.078 | 1.15 |
"""


def test_a_figure_is_the_first_word_beside_its_mark() -> None:
    assert figures.figures(TABLE) == {"fan-out": "1.117"}


def test_a_figure_that_stands_elsewhere_is_made_anew() -> None:
    old = "takes <!-- figure fan-out -->1.21<!-- /figure --> times"
    assert (
        figures.filled(old, {"fan-out": "1.117"})
        == "takes <!-- figure fan-out -->1.117<!-- /figure --> times"
    )


def test_a_figure_without_a_home_is_an_error() -> None:
    with pytest.raises(KeyError):
        figures.filled("<!-- figure lost -->1<!-- /figure -->", {"fan-out": "1.117"})


def test_the_readme_repeats_figures_that_have_a_home() -> None:
    known = figures.figures(figures.HOME.read_text(encoding="utf-8"))
    assert {"fan-out", "fan-out-of-libtorrent"} <= set(known)
