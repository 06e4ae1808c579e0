"""Read finished class vectors from arrays: ``.npy``, ``.npz``, ``.json``, HDF5 and torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.class_lists import CANONICAL, read_class_list
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.matlab import read_matlab
from zslbench.datasets.plain_files import read_plain
from zslbench.errors import ZslbenchError, some
from zslbench.files import read_json, read_text, reading
from zslbench.semantics._class_tables import ClassTable, is_number
from zslbench.semantics._gensim_vectors import read_pickle

CLASS_FORMATS = ("npz", "npy", "json", "hdf5", "torch", "pickle", "mat", "csv")
_REMEDY = "write it with numpy.savez(path, names=numpy.array(names), vectors=vectors)"
_BESIDE = ("{}.txt", "{}.csv", "{}_names.txt", "{}_classes.txt", "names.txt", "classes.txt", "class_names.txt")
_MEANT = ("vectors", "embeddings", "features")  # of several tables


def read_arrays(
    path: Path, dataset: Dataset, file_format: str, class_list: Path | None = None, key: str | None = None
) -> tuple[ClassTable, str]:
    """Return the class names and their (n, d) vectors, and a note about what the file leaves open.

    Parameters
    ----------
    file_format
        One of :data:`CLASS_FORMATS`; ``csv`` is text of numbers only.
    class_list
        File of the classes in the order of the vectors, or ``canonical`` for the dataset's own order. Without it the
        file has one vector per class name, or a list of names, or a text file beside it has.
    key
        Name of the array, if there are several.

    Raises
    ------
    ZslbenchError
        It cannot be read, names no classes, or contains several tables.
    """
    with reading(path, _REMEDY, says=f"{path.name} is not a table of class vectors"):
        parts = dict(_flat("", _LOADERS[file_format](path)))
    numbers = {name: array for name, array in parts.items() if isinstance(array, np.ndarray)}
    if key is not None:
        numbers = {name: array for name, array in numbers.items() if key in (name, _last(name))}
        if not numbers:
            raise ZslbenchError(f"{path.name} has no array {key!r}; it has {_contents(parts)}.")
    texts = {name: names for name, names in parts.items() if not isinstance(names, np.ndarray)}
    if class_list is None:
        if per_class := _per_class(numbers, dataset):
            return per_class, ""
        if found := _named(path, numbers, texts, dataset):
            return found, ""
        if (class_list := _beside(path)) is None:
            _check_names(path, numbers, dataset)
            raise ZslbenchError(
                f"{path.name} is not a table of class vectors with names ({_contents(parts)}); say the classes of its "
                f"rows with --class-list FILE, or with '--class-list canonical' if they are in the order of 'zslbench "
                f"datasets {dataset.name}', or {_REMEDY}."
            )
    names, said = _listed(class_list, dataset)
    if (by_number := _by_number(numbers)) is not None:
        _check_size(path, len(by_number), len(names), said)
        return (names, by_number), f"classes from {said}, by their numbers"
    vectors = _oriented(path, _only(path, _tables(numbers, len(names)), parts, len(names), said), len(names))
    order = _order(path, numbers, len(names))
    rows = [names[i] for i in order] if order else names
    own = _names_inside(texts, len(names), dataset)
    if own and [dataset.find_class(name) for name in own] != rows:
        raise ZslbenchError(f"{path.name} names its classes in another order than {said}; leave out --class-list.")
    return (rows, vectors), f"classes from {said}{', by the numbers beside the vectors' if order else ''}"


def _listed(class_list: Path, dataset: Dataset) -> tuple[list[str], str]:
    if class_list == CANONICAL:
        return list(dataset.classes), f"the order of {dataset.name}"
    return list(read_class_list(dataset, class_list).names), class_list.name


def _check_names(path: Path, numbers: Mapping[str, NDArray[Any]], dataset: Dataset) -> None:
    """Refuse vectors that are named by classes of another dataset: a class list would not help."""
    unknown = [_last(name) for name, array in numbers.items() if array.ndim == 1 and not _last(name).isdecimal()]
    unknown = [name for name in unknown if not dataset.find_class(name)]
    if len({array.shape for array in numbers.values()}) == 1 and len(unknown) > 1:
        raise ZslbenchError(
            f"{path.name} has vectors of {some(unknown, 3)}, which are no classes of {dataset.name}; give the "
            f"dataset that has them with --dataset, or correct the names."
        )


def _by_number(numbers: Mapping[str, NDArray[Any]]) -> NDArray[Any] | None:
    """Return the table of a file with one vector per number of a class, in the order of the numbers."""
    rows = {int(_last(name)): array.reshape(-1) for name, array in numbers.items() if _last(name).isdecimal()}
    first = min(rows, default=-1)
    if len(rows) < 2 or len(rows) != len(numbers) or first not in (0, 1) or max(rows) != first + len(rows) - 1:
        return None
    return np.stack([_floats(rows[number]) for number in sorted(rows)])


def _order(path: Path, numbers: Mapping[str, NDArray[Any]], n: int) -> list[int] | None:
    """Return the place in the class list of each row, if an array beside the vectors numbers the classes."""
    found = {}
    for name, array in numbers.items():
        values = array.reshape(-1)
        if values.size == n and _counts(values):
            found[tuple((values - values.min()).astype(int).tolist())] = _last(name)
    if len(found) > 1:
        raise ZslbenchError(f"{path.name} numbers its rows in two orders ({some(list(found.values()))}); keep one.")
    return list(next(iter(found))) if found else None


def _check_size(path: Path, found: int, n: int, said: str) -> None:
    if found != n:
        raise ZslbenchError(
            f"{path.name} has {found} vectors, but {said} has {n} classes; give the class list of the file."
        )


def _beside(path: Path) -> Path | None:
    places = (path.with_name(name.format(path.stem)) for name in _BESIDE)
    return next((place for place in places if place.is_file() and place != path), None)


def _per_class(numbers: Mapping[str, NDArray[Any]], dataset: Dataset) -> ClassTable | None:
    """Return the table of a file with one vector per class, named by it."""
    rows = {name: array.reshape(-1) for name, array in numbers.items() if array.size == max(array.shape, default=0)}
    names = [_last(name) for name in rows]
    if len(rows) < 2 or _known(names, dataset) * 2 < len(rows) or len({row.size for row in rows.values()}) != 1:
        return None
    return names, np.stack([_floats(row) for row in rows.values()])


def _named(
    path: Path, numbers: Mapping[str, NDArray[Any]], texts: Mapping[str, list[str]], dataset: Dataset
) -> ClassTable | None:
    """Return the table of a file with a list of class names."""
    names = max(texts.values(), key=lambda each: _known(each, dataset), default=[])
    if not names or _known(names, dataset) * 2 < len(names):
        return None
    return names, _oriented(path, _only(path, _tables(numbers, len(names)), numbers, len(names)), len(names))


def _known(names: Sequence[str], dataset: Dataset) -> int:
    return sum(dataset.find_class(name) is not None for name in names)


def _names_inside(texts: Mapping[str, list[str]], n: int, dataset: Dataset) -> list[str]:
    return next((names for names in texts.values() if len(names) == n and all(map(dataset.find_class, names))), [])


def _tables(numbers: Mapping[str, NDArray[Any]], n: int) -> dict[str, NDArray[Any]]:
    """Return the arrays that can be vectors of n classes, without axes of length 1."""
    flat = {name: array.squeeze() if array.ndim > 2 else array for name, array in numbers.items()}
    return {name: array for name, array in flat.items() if array.ndim == 2 and n in array.shape}


def _only(
    path: Path, tables: Mapping[str, NDArray[Any]], parts: Mapping[str, Any], n: int, said: str = ""
) -> NDArray[Any]:
    meant = [array for name, array in tables.items() if _last(name).lower() in _MEANT] if len(tables) > 1 else []
    if len(found := meant or list(tables.values())) == 1:
        return found[0]
    if not found:
        raise ZslbenchError(
            f"{path.name} has no table with one vector for each of {n} classes{f' of {said}' if said else ''} "
            f"({_contents(parts)}); give the class list of its rows, or {_REMEDY}."
        )
    raise ZslbenchError(
        f"{path.name} has {len(found)} tables of vectors of {n} classes ({_contents(parts)}); "
        f"choose one with --key, or {_REMEDY}."
    )


def _oriented(path: Path, table: NDArray[Any], n: int) -> NDArray[Any]:
    if table.shape == (n, n):
        raise ZslbenchError(
            f"{path.name} has {n} x {n} values for {n} classes, so rows and columns cannot be distinguished; {_REMEDY}."
        )
    return _floats(table if table.shape[0] == n else table.T)


def _floats(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def _contents(parts: Mapping[str, Any]) -> str:
    def shape(value: Any) -> str:
        return str(value.shape) if isinstance(value, np.ndarray) else f"{len(value)} texts"

    return some([f"{name or 'array'} {shape(value)}" for name, value in parts.items()], 4) or "it is empty"


def _last(name: str) -> str:
    return name.rpartition("\0")[2]


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of numbers and the lists of strings in nested mappings."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(f"{name}\0{key}" if name else str(key), each)
        return
    if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        columns = dict.fromkeys(key for row in value for key in row)
        yield from _flat(name, {key: [row[key] for row in value] for key in columns})
        return
    if isinstance(value, list | tuple) and value and all(map(_is_pair, value)):
        yield from _flat(name, {"names": [each for each, _ in value], "vectors": np.array([row for _, row in value])})
        return
    array = np.asarray(value)
    if array.dtype.names:  # a structured array
        yield from _flat(name, {field: array[field] for field in array.dtype.names})
        return
    if array.dtype.kind in "biuf":
        yield name, array
    elif array.dtype.kind in "SU":
        yield name, [each.decode() if isinstance(each, bytes) else str(each) for each in array.ravel().tolist()]


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and isinstance(value[0], str)
        and not isinstance(value[1], str)
    )


def _load_hdf5(path: Path) -> Any:
    import h5py

    found: dict[str, Any] = {}

    def keep(name: str, each: Any) -> None:
        if isinstance(each, h5py.Dataset) and each.ndim:
            text = h5py.check_string_dtype(each.dtype) is not None
            found[name.replace("/", "\0")] = [str(one) for one in each.asstr()[()].ravel()] if text else each[()]

    with h5py.File(path, "r") as file:
        file.visititems(keep)
    return found


def _load_torch(path: Path) -> Any:
    import torch

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.detach().to(torch.float32 if value.is_floating_point() else value.dtype).numpy()
        if isinstance(value, Mapping):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [plain(each) for each in value]
        return value

    return plain(torch.load(path, map_location="cpu", weights_only=True))


def _load_numbers(path: Path) -> Any:
    """Return a table without its header, and apart from it a first column that numbers the classes."""
    lines = [line.replace(";", ",") for line in read_text(path, _REMEDY).splitlines() if line.strip()]
    if lines and not all(map(is_number, lines[0].split("," if "," in lines[0] else None))):
        del lines[0]
    table = np.loadtxt([line.replace(",", " ") for line in lines], dtype=np.float32, ndmin=2)
    return {"numbers": table[:, 0], "values": table[:, 1:]} if _counts(table[:, 0]) else {"values": table}


def _counts(values: NDArray[Any]) -> bool:
    """Return whether values are 0..n-1 or 1..n in any order, of three classes or more."""
    first = values.min() if values.size > 2 else -1
    return first in (0, 1) and np.array_equal(np.sort(values), np.arange(first, first + values.size))


_LOADERS = {
    "csv": _load_numbers,
    "npz": lambda path: read_plain(path, ".npz"),
    "npy": lambda path: read_plain(path, ".npy"),
    "json": read_json,
    "mat": read_matlab,
    "hdf5": _load_hdf5,
    "torch": _load_torch,
    "pickle": read_pickle,
}
