"""Read and write the index of a results folder: stored cells in one SQLite file, so that thousands are read fast.

The index is a cache. A row is used only if its stamp is that of the cell's files and its checksum is correct. The file
is written under a temporary name, renamed and never changed. So no lock is needed, not even on a network file system.
If the index is missing, damaged or cannot be written, cells are read from their own files.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from zslbench.cells.cell import PREDICTIONS, SUMS, Cell, Result
from zslbench.errors import ZslbenchError
from zslbench.files import new_file

_FORM = b"2"  # raise it when rows must be made again, because they keep more or less of a result
# The casts are needed because a damaged file can turn text into bytes and back.
_SELECT = "SELECT CAST(id AS TEXT), CAST(stamp AS TEXT), CAST(cell AS BLOB), CAST(result AS BLOB), checksum FROM cells"
ENVIRONMENT = "environment.json"
_FILES = ("cell.json", "result.json", ENVIRONMENT, SUMS)


class IndexRow(NamedTuple):
    """One cell: its id, the stamp of its files, their contents as JSON, and a checksum of all these."""

    id: str
    stamp: str
    cell: bytes
    result: bytes
    check: int

    def parsed(self, stamp: str) -> tuple[Cell, Result] | None:
        """Return the cell and its result, or ``None`` if the row is out of date or damaged."""
        if self.stamp != stamp or self.check != _checksum(self.id, stamp, self.cell, self.result):
            return None
        try:
            return Cell.model_validate_json(self.cell), Result.model_validate_json(self.result)
        except ValidationError:  # another version of zslbench made it
            return None


def index_row(cell: Cell, result: Result, stamp: str) -> IndexRow:
    """Return the row of a cell whose files had that stamp before they were read."""
    content = cell.model_dump_json().encode(), result.model_dump_json().encode()
    return IndexRow(cell.id, stamp, *content, _checksum(cell.id, stamp, *content))


def stamp_of(folder: str) -> str:
    """Return sizes and times of a cell's files and the time of its folder; empty if a file that all have is missing.

    An edit can restore the size and the time of the content, but hardly the time of the last change (``ctime``).
    """
    try:
        found = [os.stat(folder), *(os.stat(f"{folder}/{name}") for name in _FILES)]  # noqa: PTH116 - Path.stat() is slow
    except OSError:
        return ""
    with contextlib.suppress(OSError):  # a failed cell has none
        found.append(os.stat(f"{folder}/{PREDICTIONS}"))  # noqa: PTH116
    return " ".join(f"{each.st_size} {each.st_mtime_ns} {each.st_ctime_ns}" for each in found)


def read_index(path: Path) -> dict[str, IndexRow]:
    """Return id -> row; empty if the file is missing or damaged."""
    try:
        place = f"{path.absolute().as_uri()}?mode=ro&immutable=1"  # without mode=ro, an empty file would be made
        with contextlib.closing(sqlite3.connect(place, uri=True)) as database:
            rows = database.execute(_SELECT)
            return {row[0]: IndexRow(*row) for row in rows}
    except sqlite3.Error:
        return {}


def write_index(path: Path, rows: Iterable[IndexRow]) -> None:
    """Replace the index by these rows; on a full or read-only disk, do nothing."""
    with (
        contextlib.suppress(ZslbenchError, sqlite3.Error),
        new_file(path) as work,
        contextlib.closing(sqlite3.connect(work, isolation_level=None)) as database,
    ):
        database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;")
        database.execute("CREATE TABLE cells (id TEXT PRIMARY KEY, stamp TEXT, cell, result, checksum INTEGER)")
        database.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?)", rows)
        database.execute("COMMIT")


def _checksum(cell_id: str, stamp: str, cell: bytes, result: bytes) -> int:
    return zlib.crc32(result, zlib.crc32(cell, zlib.crc32(f"{cell_id} {stamp}".encode() + _FORM)))


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Disable garbage collection: reading 10,000 records makes no garbage, and the search takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()  # or the next search would visit all records
            gc.enable()
