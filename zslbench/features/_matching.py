"""Match the videos of a feature file with those of the CSV: by name where the file names them, else by row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.video_names import named_class
from zslbench.errors import ZslbenchError, some
from zslbench.features._paths import common_spelling, stem, videos_of, without_endings, without_suffix
from zslbench.features._readers import Source
from zslbench.features._video_table import VideoTable, refuse
from zslbench.videos import IntArray

# Names of arrays that hold the class of each row, as a name or a number.
_LABELS = re.compile(
    r"((action|all|clip|gt|int|test|train|true|val|video)_?)?"
    r"(actions?|category|categories|class|classes|cls|gnd|ground_?truth|gt|labs?|labels?|lbls?|targets?|y)"
    r"(_?(id|idx|index|label|name|num|number|test|train|true|val)s?)?",
    re.IGNORECASE,
)


def match(source: Source, table: VideoTable, dataset: Dataset) -> tuple[VideoTable, IntArray | None]:
    """Find which video of the table each array or row of the source is.

    Returns
    -------
    tuple
        The table in the order in which the features are read, with notes; ``to_list`` restores that of the list.
        The indices of its videos in ``source``, or ``None`` if they are its rows.

    Raises
    ------
    ZslbenchError
        Videos are missing, extra or twice, or the file contradicts the CSV.
    """
    if source.names is not None:
        noted = replace(table, notes=table.notes + _unused(source, source.unused))
        return noted, _order(source, source.names, table)
    notes, used = [], set()
    rows = {}
    for name, column in source.columns.items():
        strings = column if isinstance(column, list) else _numbered_ids(column, table)
        if strings and (order := _rows_by_name(source, name, strings, table)) is not None:
            rows[name] = order
            used.add(name)
    _check_agreement(source, rows)
    if rows:
        name, of_rows = next(iter(rows.items()))
        if not np.array_equal(of_rows, np.arange(len(of_rows))):
            notes.append(
                f"the rows of {source.path.name} are in another order than {table.path.name}: they were matched by its "
                f"{name!r}"
            )
        table = table.taken(of_rows)
    else:
        _check_unmatched(source, table, dataset)
        _check_counts(source, table)
    for name, column in source.columns.items():
        if name not in used and (_is_labels(name, column, dataset) or _number_classes(column, table.classes)):
            _check_labels(source, name, column, table, dataset, named=bool(rows))
            used.add(name)
    lengths = source.columns.get("lengths")
    if isinstance(lengths, np.ndarray) and source.kind == "sequences" and table.lengths is None:
        if not np.array_equal(lengths, lengths.astype(np.int64)) or (lengths < 1).any():
            raise ZslbenchError(f"'lengths' in {source.path.name} must be whole numbers from 1; fix that array.")
        table, used = replace(table, lengths=lengths.astype(np.int64)), used | {"lengths"}
        notes.append(f"each video has its first frames, as many as 'lengths' of {source.path.name} says")
    notes += _unused(source, [*source.unused, *(name for name in source.columns if name not in used)])
    table = replace(table, notes=(*table.notes, *notes))
    if not rows or np.array_equal(of_rows, np.arange(len(of_rows))):
        return table, None
    to_table = np.argsort(of_rows)
    return (table.taken(to_table), to_table) if source.any_order else (replace(table, to_list=to_table), None)


def _numbered_ids(column: NDArray[Any], table: VideoTable) -> list[str]:
    """Return the ids that whole numbers are, if all ids are numbers and each occurs once; else none."""
    if not all(map(str.isdecimal, table.ids)) or column.dtype.kind not in "fiu":
        return []
    ids = {int(video): video for video in table.ids}
    return [ids[number] for number in column.tolist()] if sorted(column.tolist()) == sorted(ids) else []


def _unused(source: Source, names: Sequence[str]) -> tuple[str, ...]:
    shown = []
    for name in sorted(names):
        column = source.columns.get(name)
        shown.append(f"{name} ({column[0]!r}, ...: no ids of the CSV)" if isinstance(column, list) else name)
    return (f"arrays of {source.path.name} that were not used: {some(shown, 8)}",) if shown else ()


def _rows_by_name(source: Source, name: str, strings: list[str], table: VideoTable) -> IntArray | None:
    """Return the row of the table of each string, or ``None`` if they are no ids of the table."""
    paths = videos_of(strings)
    for each in (strings, paths, *without_endings(paths)):
        spelling, shared = common_spelling(each, table.ids)
        if shared:
            break
    else:
        return None
    places = {spelling(video): i for i, video in enumerate(table.ids)}
    keys = [spelling(string) for string in each]
    first: dict[str, int] = {}
    twice = [
        f"{string} is in rows {first[key] + 1} and {i + 1}"
        for i, (key, string) in enumerate(zip(keys, strings, strict=True))
        if first.setdefault(key, i) != i
    ]
    if twice:
        refuse(source.path.name, f"video of {name!r} twice", twice, "give one row per video, or (n, T, D) per video")
    missing = [
        f"{video} ({where})"
        for video, where in zip(table.ids, table.where, strict=True)
        if spelling(video) not in first
    ]
    if missing:
        remedy = (
            f"compare with {name!r}, of whose {len(strings):,} strings ({some(strings, 3)}) {shared:,} are ids of "
            f"{table.path.name}"
        )
        refuse(source.path.name, "missing video", missing, remedy)
    extra = [string for key, string in zip(keys, strings, strict=True) if key not in places]
    if extra:
        refuse(source.path.name, f"video in {name!r} that the CSV does not list", extra, "add rows for them")
    return np.array([places[key] for key in keys], dtype=np.int64)


def _check_unmatched(source: Source, table: VideoTable, dataset: Dataset) -> None:
    """Refuse strings that look like ids although none is in the table: the rows would be of other videos."""
    names, written = named_class(dataset), set(map(_pattern, table.ids))
    for name, column in source.columns.items():
        if isinstance(column, list) and len(set(column)) == len(column) and not _is_labels(name, column, dataset):
            alike = sum(bool(names(string)) or _pattern(string) in written for string in videos_of(column))
            if 2 * alike > len(column):
                raise ZslbenchError(
                    f"{source.path.name}: its {name!r} ({some(column, 2)}) look like ids, but none is one of "
                    f"{table.path.name} ({some(table.ids, 2)}); give the list of these videos, or leave {name!r} out "
                    f"of the file if its rows are in the order of the list."
                )


def _pattern(video: str) -> str:
    """Return an id with letters and digits replaced, so that ids of one scheme are equal."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", stem(video)))


