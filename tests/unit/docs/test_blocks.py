"""Which commands of the documentation are run, and that none gets lost."""

from __future__ import annotations

import re

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


NEEDED = {"Docker", "a cloud", "kind"}
"""What a block may need that no test has."""


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


def test_only_what_needs_docker_or_a_cloud_is_not_run() -> None:
    reasons = {block.reason for path in blocks.PAGES for block in blocks.read(path).of(Kind.NOT_RUN)}
    for reason in reasons:
        word, _, needed = reason.partition(" ")
        assert word == "needs"
        assert set(re.split(r" and |, ", needed)) <= NEEDED


def test_every_page_has_commands_that_are_run() -> None:
    for path in blocks.PAGES:
        page = blocks.read(path)
        assert page.of(Kind.LOCAL) or page.of(Kind.CLUSTER), page.name
