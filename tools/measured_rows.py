"""Write the measured rows of the methods' pages: those of the leaderboards in ``results/leaderboards``.

Run ``python tools/measured_rows.py`` after a leaderboard was made again. A table with ``HEADER`` gets the figures of
the methods in its first column.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEADER = "| method | captions, `xu-50/50` (chance 2.0) | VGG16, `random-50/50` of 15 classes (chance 14.3) |"
TABLE = re.compile(re.escape(HEADER) + r"\n\|---\|---\|---\|\n((?:\|.*\n)+)")


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
        splits = value["splits"].split("/")[0]
        distinct = re.search(r"\((\d+) distinct\)", value["splits"])
        splits += f" splits ({distinct[1]} distinct)" if distinct else " splits"
        found[value["method"].split()[0]] = (
            f"{value['top-1 %']} {value['95 % over classes']}, {splits}, {value['fit s']} s"
        )
    return found


def filled(page: str, captions: dict[str, str], frames: dict[str, str]) -> str:
    """Return a page with its measured rows replaced."""

    def rows(match: re.Match[str]) -> str:
        names = [re.search(r"`([^`]+)`", line)[1] for line in match[1].splitlines()]  # type: ignore[index]
        return match[0].replace(
            match[1],
            "".join(f"| `{name}` | {captions.get(name, '-')} | {frames.get(name, '-')} |\n" for name in names),
        )

    return TABLE.sub(rows, page)


def pages() -> dict[Path, str]:
    """Return page -> its text with the current figures, for the pages of all methods."""
    boards = ROOT / "results" / "leaderboards"
    captions, frames = (measured((boards / f"ucf101-{name}.md").read_text()) for name in ("captions", "vgg16"))
    return {path: filled(path.read_text(), captions, frames) for path in sorted((ROOT / "docs/methods").glob("*.md"))}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