def _check_agreement(source: Source, rows: Mapping[str, IntArray]) -> None:
    for (one, first), (other, second) in pairwise(rows.items()):
        if not np.array_equal(first, second):
            i = int(np.flatnonzero(first != second)[0])
            raise ZslbenchError(
                f"{source.path.name}: {one!r} and {other!r} contradict each other, first in row {i + 1}; remove the "
                f"wrong one."
            )


def named_rows(source: Source, dataset: Dataset) -> list[tuple[str, str]]:
    """Return the path and the label of each row, from the columns of a file that names its videos itself.

    A label is a class, a number, or nothing.

    Raises
    ------
    ZslbenchError
        There are more or fewer names than videos.
    """
    if source.named_by is None:
        return []
    if source.named_by not in source.columns:
        raise ZslbenchError(
            f"{source.path.name} has {len(source.lengths):,} videos, but {source.named_by!r} has another number of "
            f"names; give a list of video and class with --videos."
        )
    paths = videos_of([str(path) for path in source.columns[source.named_by]])
    others = {name: column for name, column in source.columns.items() if name != source.named_by}
    labels = next((column for name, column in others.items() if _is_labels(name, column, dataset)), [""] * len(paths))
    return list(zip(paths, map(_label, labels), strict=True))


def _label(value: Any) -> str:
    return str(value) if isinstance(value, str) else str(int(value)) if float(value).is_integer() else str(value)


