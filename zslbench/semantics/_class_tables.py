"""Read tables of finished class vectors, and refuse columns that number the classes."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.class_names import name_key
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError, some
from zslbench.files import check_archive, read_text, reading

ClassTable = tuple[list[str], NDArray[Any]]  # class names, (n, d) vectors

_REMEDY = "write a header line, and then one line per class: its name and its values, the same number in each line"
_NUMBERING = re.compile(r"(class|label)?(ids?|idx|index|labels?|number)|label|unnamed0")  # as name_key has names
_NO_LABEL = "or halve all values of the column if it is a true attribute of the classes"
_FEWEST, _MANY = 3, 10  # classes from which numbers 0..n-1, and any small whole numbers that differ, are no chance


def has_names(path: Path) -> bool:
    """Return whether an ``.npz`` has the arrays that :func:`read_npz` reads."""
    with reading(path):
        return {"names.npy", "vectors.npy"} <= set(zipfile.ZipFile(path).namelist())


def read_npz(path: Path) -> ClassTable:
    """Return the arrays ``names`` and ``vectors`` (see :func:`zslbench.files.reading` for what it raises)."""
    check_archive(path)
    remedy = "write it with numpy.savez(path, names=numpy.array(names), vectors=vectors)"
    with (
        reading(path, remedy, says=f"{path.name} is not a table of class vectors"),
        np.load(path, allow_pickle=False) as arrays,
    ):
        return [str(name) for name in arrays["names"].ravel().tolist()], np.asarray(arrays["vectors"])


def read_rows(path: Path, dataset: Dataset) -> ClassTable:
    """Return the table of a text file with one class per line: its name and its values.

    Values are separated by commas, tabs, semicolons or spaces. The names are the first column that has other things
    than numbers. A header is needed, except in files with spaces.

    Raises
    ------
    ZslbenchError
        There is no header, a column numbers the classes or has no numbers, or lines differ in length.
    """
    says = f"{path.name} is not a table of class vectors"
    text = read_text(path, _REMEDY, says=says)
    with reading(path, _REMEDY, says=says):
        rows = _split(text)
        if not rows:
            raise ValueError("it has no row")
    header, rows = _header(path, dataset, rows)
    width = len(header)
    wrong = [f"line {line} has {len(row)} values, not {width}" for line, row in rows if len(row) != width]
    if wrong or not rows:
        raise ZslbenchError(f"{says} ({some(wrong, 2) or 'it has no row'}); {_REMEDY}.")
    columns = list(zip(*(row for _, row in rows), strict=True))
    at = next((i for i, column in enumerate(columns) if not all(map(is_number, column))), 0)
    for i, column in enumerate(columns):
        bad = [
            f"{value[:20]!r} in line {rows[k][0]}" for k, value in enumerate(column) if i != at and not is_number(value)
        ]
        if bad:
            raise ZslbenchError(
                f"{says} (the column {header[i] or i + 1} has {some(bad, 2)}, which is no number); {_REMEDY}."
            )
    kept = [i for i in range(width) if i != at]
    values = np.array([[float(row[i]) for i in kept] for _, row in rows], dtype=np.float32)
    _check_columns(path, [header[i] for i in kept], kept, values, dataset)
    return list(columns[at]), values


def check_numbering(path: Path, vectors: NDArray[Any], dataset: Dataset) -> None:
    """Refuse (n, d) vectors with a value that numbers the classes.

    Raises
    ------
    ZslbenchError
        One does; the message says which.
    """
    if found := _numbering(vectors, len(dataset.classes)):
        raise ZslbenchError(
            f"{path.name}: value {found[0] + 1} of each vector numbers the classes ({_shown(vectors[:, found[0]])}); "
            f"it is a label and no feature: remove it, {_NO_LABEL}."
        )


def _split(text: str) -> list[tuple[int, list[str]]]:
    """Return the number of the line and the cells of each row; of a file with spaces, the values follow the name."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    commas, semicolons = first.count(","), first.count(";")
    if "\t" in first or commas or semicolons:
        mark = "\t" if "\t" in first else "," if commas >= semicolons else ";"
        # strict: without it, an unclosed quotation mark would silently swallow all later lines.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
        return [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    rows = [(i, line.split()) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    sizes: tuple[int, int] | None = None
    if rows and len(rows[0][1]) == 2 and all(map(str.isdecimal, rows[0][1])):  # word2vec's header
        sizes, rows = (int(rows[0][1][0]), int(rows[0][1][1])), rows[1:]
    named = [(i, cells) for i, cells in rows if is_number(cells[-1])]
    dim = min((_trailing(cells) for _, cells in named), default=0)
    if sizes and sizes != (len(named), dim):
        raise ValueError(
            f"its header says {sizes[0]} classes with {sizes[1]} values, and it has {len(named)} with {dim}"
        )
    header = [(i, ["class", *cells[1:]]) for i, cells in rows[:1] if not is_number(cells[-1])]
    header = header or [(0, ["class", *(f"v{k}" for k in range(dim))])]
    return header + [(i, [" ".join(c[: len(c) - dim]), *c[len(c) - dim :]]) for i, c in named]


def _trailing(cells: Sequence[str]) -> int:
    """Return how many cells at the end are numbers; the first is part of the name."""
    return next((n for n, cell in enumerate(reversed(cells[1:])) if not is_number(cell)), len(cells) - 1)


def _header(
    path: Path, dataset: Dataset, rows: list[tuple[int, list[str]]]
) -> tuple[list[str], list[tuple[int, list[str]]]]:  # fmt: skip
    """Return the header and the other rows; numbers are a header only if they count the columns."""
    (line, first), others = rows[0], rows[1:]
    numbers = [cell for cell in first if is_number(cell)]
    if len(numbers) < max(1, len(first) - 2):  # all but a name, and perhaps a label
        return first, others
    counts = [float(cell) for cell in numbers]
    named = any(dataset.find_class(cell) for cell in first)
    if not named and counts in ([*range(len(counts))], [*range(1, len(counts) + 1)]):
        return first, others
    raise ZslbenchError(
        f"{path.name} has no header: line {line} is a row of numbers ({some(first, 3)}), which would be lost as one; "
        "write a header line such as 'class,v0,v1,...' above it, or, without names, say the classes with --class-list."
    )


def _check_columns(
    path: Path, header: Sequence[str], places: Sequence[int], values: NDArray[np.float32], dataset: Dataset
) -> None:
    called = [i for i, name in enumerate(header) if _NUMBERING.fullmatch(name_key(name)) or not name]
    for i in dict.fromkeys([*called, *_numbering(values, len(dataset.classes))]):
        name = f"column {header[i]!r}" if header[i] else f"column {places[i] + 1}, without a name,"
        remedy = "remove it" if i in called else f"remove it, {_NO_LABEL}"
        raise ZslbenchError(
            f"{path.name}: the {name} ({_shown(values[:, i])}) numbers the classes and would become a value of each "
            f"vector; {remedy}."
        )


def _numbering(values: NDArray[Any], n_classes: int) -> list[int]:
    """Return the columns of (n, d) values that are 0..n-1 or 1..n in any order, or other numbers of classes."""
    if values.ndim != 2 or len(values) < _FEWEST:
        return []
    n, ordered = len(values), np.sort(values, axis=0)
    counts = (ordered == np.arange(n)[:, None]).all(axis=0) | (ordered == np.arange(1, n + 1)[:, None]).all(axis=0)
    if n >= _MANY:
        whole = (values == np.round(values)).all(axis=0) & (ordered[0] >= 0) & (ordered[-1] <= n_classes)
        counts |= whole & (np.diff(ordered, axis=0) > 0).all(axis=0)
    return np.flatnonzero(counts).tolist()


def _shown(column: NDArray[Any]) -> str:
    return ", ".join(f"{value:g}" for value in column[:3].tolist()) + ", ..."


def is_number(text: str) -> bool:
    """Return whether a cell of a text file is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
