"""Tar files of features, as webdataset writes them: ``KEY.npy`` beside ``KEY.json``, ``KEY.cls`` or ``KEY.txt``.

Nothing is extracted to a path that an archive names. Arrays are read from their place in the tar file.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import shutil
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zslbench.errors import NotFoundError, ZslbenchError, some
from zslbench.features._arrays import Array, list_array, sliced, text_array
from zslbench.features._reopening import reopened
from zslbench.features.formats import OPENERS, npy_array
from zslbench.files import check_depth, reading

SHARDS = (".tar", ".tgz", ".gz")
_ARRAYS = (".npy", ".npz", ".pt", ".pth", ".pkl", ".pickle", ".mat", ".h5", ".hdf5")
_TEXTS = (".json", ".cls", ".txt")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_SHARDS = 100_000
_LARGEST_TEXT = 1 << 20  # bytes of what is beside an array
_LARGEST_UNPACKED, _MOST_TIMES = 1 << 30, 100  # of a .tar.gz, as of a zip archive
_MOST_KINDS = 8  # arrays per video
KEYS = "keys"  # the name of the array of keys


class _Member(NamedTuple):
    """A file inside a tar file."""

    file: Path
    name: str
    start: int
    size: int


class _Section(io.RawIOBase):
    """The bytes of a member."""

    def __init__(self, member: _Member) -> None:
        self._stream = member.file.open("rb")
        self._stream.seek(member.start)
        self._start, self._left = member.start, member.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: self._left]
        n = self._stream.readinto(view)
        self._left -= n
        return n

    def tell(self) -> int:
        return self._stream.tell() - self._start

    def close(self) -> None:
        self._stream.close()
        super().close()


def shards_of(path: Path) -> list[Path]:
    """Return the files of ``NAME-{000000..000003}.tar``, or the path itself.

    Raises
    ------
    ZslbenchError
        A file is missing, or the range is no range.

    Examples
    --------
    >>> for i in range(2):
    ...     Path(f"train-{i:03}.tar").touch()
    >>> [file.name for file in shards_of(Path("train-{000..001}.tar"))]
    ['train-000.tar', 'train-001.tar']
    """
    match = None if path.exists() else _RANGE.search(path.name)
    if match is None:
        return [path]
    first, last = int(match[1]), int(match[2])
    if not first <= last < first + _MOST_SHARDS:
        raise ZslbenchError(f"{path.name} has the range {match[0]}; give the first and the last number of the shards.")
    names = [
        f"{path.name[: match.start()]}{i:0{len(match[1])}}{path.name[match.end() :]}" for i in range(first, last + 1)
    ]
    files = [path.with_name(name) for name in names]
    if missing := [file.name for file in files if not file.is_file()]:
        raise NotFoundError(f"{path.parent} lacks {len(missing):,} of {len(files):,} shards: {some(missing, 3)}.")
    return files


def read_shards(files: Sequence[Path], stack: contextlib.ExitStack) -> dict[str, Array]:
    """Return the arrays of tar files: lists of features, the keys of their videos, and what is beside them.

    Raises
    ------
    ZslbenchError
        A file is damaged or too large, a key occurs twice, or keys lack an array that others have.
    """
    samples: dict[str, dict[str, _Member]] = {}
    members = [member for file in files for member in _members(file, stack)]
    keys = [_key(member.name) for member in members]
    if len({extension for _, extension in keys}) > _MOST_KINDS + len(_TEXTS):  # ids with dots, such as "take 1.5"
        keys = [(stem, suffix) for stem, _, suffix in (member.name.rpartition(".") for member in members)]
    shared = {pair for pair, n in Counter(keys).items() if n > 1}
    for member, (key, extension) in zip(members, keys, strict=True):
        if (key, extension) in shared or (shared and len(files) > 1):  # keys that begin again in each shard
            key = f"{member.file.stem}/{key}"
        if samples.setdefault(key, {}).setdefault(extension, member) is not member:
            raise ZslbenchError(f"{member.file.name} has {member.name} twice; write the shards again.")
    kinds = {e for sample in samples.values() for e in sample if f".{e}".endswith(_ARRAYS)}
    samples = {key: sample for key, sample in samples.items() if kinds & sample.keys()}
    temporary = _Temporary(stack)
    found: dict[str, list[Array]] = {}
    for sample in samples.values():
        for kind in sorted(kinds & sample.keys()):
            for name, array in _arrays(sample[kind], temporary, stack).items():
                if not array.is_text:
                    found.setdefault("/".join(filter(None, (_kind(kind), name))), []).append(array)
    _check_complete(files[0], found, len(samples))
    only = len(found) == 1
    lists = {"features" if only or not name else name: list_array(items) for name, items in found.items()}
    return {**_columns(samples), **lists, KEYS: text_array(samples)}


class _Temporary:
    """Files of a temporary folder, which are called by numbers."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack, self._folder, self._n = stack, "", 0

    def copy(self, member: _Member, suffix: str) -> Path:
        """Return a copy of a member as a file."""
        self._folder = self._folder or self._stack.enter_context(tempfile.TemporaryDirectory())
        self._n += 1
        path = Path(self._folder) / f"{self._n}{suffix}"
        with _Section(member) as stream, path.open("wb") as copy:
            shutil.copyfileobj(stream, copy)
        return path