def _is_labels(name: str, column: list[str] | NDArray[Any], dataset: Dataset) -> bool:
    if _LABELS.fullmatch(without_suffix(name).rpartition("/")[2]):
        return True
    return isinstance(column, list) and all(dataset.find_class(value) for value in set(column))


def _number_classes(column: list[str] | NDArray[Any], classes: Sequence[str]) -> bool:
    """Return whether whole numbers are labels, whatever they are called: as many and as often as the classes.

    Or most of them go with one class each.
    """
    if isinstance(column, list) or column.dtype.kind not in "fiu" or not np.array_equal(column, column.round()):
        return False
    pairs = Counter(zip(column.tolist(), classes, strict=True))
    numbers, names = Counter(column.tolist()), Counter(classes)
    if len(numbers) != len(names) or not 2 * len(names) <= len(classes):
        return False
    best = {number: max(n for (of, _), n in pairs.items() if of == number) for number in numbers}
    return sorted(numbers.values()) == sorted(names.values()) or 5 * sum(best.values()) > 4 * len(classes)


def _check_labels(
    source: Source, name: str, column: list[str] | NDArray[Any], table: VideoTable, dataset: Dataset, *, named: bool
) -> None:
    """Refuse labels that contradict the classes of the table: names must be the same, numbers one per class."""
    values = column if isinstance(column, list) else column.tolist()
    if isinstance(column, list) and all(dataset.find_class(value) for value in set(values)):
        values = [dataset.find_class(value) for value in values]
        wrong = [
            f"row {i + 1} is {value} there, but {video} ({where}) is {label}"
            for i, (value, label, video, where) in enumerate(
                zip(values, table.classes, table.ids, table.where, strict=True)
            )
            if value != label
        ]
    else:
        wrong = _not_one_to_one(values, table)
    if wrong:
        cause = "the classes differ" if named else "its rows are in another order, or the classes differ"
        refuse(
            source.path.name,
            f"contradiction between {name!r} and {table.path.name}",
            wrong,
            f"{cause}: fix the one that is wrong, or leave {name!r} out of the file",
        )


def _not_one_to_one(values: Sequence[Any], table: VideoTable) -> list[str]:
    """Return the rows whose label and class do not always go together."""
    class_of: dict[Any, int] = {}
    label_of: dict[str, int] = {}
    wrong = []
    for i, (value, label) in enumerate(zip(values, table.classes, strict=True)):
        first, other = class_of.setdefault(value, i), label_of.setdefault(label, i)
        for j in (first, other):
            if table.classes[j] != label or values[j] != value:
                wrong.append(
                    f"rows {j + 1} and {i + 1} are {values[j]} and {value} there, but {table.ids[j]} and "
                    f"{table.ids[i]} are {table.classes[j]} and {label}"
                )
                break
    return wrong


def _order(source: Source, names: Sequence[str], table: VideoTable) -> IntArray:
    """Return the indices of the table's videos in ``source``."""
    places = {name: i for i, name in enumerate(names)}
    missing = [f"{video} ({where})" for video, where in zip(table.ids, table.where, strict=True) if video not in places]
    if missing:
        some_there = len(missing) < len(table.ids)
        remedy = f"extract them, or leave them out of {table.path.name}" if some_there else "compare the names"
        refuse(source.path.name, "missing video", missing, f"{remedy}; it has {', '.join(names[:3])}, ...")
    known = set(table.ids)
    extra = [stem(name) for name in names if name not in known]
    if extra:
        refuse(source.path.name, "array that the CSV does not list", extra, "add rows for them, or remove them")
    return np.array([places[video] for video in table.ids], dtype=np.int64)


def _check_counts(source: Source, table: VideoTable) -> None:
    n, rows = len(source.lengths), len(table.ids)
    if n == rows:
        return
    hint = ""
    if source.kind == "pooled" and n > rows and n % rows == 0:
        hint = f" If they are {n // rows} frames per video, save them as ({rows}, {n // rows}, {source.dim})."
    raise ZslbenchError(
        f"{source.path.name} contains {n:,} videos, but {table.path.name} has {rows:,} rows; "
        f"give one row per video, in the same order.{hint}"
    )
