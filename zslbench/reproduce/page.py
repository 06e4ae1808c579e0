"""Write a reproduction's folder: tables as CSV and Markdown, figures, and one page with all of them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zslbench.errors import ZslbenchError
from zslbench.files import new_directory, read_json
from zslbench.report.page import Page
from zslbench.reproduce.reproduction import Reproduction
from zslbench.reproduce.tables import STATUSES, ResultTable, display, inputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INDEX = "index.html"
_FILES = "files.json"  # names of all written files; only a folder with this file is replaced
_WRITER = "zslbench reproduce"
_PIXELS = 200  # per inch, in PNG files


@dataclass(frozen=True)
class Picture:
    """A figure of the paper, or why there is none; ``interactive`` replaces it on the page.

    Examples
    --------
    >>> Picture("figure2", "Figure 2: class embeddings", why="no WordNet").figure is None
    True
    """

    stem: str
    heading: str
    figure: Figure | None = None
    alt: str = ""
    caption: str = ""
    why: str = ""
    interactive: Any = None  # of plotly


def title(made: Reproduction) -> str:
    """Return the title of every file of a reproduction."""
    chosen = ", ".join(found.title for found in made.features.values())
    quick = "QUICK RUN, not a reproduction: " if made.quick else ""
    return f"{quick}{made.paper.title}, run on {chosen}"


def warning(made: Reproduction) -> str:
    """Return the warnings for the top of the page."""
    sentences = []
    if made.simulated:
        sentences.append("SIMULATED FEATURES: no video was looked at. Figures say nothing about real actions.")
    if made.quick:
        sentences.append(
            f"QUICK RUN: {made.splits} splits, smaller networks and fewer epochs. It shows that everything runs; its "
            "figures are not a reproduction."
        )
    return " ".join(sentences)


def write_folder(
    folder: Path, made: Reproduction, tables: Sequence[ResultTable], pictures: Sequence[Picture], command: str
) -> list[str]:
    """Write all files, completely or not at all; replace an earlier reproduction, and return the names of the files.

    Raises
    ------
    ZslbenchError
        The folder contains other files, or cannot be written.
    """
    check_folder(folder)
    page = _page(made, tables, pictures, command)
    with new_directory(folder, replace=True) as work:
        for table in tables:
            (work / made.file(table.stem, "csv")).write_text(table.csv(), encoding="utf-8")
            (work / made.file(table.stem, "md")).write_text(table.markdown(title(made)), encoding="utf-8")
        for picture in pictures:
            for suffix in ("png", "svg") if picture.figure else ():
                path = work / made.file(picture.stem, suffix)
                picture.figure.savefig(path, dpi=_PIXELS, bbox_inches="tight")  # type: ignore[union-attr]
        page.write(work / _INDEX)
        names = sorted([_FILES, *(path.name for path in work.iterdir())])
        record = {"written_by": _WRITER, "command": command, "files": names}
        (work / _FILES).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        return names


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made, or has files that no earlier reproduction wrote: all of it is replaced.

    Raises
    ------
    ZslbenchError
        The folder contains other files, or cannot be written.
    """
    above = next(path for path in folder.absolute().parents if path.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise ZslbenchError(f"{folder} cannot be made in {above}; choose another folder with --out.")
    if folder.is_file():
        raise ZslbenchError(f"{folder} is a file; choose a new folder with --out.")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if foreign := [name for name in there if name not in _written(folder) or not (folder / name).is_file()]:
        raise ZslbenchError(
            f"{folder} contains files that are not of a reproduction ({foreign[0]}); choose a new folder with --out."
        )


def _written(folder: Path) -> list[str]:
    """Return the names of the files that a reproduction wrote into a folder; empty if there are none."""
    try:
        record = read_json(folder / _FILES)
    except ZslbenchError:
        return []
    return list(record.get("files", [])) if isinstance(record, dict) and record.get("written_by") == _WRITER else []


def _page(made: Reproduction, tables: Sequence[ResultTable], pictures: Sequence[Picture], command: str) -> Page:
    paper = made.paper
    page = Page(title(made), f"{paper.title}. {paper.citation}", warning=warning(made))
    page.section("What was run")
    page.code(command)
    page.bullets(_summary(made))
    page.links([(name, name) for name in _names(made, tables, pictures)])
    page.section("How to read the tables")
    page.bullets([*inputs(made), *STATUSES])
    for table in tables:
        table.add_to(page)
    for picture in pictures:
        page.section(picture.heading)
        if picture.figure is None:
            page.text(f"Not made: {picture.why}")
        else:
            page.figure(picture.interactive or picture.figure, picture.alt, picture.caption)
    if paper.choices:
        page.section("Choices that the paper leaves open")
        rows = [[choice.issue, (made.quick and choice.quick) or choice.here] for choice in paper.choices]
        headers = ["in the paper", f"here{' (quick)' if made.quick else ''}"]
        page.table(headers, rows, "What the paper says, and what this run does.", sort=False)
    return page


def _summary(made: Reproduction) -> list[str]:
    cells = made.plan.cells
    sentences = [
        f"{len(cells)} cells; splits per family: {made.splits}; seed {made.seed}.",
        *made.paper.notes,
    ]
    sentences += [f"{display(name)}: not run, {why}." for name, why in made.skipped.items()]
    return sentences + list(dict.fromkeys(made.plan.notices))


def _names(made: Reproduction, tables: Sequence[ResultTable], pictures: Sequence[Picture]) -> list[str]:
    names = [made.file(table.stem, suffix) for table in tables for suffix in ("csv", "md")]
    return names + [made.file(p.stem, suffix) for p in pictures if p.figure for suffix in ("png", "svg")]