def _members(file: Path, stack: contextlib.ExitStack) -> Iterator[_Member]:
    """Yield the plain files of a tar file; links, devices and folders are left out."""
    with reading(file):
        path = _unpacked(file, stack) if file.suffix.lower() != ".tar" else file
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                hidden = any(part.startswith(".") for part in name.split("/"))
                if member.isreg() and not member.issparse() and not hidden and name.endswith((*_ARRAYS, *_TEXTS)):
                    yield _Member(path, name, member.offset_data, member.size)


def _unpacked(file: Path, stack: contextlib.ExitStack) -> Path:
    """Return a .tar.gz as a .tar in a temporary folder."""
    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / f"{file.name.partition('.')[0]}.tar"
    most = max(_LARGEST_UNPACKED, _MOST_TIMES * file.stat().st_size)
    with gzip.open(file, "rb") as stream, path.open("wb") as copy:
        while block := stream.read(1 << 20):
            if copy.tell() > most:
                raise ValueError(
                    f"it is {file.stat().st_size:,} bytes and would unpack to more than {most / 1e9:,.1f} GB"
                )
            copy.write(block)
    return path


def _key(name: str) -> tuple[str, str]:
    """Return the key and the extension, which begins at the first dot, as webdataset splits them."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return f"{folder}{slash}{stem}", extension


def _kind(extension: str) -> str:
    """Return what ``rgb.npy`` is called beside ``flow.npy``."""
    return extension.rpartition(".")[0]


def _arrays(member: _Member, temporary: _Temporary, stack: contextlib.ExitStack) -> dict[str, Array]:
    """Return the arrays of a member by name; of one array, the name is empty."""
    suffix = f".{member.name.rpartition('.')[2]}"
    with reading(member.file, says=f"{member.name} in {member.file.name} cannot be read"):
        if suffix == ".npy":
            array = npy_array(
                lambda: io.BufferedReader(_Section(member)), partial(temporary.copy, member, suffix), member.size
            )
            if not array.dtype.hasobject:
                return {"": array}

        def open_copy(inner: contextlib.ExitStack) -> dict[str, Array]:
            folder = Path(inner.enter_context(tempfile.TemporaryDirectory()))
            path = folder / member.name.rpartition("/")[2]
            with _Section(member) as stream, path.open("wb") as copy:
                shutil.copyfileobj(stream, copy)
            return OPENERS[suffix](path, inner)

        found = {name: array for name, array in reopened(open_copy).items() if not array.is_text}
    return found if len(found) > 1 else dict.fromkeys([""], *found.values())


def _check_complete(file: Path, found: Mapping[str, Sequence[Array]], n: int) -> None:
    if lacking := [
        f"{name or 'features'} ({len(items):,} of {n:,} keys)" for name, items in found.items() if len(items) != n
    ]:
        raise ZslbenchError(f"{file.name}: not every key has {some(lacking, 3)}; write the shards again.")


def _columns(samples: Mapping[str, Mapping[str, _Member]]) -> dict[str, Array]:
    """Return what lies beside all arrays: texts, numbers, and the strings and numbers of JSON objects."""
    columns: dict[str, list[Any]] = {}
    for sample in samples.values():
        for extension, member in sample.items():
            if f".{extension}".endswith(".json"):
                held = _json(member)
                values = held if isinstance(held, dict) else {"json": held}
            elif f".{extension}".endswith(_TEXTS):
                values = {extension: _text(member)}
            else:
                continue
            for name, value in values.items():
                if isinstance(value, str | int | float):
                    columns.setdefault(name, []).append(value)
    return {name: _column(values) for name, values in columns.items() if len(values) == len(samples)}


def _text(member: _Member) -> str:
    with reading(member.file, says=f"{member.name} in {member.file.name} cannot be read"):
        if member.size > _LARGEST_TEXT:
            raise ValueError(f"it has {member.size:,} bytes, and the limit is {_LARGEST_TEXT:,}")
        with _Section(member) as stream:
            return stream.read().decode("utf-8-sig").strip()


def _json(member: _Member) -> Any:
    text = _text(member)
    with reading(member.file, says=f"{member.name} in {member.file.name} is not valid JSON"):
        return check_depth(json.loads(text))


def _column(values: Sequence[Any]) -> Array:
    if all(isinstance(value, str) and re.fullmatch(r"-?\d{1,15}", value) for value in values):
        return sliced(np.array([int(value) for value in values]))
    if all(isinstance(value, str) for value in values):
        return text_array(values)
    numbers = all(isinstance(value, int | float) for value in values)
    return sliced(np.array(values, dtype=np.float64)) if numbers else text_array(map(str, values))
