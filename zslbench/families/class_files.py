"""Read lists of unseen classes as they lie on disks: text, arrays and pickles of class names or numbers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.datasets.class_lists import class_numbers
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.plain_files import read_plain
from zslbench.datasets.splits import Split
from zslbench.errors import ZslbenchError, some
from zslbench.files import read_csv, read_json, read_lines, read_toml

CLASS_FILES = (".txt", ".csv", ".npy", ".npz", ".pkl", ".pickle", ".json", ".toml")
_WORDS = {
    "unseen": ("unseen", "novel", "testing", "test"),
    "seen": ("trainval", "training", "train", "seen", "base"),
    "validation": ("validation", "valid", "val(?!ue)"),
}
_SIDE = re.compile("|".join(f"(?P<{side}>(?<![a-z])(?:{'|'.join(words)})(?!ing))" for side, words in _WORDS.items()))
_REMEDY = (
    "say what the numbers count with --class-list classInd.txt, or with --class-list canonical for the order of "
    "'zslbench datasets NAME'"
)
_Cell = str | int  # the name or the number of a class


@dataclass(frozen=True)
class _Part:
    """The classes of one side of one split, as a file has them."""

    where: str
    side: str  # empty if nothing says it
    split: str  # what the sides of one split share
    cells: tuple[_Cell, ...]


def read_class_files(
    dataset: Dataset, files: Sequence[tuple[Path, Path]], class_list: Path | None = None, first: int | None = None
) -> tuple[list[Split], list[str]]:
    """Return the splits of lists of unseen classes, and notes.

    A file has one split, or several as lists, rows or lines of several classes. Words such as ``unseen``, ``train`` and
    ``val`` in names of files, arrays and keys say which classes a list has. Without them, these are the unseen ones.
    The seen classes are all others, unless they are given.

    Parameters
    ----------
    files
        Each file with the folder that it was found in.
    class_list
        The file that gives classes their numbers, if the lists have numbers.
    first
        The number of its first class, where the lists leave open whether it is 0 or 1.

    Raises
    ------
    ZslbenchError
        A class is unknown, twice or on both sides; or numbers have no meaning, or two.
    """
    parts = [part for file, root in files for part in _parts(dataset, file, root)]
    parts = [part for part in parts if part.cells]
    if not parts:
        raise ZslbenchError(f"{files[0][0].name} has no classes; write one class per line.")
    by_number, notes = _by_number(dataset, parts, class_list, first)
    splits: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for part in parts:
        sides, side = splits[part.split], part.side or "unseen"
        if side in sides:
            raise ZslbenchError(f"{part.where} is a second list of the {side} classes of one split; give one of them.")
        sides[side] = _named(dataset, part, by_number)
    if any("unseen" in sides for sides in splits.values()):
        left_out = [key for key, sides in splits.items() if "unseen" not in sides]
        whole = [key for key, sides in splits.items() if set(sides.get("unseen", ())) == set(dataset.classes)]
        if len(splits) > len(left_out) + len(whole):
            for key in (*left_out, *whole):
                notes.append(f"lists without unseen and seen classes were not used: {key or 'one'}")
                del splits[key]
    else:
        notes.append("the unseen classes are those that are in no list of seen ones")
    return [_split(dataset, splits[key]) for key in sorted(splits, key=natural)], notes


def natural(text: str) -> list[tuple[int, str]]:
    """Return the key that sorts numbers in texts by value.

    >>> sorted(["split_10", "split_2"], key=natural)
    ['split_2', 'split_10']
    """
    return [(int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in re.split(r"(\d+)", text) if part]


def _split(dataset: Dataset, sides: Mapping[str, tuple[str, ...]]) -> Split:
    validation = sides.get("validation", ())
    given = {*sides.get("unseen", ()), *sides.get("seen", ()), *validation}
    others = tuple(name for name in dataset.classes if name not in given)
    return Split(sides.get("seen", others), sides.get("unseen", others), validation)


def _parts(dataset: Dataset, file: Path, root: Path) -> Iterator[_Part]:
    stem = file.relative_to(root).with_suffix("").as_posix()
    side, split = _described(stem)
    kind = file.suffix.lower()
    if kind == ".txt":
        yield from _of_lines(dataset, file, side, split)
    elif kind == ".csv":
        yield from _of_table(dataset, file, side, split)
    else:
        held = read_json(file) if kind == ".json" else read_toml(file) if kind == ".toml" else read_plain(file)
        yield from _inside(held, file.name, side, split, len(dataset.classes))


def _described(text: str) -> tuple[str, str]:
    """Return the side that a name says, and the rest of it, which the sides of one split share.

    >>> _described("split_3/unseen_classes"), _described("trainval"), _described("attested")
    (('unseen', 'split_3/_classes'), ('seen', ''), ('', 'attested'))
    """
    found = list(_SIDE.finditer(text.casefold()))
    if len({match.lastgroup for match in found}) != 1:
        return "", text
    return str(found[0].lastgroup), _SIDE.sub("", text.casefold())


def _of_lines(dataset: Dataset, file: Path, side: str, split: str) -> Iterator[_Part]:
    """Yield the classes of a text: one per line, or a split per line."""
    lines = [(i, line) for i, line in enumerate(read_lines(file, "save it as text in UTF-8"), 1)]
    rows = [(i, _cells(dataset, line)) for i, line in lines if line and not line.startswith("#")]
    if all(len(cells) == 1 for _, cells in rows):
        yield _Part(file.name, side, split, tuple(cells[0] for _, cells in rows))
        return
    for i, cells in rows:
        yield _Part(f"{file.name}, line {i}", side, f"{split}/{i}", cells)


def _of_table(dataset: Dataset, file: Path, side: str, split: str) -> Iterator[_Part]:
    """Yield the classes of a CSV: a column per side, or a column of classes beside one that says the side of each."""
    header, lines = read_csv(file)
    if any(map(dataset.find_class, header)):
        header, lines = [""] * len(header), [(1, header), *lines]
    width = max([len(header), *(len(row) for _, row in lines)])
    columns = list(zip(*(row + [""] * (width - len(row)) for _, row in lines), strict=True))
    named = [i for i, column in enumerate(columns) if any(map(dataset.find_class, column))]
    ids = [i for i, column in enumerate(columns) if all(map(str.isdecimal, column)) and len({*column}) == len(column)]
    if len(named) > 1 or (named and len(named) + len(ids) == len(columns)):
        for i in named:
            own, rest = _described(header[i])
            cells = tuple(_cell(cell) for cell in columns[i] if cell)
            yield _Part(f"{file.name}, column {header[i] or i + 1}", own or side, f"{split}/{rest}", cells)
        return
    says = [i for i, column in enumerate(columns) if i not in named and all(_described(cell)[0] for cell in column)]
    if len(named) != 1 or len(says) != 1:
        raise ZslbenchError(
            f"{file.name} needs a column of classes of {dataset.name}, and one that says 'seen' or 'unseen' of each, "
            f"or a column 'seen' and a column 'unseen'; write it as 'class,split'."
        )
    sides = [_described(cell)[0] for cell in columns[says[0]]]
    for own in dict.fromkeys(sides):
        cells = tuple(_cell(cell) for cell, each in zip(columns[named[0]], sides, strict=True) if each == own)
        yield _Part(f"{file.name}, {own}", own, split, cells)


def _cells(dataset: Dataset, line: str) -> tuple[_Cell, ...]:
    """Return the classes of a line: a name, a number, a number with its name, or several of these."""
    line = line.strip("[](){} ,;")
    bare = line.strip("'\" ")
    if dataset.find_class(bare):
        return (bare,)
    if match := re.fullmatch(r"(\d+)[\s,;:.]+(.+)", bare) or re.fullmatch(r"(.+?)[\s,;:]+(\d+)", bare):
        names = [each.strip("'\" ") for each in match.groups() if not each.isdecimal()]
        if len(names) == 1 and dataset.find_class(names[0]):
            return (names[0],)
    mark = next((mark for mark in "\t;," if mark in line), None)
    if mark is None and not re.fullmatch(r"\d+(\s+\d+)*", line):
        return (_cell(bare),)
    return tuple(_cell(each.strip().strip("'\" ")) for each in line.split(mark) if each.strip())


def _cell(value: Any) -> _Cell:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return int(value) if value.isdecimal() else value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ZslbenchError(f"{value!r} is no name or number of a class; save the classes as names, or as whole numbers.")


def _inside(held: Any, where: str, side: str, split: str, n: int) -> Iterator[_Part]:
    """Yield the lists of classes inside dicts, lists and arrays; a row per split."""
    if isinstance(held, Mapping):
        described = {key: _described(str(key)) for key in held}
        sided = any(own for own, _ in described.values())
        for key, value in held.items():
            own, rest = described[key]
            if sided and not own:  # a seed or a comment beside the lists
                continue
            yield from _inside(value, f"{where}: {key}", own or side, f"{split}/{rest}", n)
        return
    if isinstance(held, np.ndarray):
        zeros_and_ones = held.dtype == bool or (held.dtype.kind in "iuf" and set(np.unique(held)) == {0, 1})
        if zeros_and_ones and held.ndim and held.shape[-1] == n:
            raise ZslbenchError(f"{where} is a mask of the {n} classes; save their numbers with numpy.flatnonzero.")
        held = held.tolist()
    held = list(held) if isinstance(held, list | tuple) else [held]
    if any(isinstance(each, list | tuple | np.ndarray | Mapping) for each in held):
        for i, each in enumerate(held):
            yield from _inside(each, f"{where}, list {i + 1}", side, f"{split}/{i}", n)
    else:
        yield _Part(where, side, split, tuple(map(_cell, held)))


def _by_number(
    dataset: Dataset, parts: Sequence[_Part], class_list: Path | None, first: int | None
) -> tuple[dict[int, str], list[str]]:
    """Return number -> class, and a note on where the numbers begin."""
    numbers = {cell for part in parts for cell in part.cells if isinstance(cell, int)}
    if not numbers:
        return {}, []
    known = class_numbers(dataset, class_list)
    if known is None:
        where = next(part.where for part in parts if any(isinstance(cell, int) for cell in part.cells))
        raise ZslbenchError(f"{where} has numbers of classes; {_REMEDY}.")
    n = len(known.names)
    possible = [start for start in (0, 1) if min(numbers) >= start and max(numbers) < start + n]
    found = f"the lists have class numbers from {min(numbers)} to {max(numbers)}"
    if not possible or (first is not None and first not in possible):
        counted = "" if not possible else f" and cannot count them from {first}"
        raise ZslbenchError(f"{found}, but {known.file} has {n} classes{counted}; give the class list of the lists.")
    if len(possible) > 1 and first is None:
        raise ZslbenchError(
            f"{found}, which may count the {n} classes of {known.file} from 0 or from 1; say which with --first-number "
            "0 or --first-number 1."
        )
    start = possible[0] if first is None else first
    return {start + i: name for i, name in enumerate(known.names)}, [
        f"classes by {known.file}: the lists number its {n} classes from {start}"
    ]


def _named(dataset: Dataset, part: _Part, by_number: Mapping[int, str]) -> tuple[str, ...]:
    found = [by_number[cell] if isinstance(cell, int) else dataset.find_class(cell) for cell in part.cells]
    unknown = [str(cell) for cell, name in zip(part.cells, found, strict=True) if name is None]
    if unknown:
        raise ZslbenchError(
            f"{part.where} has {some([repr(name) for name in unknown], 3)}, which is no class of {dataset.name}."
            f"{dataset.class_hint(unknown[0])}"
        )
    names = [name for name in found if name is not None]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ZslbenchError(
            f"{part.where} has {some(twice, 3)} twice; give each class once, and the splits as rows, not as columns."
        )
    return tuple(names)
