"""Write the measured rows of the methods' pages: those of the leaderboards in ``results/leaderboards``.

Run ``python tools/measured_rows.py`` after a leaderboard was made again. A table with ``HEADER`` gets the figures of
the methods in its first column.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
BOARDS = ("ucf101-captions", "ucf101-vgg16", "utd-mhad")
HEADER = (
    "| method | captions, `xu-50/50` (chance 2.0) | VGG16, `random-50/50` of 15 classes (chance 14.3) "
    "| UTD-MHAD, `random-50/50` (chance 7.7) |"
)
TABLE = re.compile(re.escape(HEADER) + r"\n\|---\|---\|---\|---\|\n((?:\|.*\n)+)")
_SPLITS = re.compile(r"(\d+)(?:/\d+| of \d+ distinct)(, \d+ seeds)?")


def measured(leaderboard: str) -> dict[str, str]:
    """Return method -> "top-1 [interval], splits, seconds" for a leaderboard in Markdown."""
    rows = [
        [cell.strip().replace("\\", "") for cell in line.strip("|").split("|")]
        for line in leaderboard.splitlines()
        if line.startswith("|") and not line.startswith("|-")
    ]
    columns = rows[0]
    found = {}
    for row in rows[1:]:
        value = dict(zip(columns, row, strict=True))
        splits, seeds = _SPLITS.fullmatch(value["splits"]).groups("")  # type: ignore[union-attr]
        splits += " split" if splits == "1" else " splits"
        found[value["method"].split()[0]] = (
            f"{value['top-1 %']} {value['95 % over classes']}, {splits}{seeds}, {value['fit s']} s"
        )
    return found


def filled(page: str, *boards: dict[str, str]) -> str:
    """Return a page with its measured rows replaced by those of the boards, in the order of the columns."""

    def rows(match: re.Match[str]) -> str:
        names = [re.search(r"`([^`]+)`", line)[1] for line in match[1].splitlines()]  # type: ignore[index]
        return match[0].replace(
            match[1],
            "".join(f"| `{name}` | {' | '.join(board.get(name, '-') for board in boards)} |\n" for name in names),
        )

    return TABLE.sub(rows, page)


def pages() -> dict[Path, str]:
    """Return page -> its text with the current figures, for the pages of all methods."""
    boards = [measured((ROOT / "results" / "leaderboards" / f"{name}.md").read_text()) for name in BOARDS]
    return {path: filled(path.read_text(), *boards) for path in sorted((ROOT / "docs/methods").glob("*.md"))}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
