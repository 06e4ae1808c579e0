"""Read and check the list of videos that belongs to imported features; messages name the lines of all errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

import numpy as np

from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.files import read_csv
from zslbench.tables.text import hidden, visible
from zslbench.videos import IntArray

_SHOWN = 3  # examples in a message


@dataclass
class VideoTable:
    """One row per video.

    Attributes
    ----------
    ids, classes, groups, official
        Video ids, canonical class names, source groups and ``train``/``test``; ``""`` if unknown.
    where
        The position of each row, for messages.
    lengths
        (n,) frames per video, if the user named such a column.
    notes
        Notes for the user about columns that were used or ignored.
    """

    path: Path
    ids: list[str]
    classes: list[str]
    groups: list[str]
    official: list[str]
    where: list[str]
    lengths: IntArray | None = None
    notes: tuple[str, ...] = ()


def refuse(
    file: str, what: str, offenders: Sequence[str], remedy: str, *, more_may_follow: bool = False
) -> NoReturn:  # fmt: skip
    """Raise an error that names the first examples and counts the others.

    Raises
    ------
    ZslbenchError
        Always.
    """
    n = len(offenders)
    rest = f"; and {n - _SHOWN:,} more" if n > _SHOWN else ""
    count = f"{n:,} {what}" if n == 1 else f"{n:,} {_plural(what)}"
    least = "at least " if more_may_follow else ""
    raise ZslbenchError(f"{file}: {least}{count}: {'; '.join(offenders[:_SHOWN])}{rest}. Remedy: {remedy}.")


def _plural(what: str) -> str:
    noun, space, more = what.partition(" ")
    if noun in ("missing", "wrong"):
        return f"{noun} {_plural(more)}"
    return f"{noun}s{space}{more}"


def read_videos(dataset: Dataset, path: Path, lengths_column: str | None = None) -> VideoTable:
    """Return the videos that a CSV lists.

    Parameters
    ----------
    path
        Comma-separated, with a header: ``video``, ``class`` and optionally ``group`` and one of ``official``,
        ``split``, ``official_split*`` (``train``, ``test`` or nothing).
    lengths_column
        Name of a column with the number of frames of each video.

    Raises
    ------
    ZslbenchError
        The file is missing or malformed, or rows name unknown classes, repeat a video or lack a value; the message
        names the first three lines.
    """
    header, records = _records(path)
    official, notes = _official_column(header)
    if lengths_column is not None and lengths_column not in header:
        raise NotFoundError(f"{path.name} has no column {lengths_column!r}.{suggest(lengths_column, header)}")
    check = _row_checker(dataset, official, lengths_column)
    problems = [f"line {line}: {problem}" for line, row in records for problem in check(line, row)]
    if problems:
        refuse(path.name, "wrong row", problems, f"fix the CSV ('zslbench datasets {dataset.name}' lists classes)")
    if not records:
        raise ZslbenchError(f"{path.name} lists no videos; add one row per video below its header.")
    used = {"video", "class", "group", official, lengths_column}
    ignored = [name for name in header if name not in used]
    if ignored:
        notes += (f"columns of {path.name} that were not used: {', '.join(ignored)}",)
    rows = [row for _, row in records]
    return VideoTable(
        path=path,
        ids=[row["video"] for row in rows],
        classes=[dataset.resolve_class(row["class"]) for row in rows],
        groups=[row.get("group", "") for row in rows],
        official=[row[official].lower() if official else "" for row in rows],
        where=[f"line {line}" for line, _ in records],
        lengths=np.array([int(row[lengths_column]) for row in rows]) if lengths_column else None,
        notes=notes,
    )


def table_of_names(dataset: Dataset, path: Path, names: Sequence[str]) -> VideoTable:
    """Return the videos of a file with one folder (or HDF5 group) per class.

    Raises
    ------
    ZslbenchError
        A name has no class folder, or the folder is not a class.
    """
    resolve = _resolver(dataset)
    problems, classes = [], []
    for name in names:
        folder = name.rpartition("/")[0].rpartition("/")[2]
        resolved, complaint = resolve(folder) if folder else ("", "it is in no folder of a class")
        classes.append(resolved)
        if hidden(name):
            complaint = "it has line breaks, control characters or other invisible ones"
        if complaint:
            problems.append(f"{visible(name)}: {complaint}")
    if problems:
        refuse(
            path.name, "wrong name", problems, "put each video into a folder of its class, or give a CSV with --videos"
        )
    n = len(names)
    return VideoTable(
        path=path,
        ids=[name.rpartition("/")[2] for name in names],
        classes=classes,
        groups=[""] * n,
        official=[""] * n,
        where=list(names),
        notes=(f"no CSV: classes from the names in {path.name}; source groups and official lists are unknown",),
    )


def _records(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    header, rows = read_csv(path)
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise ZslbenchError(f"{path.name} has two columns {twice[0]!r}; rename or remove one.")
    lacking = [repr(name) for name in ("video", "class") if name not in header]
    if lacking:
        raise ZslbenchError(
            f"{path.name} has no column {' and no column '.join(lacking)}; its first line must be a header of "
            f"comma-separated names such as 'video,class,group', and is {','.join(header)[:80]!r}."
        )
    wrong = [f"line {n}: {len(row)} values, the header has {len(header)}" for n, row in rows if len(row) != len(header)]
    if wrong:
        refuse(path.name, "wrong row", wrong, "give every row as many values as the header")
    return header, [(line, dict(zip(header, row, strict=True))) for line, row in rows]


def _official_column(header: list[str]) -> tuple[str | None, tuple[str, ...]]:
    named = [name for name in ("official", "split") if name in header]
    found = named + [name for name in header if name.startswith("official_split")]
    if not found:
        return None, ()
    return found[0], (f"official train and test lists: from column {found[0]}",)


Resolved = tuple[str, str]  # the class, or a complaint


def _resolver(dataset: Dataset) -> Callable[[str], Resolved]:
    @cache  # a wrong class is often in thousands of rows, and each suggestion is slow
    def resolve(name: str) -> Resolved:
        try:
            return dataset.resolve_class(name), ""
        except ZslbenchError:
            guess = suggest(name, dataset.classes)
            hint = guess.replace(" Did", ", did").rstrip("?") if guess.startswith(" Did") else ""
            return "", f"{name!r} is no class of {dataset.name}{hint}"

    return resolve


def _row_checker(
    dataset: Dataset, official: str | None, lengths_column: str | None
) -> Callable[[int, dict[str, str]], Iterator[str]]:
    resolve = _resolver(dataset)
    seen: dict[str, int] = {}

    def check(line: int, row: dict[str, str]) -> Iterator[str]:
        if not row["video"]:
            yield "no video id"
        elif seen.setdefault(row["video"], line) != line:
            yield f"{row['video']} is on line {seen[row['video']]} already"
        for column in ("video", "group"):
            if hidden(row.get(column, "")):
                yield f"the {column} {row[column]!r} has line breaks, control characters or other invisible ones"
        complaint = resolve(row["class"])[1]
        if complaint:
            yield complaint
        if official and row[official].lower() not in ("train", "test", ""):
            yield f"{official} is {row[official]!r}, not train, test or nothing"
        if lengths_column and not (row[lengths_column].isdecimal() and int(row[lengths_column]) > 0):
            yield f"{lengths_column} is {row[lengths_column]!r}, not a number of frames"

    return check
