"""Read the files that give classes their numbers: ``classInd.txt``, ``labels.csv``, ``names.txt``, a JSON mapping."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.matlab import read_matlab
from zslbench.errors import ZslbenchError, some
from zslbench.files import read_json, read_lines, reading

CANONICAL = Path("canonical")  # instead of a file: classes are in the dataset's order
_REMEDY = "write the name of one class per line, with or without its number before it"
_HEADER = re.compile(r"(class|label)?_?(id|idx|index|names?|labels?|number|class|classes)", re.IGNORECASE)


@dataclass(frozen=True)
class ClassList:
    """Classes in the order of their numbers.

    Attributes
    ----------
    names
        The dataset's names of the classes.
    first
        Number of the first class; ``None`` if the file has names only.

    Examples
    --------
    >>> ClassList("classInd.txt", ("ApplyEyeMakeup", "ApplyLipstick"), 1).first
    1
    """

    file: str
    names: tuple[str, ...]
    first: int | None


def read_class_list(dataset: Dataset, path: Path) -> ClassList:
    """Return the classes of a file in the order of their numbers.

    Lines are ``1 ApplyEyeMakeup``, ``0,apply eye makeup``, the same in the other order, or names only. A header such as
    ``id,name,count`` says which columns count. A ``.json`` file has name -> number, number -> name, a list of names, or
    a list of objects with a name and a number.

    Raises
    ------
    ZslbenchError
        A name is no class of the dataset, occurs twice, or the numbers have gaps or are two per class.
    """
    rows = _rows(path)
    found = [dataset.find_class(name) for _, _, name in rows]
    unknown = [(where, name) for (where, _, name), known in zip(rows, found, strict=True) if known is None]
    if unknown:
        told = "; ".join(f"{where}: {name!r}" for where, name in unknown[:3])
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        hint = dataset.class_hint(unknown[0][1])
        raise ZslbenchError(f"{path.name} has names that are no classes of {dataset.name} ({told}{more}).{hint}")
    return _in_order(path, rows, [str(name) for name in found])


def read_class_names(path: Path) -> ClassList:
    """Return the names in a class list of a dataset that zslbench does not know, in the order of their numbers.

    Raises
    ------
    ZslbenchError
        A name occurs twice, or the numbers have gaps.
    """
    rows = _rows(path)
    return _in_order(path, rows, [name for _, _, name in rows])


def _rows(path: Path) -> list[_Row]:
    rows = list(_of_json(path) if path.suffix.lower() == ".json" else _of_lines(path))
    if not rows:
        raise ZslbenchError(f"{path.name} has no classes; {_REMEDY}.")
    absent = [where for where, number, _ in rows if number is None]
    if 0 < len(absent) < len(rows):
        raise ZslbenchError(f"{path.name}, {absent[0]}, has no number, and other lines have; {_REMEDY}.")
    if numbers := [f"{where}: {name!r}" for where, _, name in rows if not any(map(str.isalpha, name))]:
        raise ZslbenchError(f"{path.name} has what names no class ({some(numbers, 3)}); {_REMEDY}.")
    return rows


def _in_order(path: Path, rows: list[_Row], names: list[str]) -> ClassList:
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise ZslbenchError(f"{path.name} has {some(twice, 3)} twice; keep one line per class.")
    numbered = [number for _, number, _ in rows if number is not None]
    if not numbered:
        return ClassList(path.name, tuple(names), None)
    pairs = sorted(zip(numbered, names, strict=True))
    first = pairs[0][0]
    if [number for number, _ in pairs] != list(range(first, first + len(pairs))) or first not in (0, 1):
        raise ZslbenchError(f"{path.name} does not number its {len(pairs)} classes from 0 or 1 without a gap; fix it.")
    return ClassList(path.name, tuple(name for _, name in pairs), first)


def class_numbers(dataset: Dataset, file: Path | None) -> ClassList | None:
    """Return the numbers of the classes: those of a file, a ``.mat`` too, or of the dataset's own order.

    Parameters
    ----------
    file
        A file for :func:`read_class_list`, a MATLAB file with ``allclasses_names``, :data:`CANONICAL` or ``None``.

    Raises
    ------
    ZslbenchError
        The file has no names, or names that are no classes of the dataset.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> class_numbers(get_dataset("ucf101"), CANONICAL).names[0]
    'ApplyEyeMakeup'
    """
    if file is None:
        return None
    if file == CANONICAL:
        return ClassList(f"the order of {dataset.name}", dataset.classes, None)
    if file.suffix.lower() != ".mat":
        return read_class_list(dataset, file)
    names = read_matlab(file).get("allclasses_names")
    if not isinstance(names, list):
        raise ZslbenchError(f"{file.name} has no 'allclasses_names'; give the file that numbers the classes.")
    unknown = [name for name in names if dataset.find_class(name) is None]
    if unknown:
        raise ZslbenchError(f"{file.name} has names that are no classes of {dataset.name}: {some(unknown, 3)}.")
    found = tuple(dataset.resolve_class(name) for name in names)
    if twice := [name for name, n in Counter(found).items() if n > 1]:
        raise ZslbenchError(f"{file.name} has {some(twice, 3)} twice in 'allclasses_names'; give the right file.")
    return ClassList(file.name, found, 1)


_Row = tuple[str, int | None, str]  # where it is, number, name


def _of_json(path: Path) -> Iterator[_Row]:
    content = read_json(path)
    says = f"{path.name} is no list of classes"
    with reading(path, 'write name -> number, a list of names, or of {"id": 0, "name": "..."}', says=says):
        pairs = [_entry(each) for each in content] if isinstance(content, list) else [
            (_number(key), value) if _number(value) is None else (_number(value), key) for key, value in content.items()
        ]  # fmt: skip
        if wrong := [name for _, name in pairs if not isinstance(name, str)]:
            raise ValueError(f"{str(wrong[0])[:40]} is no name")
        rows = [(f"entry {i}", number, name.strip('" ')) for i, (number, name) in enumerate(pairs)]
    yield from rows


def _entry(entry: Any) -> tuple[int | None, Any]:
    """Return the number and the name of an entry of a JSON list: a name, or an object of one name and one number."""
    parts = list(entry.values()) if isinstance(entry, dict) else [entry]
    names = [part for part in parts if isinstance(part, str) and _number(part) is None]
    numbers = [number for part in parts if (number := _number(part)) is not None]
    if len(names) != 1 or len(numbers) > 1:
        return None, entry
    return numbers[0] if numbers else None, names[0]


def _number(value: Any) -> int | None:
    """Return the whole number that a value or a text is, also as ``3.0``."""
    match = re.fullmatch(r"(\d+)(\.0)?", str(value).strip())
    return int(match[1]) if match and not isinstance(value, bool) else None


def _of_lines(path: Path) -> Iterator[_Row]:
    lines = [(i, line) for i, line in enumerate(read_lines(path, _REMEDY), 1) if line and not line.startswith("#")]
    mark = next((mark for mark in "\t,;" if lines and mark in lines[0][1]), ",")
    table = []
    for i, line in lines:
        with reading(path, _REMEDY):
            cells = next(csv.reader([line], delimiter="\t" if "\t" in line else mark, strict=True))
        table.append((f"line {i}", [cell.strip().strip("\"'") for cell in cells]))
    if len(table) > 1 and _is_header(table[0][1]):
        yield from _of_columns(path, table[0][1], table[1:])
        return
    rows = [_row(path, where, [cell for cell in cells if cell]) for where, cells in table]
    ends = [re.fullmatch(r"(.+?)\s+(\d+)", name) if number is None else None for _, number, name in rows]
    if all(ends) and len({match[1] for match in ends if match}) == len(rows):  # "ApplyEyeMakeup 1", not "exercise 1"
        rows = [(where, int(match[2]), match[1]) for (where, _, _), match in zip(rows, ends, strict=True) if match]
    yield from rows


def _row(path: Path, where: str, cells: list[str]) -> _Row:
    if len(cells) == 1 and (match := re.fullmatch(r"(\d+)[\s:.]+(.+)", cells[0])):
        cells = [match[1], match[2].strip("\"'")]
    numbers = [number for cell in cells if (number := _number(cell)) is not None]
    names = [cell for cell in cells if _number(cell) is None]
    if len(numbers) > 1 and names:
        raise ZslbenchError(f"{path.name}, {where}, has {len(numbers)} numbers; keep the number of the class.")
    return where, numbers[0] if names and numbers else None, ", ".join(names or cells)


def _is_header(cells: list[str]) -> bool:
    said = [cell for cell in cells if cell]
    known = [cell for cell in said if _HEADER.fullmatch(cell)]
    return bool(known) and (len(known) == len(said) or not any(_number(cell) is not None for cell in said))


def _of_columns(path: Path, header: list[str], table: list[tuple[str, list[str]]]) -> Iterator[_Row]:
    """Yield the rows of a table, whose header says which columns have the name and the number."""
    if any(len(cells) != len(header) for _, cells in table):  # names with commas
        yield from (_row(path, where, [cell for cell in cells if cell]) for where, cells in table)
        return
    columns = list(zip(*(cells for _, cells in table), strict=True))
    known = [i for i, name in enumerate(header) if _HEADER.fullmatch(name)]
    names = [i for i in known if any(_number(cell) is None for cell in columns[i])]
    numbers = {columns[i]: i for i in known if i not in names}
    if len(names) != 1 or len(numbers) > 1:
        told = some([header[i] for i in (names if len(names) != 1 else numbers.values())], 4) or "none"
        raise ZslbenchError(
            f"{path.name} needs one column of names and one of numbers at most, and has {told}; keep 'id' and 'name'."
        )
    at = next(iter(numbers.values()), None)
    for where, cells in table:
        yield where, None if at is None else _number(cells[at]), cells[names[0]]
