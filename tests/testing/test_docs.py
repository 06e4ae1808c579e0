"""docs/conformance.md holds the checks' own words; ``python tests/testing/test_docs.py`` writes them there again."""

import inspect
import sys
from pathlib import Path

from zslbench.testing import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
BEGIN = "<!-- from here on: the docstrings of zslbench/testing -->\n"


def described():
    """Return the list of checks in Markdown: a section a theme, an entry a check."""
    parts, theme = [], ""
    for check in CHECKS.values():
        heading = inspect.getdoc(sys.modules[check.run.__module__]).removesuffix(".")
        if heading != theme:
            theme = heading
            parts.append(f"## {theme}\n")
        what, _, where = check.doc.replace("``", "`").partition("\n\n")
        parts.append(f"### `{check.name}`\n\n**{' '.join(what.split())}**\n\n{where}\n")
    return "\n".join(parts)


def test_the_page_says_what_the_checks_say():
    assert PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].strip() == described().strip()


def test_every_check_says_what_it_means_and_where_to_look():
    for check in CHECKS.values():
        what, _, where = check.doc.partition("\n\n")
        assert what.endswith("."), check.name
        assert len(where) > 80, check.name


if __name__ == "__main__":
    head = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    PAGE.write_text(f"{head}{BEGIN}\n{described()}", encoding="utf-8")
