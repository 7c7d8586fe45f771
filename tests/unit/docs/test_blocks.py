"""Which commands of the documentation are run, and that none gets lost."""

from __future__ import annotations

import pytest

from tests.docs import blocks
from tests.docs.blocks import Block, Kind

TEXT = """
Words.

```sh
one
```

<!-- cluster -->
```sh
two
```

<!-- not run: needs a printer -->

```sh
three
```

```yaml title="network.yaml"
kind: X
```

```sh
four
```
"""


INSTALLS = "changes the Python that you install into; the images are built by the same command"


def test_each_block_runs_where_the_comment_before_it_says() -> None:
    page = blocks.parse("page.md", TEXT)
    assert page.blocks == (
        Block("page.md", 5, Kind.LOCAL, "one\n"),
        Block("page.md", 10, Kind.CLUSTER, "two\n"),
        Block("page.md", 16, Kind.NOT_RUN, "three\n", "needs a printer"),
        Block("page.md", 24, Kind.LOCAL, "four\n"),
    )
    assert page.files == (("network.yaml", "kind: X\n"),)


@pytest.mark.parametrize(
    "text", ["```bash\nx\n```\n", "<!-- not run -->\n```sh\nx\n```\n", "<!-- clutser -->\n```sh\nx\n```\n"]
)
def test_a_block_that_would_be_passed_over_in_silence_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"page\.md:\d+: "):
        blocks.parse("page.md", text)


def test_only_these_blocks_are_not_run() -> None:
    found = {
        (block.page, block.reason) for path in blocks.PAGES for block in blocks.read(path).of(Kind.NOT_RUN)
    }
    assert found == {
        ("quick-start.md", "needs Docker and kind"),
        ("how-to/tracing.md", INSTALLS),
        ("how-to/tracing.md", "needs Docker"),
        ("how-to/without-kubernetes.md", INSTALLS),
    }


def test_every_page_has_commands_that_are_run() -> None:
    for path in blocks.PAGES:
        page = blocks.read(path)
        assert page.of(Kind.LOCAL) or page.of(Kind.CLUSTER), page.name
