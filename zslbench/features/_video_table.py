"""Read and check the list of videos that belongs to imported features; messages name the lines of all errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NoReturn

import numpy as np

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.video_names import misnamed, named_class, read_id, too_many, without_ending
from zslbench.errors import NotFoundError, ZslbenchError, some, suggest
from zslbench.features._paths import stem, without_suffix
from zslbench.files import read_csv
from zslbench.tables.text import hidden, visible
from zslbench.videos import IntArray

_COLUMNS = ("video", "class", "group", "official", "split")
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
    more_official
        Number of a further official list -> its column, as ``official``.
    to_list
        (n,) the row of each video of the list, if the rows are in another order.
    """

    path: Path
    ids: list[str]
    classes: list[str]
    groups: list[str]
    official: list[str]
    where: list[str]
    lengths: IntArray | None = None
    notes: tuple[str, ...] = ()
    more_official: dict[int, list[str]] = field(default_factory=dict)
    to_list: IntArray | None = None

    def taken(self, rows: IntArray) -> VideoTable:
        """Return the table of some of its rows, in their order."""

        def take(column: list[str]) -> list[str]:
            return [column[i] for i in rows.tolist()]

        return replace(
            self,
            ids=take(self.ids),
            classes=take(self.classes),
            groups=take(self.groups),
            official=take(self.official),
            where=take(self.where),
            lengths=None if self.lengths is None else self.lengths[rows],
            more_official={number: take(column) for number, column in self.more_official.items()},
            to_list=None if self.to_list is None else np.argsort(np.argsort(self.to_list)[rows]),
        )


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
        ``split``, ``official_split*`` (``train``, ``test`` or nothing). Further lists are in ``official_split2``, ...
    lengths_column
        Name of a column with the number of frames of each video.

    Raises
    ------
    ZslbenchError
        The file is missing or malformed, or rows name unknown classes, repeat a video or lack a value; the message
        names the first three lines.
    """
    header, records = _records(path)
    official, more, notes = _official_columns(header)
    if lengths_column is not None and lengths_column not in header:
        raise NotFoundError(f"{path.name} has no column {lengths_column!r}.{suggest(lengths_column, header)}")
    lists = [official, *more.values()] if official else []
    check = _row_checker(dataset, lists, lengths_column)
    problems = [f"line {line}: {problem}" for line, row in records for problem in check(line, row)]
    if records and all(row["class"].isdecimal() for _, row in records):
        remedy = "call that column 'label', and name the file of class numbers with --class-list, such as classInd.txt"
        refuse(path.name, "wrong row", problems, remedy)
    if problems:
        refuse(path.name, "wrong row", problems, f"fix the CSV ('zslbench datasets {dataset.name}' lists classes)")
    if not records:
        raise ZslbenchError(f"{path.name} lists no videos; add one row per video below its header.")
    used = {"video", "class", "group", *lists, lengths_column}
    ignored = [name or "one without a name" for name in header if name not in used]
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
        more_official={number: [row[name].lower() for row in rows] for number, name in more.items()},
    )


def table_of_names(dataset: Dataset, path: Path, names: Sequence[str]) -> VideoTable:
    """Return the videos of a file that has their ids, or one folder (or HDF5 group) per class.

    Raises
    ------
    ZslbenchError
        A name has no class folder and is no id that names a class.
    """
    resolve, by_id = _resolver(dataset), named_class(dataset)
    problems, classes, n_by_id = [], [], 0
    for name in names:
        folder = name.rpartition("/")[0].rpartition("/")[2]
        resolved, complaint = resolve(folder) if folder else ("", "it is in no folder of a class")
        if complaint and (named := by_id(name)):
            resolved, complaint, n_by_id = named, "", n_by_id + 1
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
    source = "ids" if n_by_id == n else "names and ids" if n_by_id else "names"
    return VideoTable(
        path=path,
        ids=_shortest_ids(dataset, names),
        classes=classes,
        groups=[read_id(dataset, name)[1] for name in names],
        official=[""] * n,
        where=list(names),
        notes=(f"no CSV: classes from the {source} in {path.name}; official lists are unknown",),
    )


def _shortest_ids(dataset: Dataset, names: Sequence[str]) -> list[str]:
    """Return ids without folder and suffix, or with as much of the path as makes them unique."""
    in_folder = lambda name: "/".join(without_suffix(name).split("/")[-2:])  # noqa: E731 - one of four spellings
    for spelling in (lambda name: without_ending(dataset, stem(name)), stem, in_folder, without_suffix):
        ids = [spelling(name) for name in names]
        if len(set(ids)) == len(ids):
            return ids
    return list(names)


def class_notes(dataset: Dataset, table: VideoTable) -> tuple[str, ...]:
    """Return what to know about the classes of videos: ids that name others, and more videos than the dataset has."""
    notes = []
    if wrong := list(misnamed(dataset, table.ids, table.classes)):
        hint = " Numbers of labels were perhaps read in another class order." if 2 * len(wrong) > len(table.ids) else ""
        told = "; ".join(f"{each.text} ({table.where[each.place]})" for each in wrong[:_SHOWN])
        rest = f"; and {len(wrong) - _SHOWN:,} more" if len(wrong) > _SHOWN else ""
        notes.append(
            f"the ids of {len(wrong):,} of {len(table.ids):,} videos name another class: {told}{rest}; "
            f"correct the classes and import again.{hint}"
        )
    if more := too_many(dataset, Counter(table.classes)):
        told = some([f"{name} {n} of {known}" for name, (n, known) in more.items()], _SHOWN)
        noun = "class has" if len(more) == 1 else "classes have"
        notes.append(f"{len(more)} {noun} more videos than {dataset.name}: {told}; check the classes of their videos")
    return tuple(notes)


def _records(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    header, rows = read_csv(path)
    header = [name.lower() if name.lower() in _COLUMNS else name for name in header]
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


def _official_columns(header: list[str]) -> tuple[str | None, dict[int, str], tuple[str, ...]]:
    """Return the column of list 1, those of further lists by number, and a note."""
    named = [name for name in ("official", "split") if name in header]
    found = named + [name for name in header if name.startswith("official_split")]
    if not found:
        return None, {}, ()
    numbers = {name: name.removeprefix("official_split") for name in found[1:]}
    more = {int(n): name for name, n in sorted(numbers.items()) if n.isdecimal() and int(n) > 1}
    if not more:
        return found[0], {}, (f"official train and test lists: from column {found[0]}",)
    columns = ", ".join([f"{found[0]} (1)", *(f"{name} ({number})" for number, name in more.items())])
    return found[0], more, (f"official train and test lists: from columns {columns}",)


Resolved = tuple[str, str]  # the class, or a complaint


def class_hint(name: str, dataset: Dataset) -> str:
    """Return what a name that is no class may mean, to follow a problem of a row; empty if that is open."""
    hint = dataset.class_hint(name).strip().rstrip("?.")
    return f", {hint[0].lower()}{hint[1:]}" if hint.startswith(("Did", "It can")) else ""


def _resolver(dataset: Dataset) -> Callable[[str], Resolved]:
    @cache  # a wrong class is often in thousands of rows, and each suggestion is slow
    def resolve(name: str) -> Resolved:
        try:
            return dataset.resolve_class(name), ""
        except ZslbenchError:
            return "", f"{name!r} is no class of {dataset.name}{class_hint(name, dataset)}"

    return resolve


def _row_checker(
    dataset: Dataset, lists: Sequence[str], lengths_column: str | None
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
        for name in lists:
            if row[name].lower() not in ("train", "test", ""):
                yield f"{name} is {row[name]!r}, not train, test or nothing"
        if lengths_column and not (row[lengths_column].isdecimal() and int(row[lengths_column]) > 0):
            yield f"{lengths_column} is {row[lengths_column]!r}, not a number of frames"

    return check
