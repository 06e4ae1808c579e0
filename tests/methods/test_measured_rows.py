"""The figures that the methods' pages quote are those of the committed leaderboards."""

import importlib.util
from pathlib import Path

import pytest

from zslbench.registry import METHODS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("measured_rows", ROOT / "tools" / "measured_rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_row_of_a_leaderboard_is_quoted_with_interval_splits_and_time(tool):
    board = (
        "### ucf101\n\n"
        "| method                 | rank | top-1 % | 95 % over classes | splits              | fit s |\n"
        "|------------------------|------|---------|-------------------|---------------------|-------|\n"
        "| a \\[reconstruction\\] | 1    | 21.9    | \\[17.6, 26.5\\]  | 5 of 47 distinct, 3 seeds | 7.98  |\n"
        "| b+nrm \\[L4\\]         | 2 ~  | 9.8     | \\[6.5, 13.5\\]   | 3/50                | 0.12  |\n"
        "\n* Interval: 95 %\n"
    )
    assert tool.measured(board) == {
        "a": "21.9 [17.6, 26.5], 5 splits, 3 seeds, 7.98 s",
        "b+nrm": "9.8 [6.5, 13.5], 3 splits, 0.12 s",
    }
    page = f"text\n\n{tool.HEADER}\n|---|---|---|---|\n| `b+nrm` | old | | |\n| `c` | | | |\n\nmore\n"
    expected = page.replace("old | | |", "new | - | - |").replace("`c` | | | |", "`c` | - | also | last |")
    assert tool.filled(page, {"b+nrm": "new"}, {"c": "also"}, {"c": "last"}) == expected


def test_the_pages_quote_the_committed_leaderboards(tool):
    """Whoever commits a leaderboard without running tools/measured_rows.py sees this fail."""
    for path, text in tool.pages().items():
        assert path.read_text() == text, f"run python tools/measured_rows.py: {path.name} is out of date"


def test_every_built_in_method_has_a_measured_row_on_some_page(tool):
    quoted = "".join(block for path in tool.pages() for block in tool.TABLE.findall(path.read_text()))
    for page in ("few-shot", "heads"):  # of other protocols, or of fewer splits than the leaderboards have
        quoted += (ROOT / f"docs/methods/{page}.md").read_text().partition("## Measured")[2]
    built_in = [listed.name for listed in METHODS if listed.distribution.startswith("zslbench ")]
    assert [name for name in built_in if f"`{name}" not in quoted] == []
