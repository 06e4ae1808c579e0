"""The SQLite database of MLflow in a results folder: a projection, so it can be renamed and made again at any time."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from zslbench.files import new_file
from zslbench.tracking.errors import TrackingError

_LEFT_FOR_CELLS = 16 << 20  # bytes
_HALF_MADE = """
SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name LIKE '\\_alembic\\_tmp\\_%' ESCAPE '\\')
    OR EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table')
        AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'alembic_version')
"""


@cache  # a second listener for the same file would do the same again
def wait_for_no_disk(database: Path) -> None:
    """Let SQLite leave syncing to the operating system: 20 ms instead of 95 ms per cell on a busy disk.

    A killed process does no harm. After a power cut the file may be damaged: delete it, and ``zslbench track sync``
    makes it again. This applies only to the file in the results folder: other stores belong to somebody else.
    """
    _on_connect(database, lambda connection: connection.execute("PRAGMA synchronous=OFF"))


def _on_connect(database: Path, act: Callable[[sqlite3.Connection], object]) -> None:
    """Call ``act`` with each connection to the database that SQLAlchemy opens from now on."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def on_connect(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            path = connection.execute("PRAGMA database_list").fetchone()[2]
            if path and Path(path) == database.resolve():
                act(connection)

    event.listen(Engine, "connect", on_connect)


def set_half_made_aside(database: Path) -> str:
    """Rename a database that a killed command was creating; return a sentence about it, or an empty text.

    Raises
    ------
    sqlite3.Error
        The file cannot be read, or is no database.
    """
    if not database.exists():
        return ""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (half_made,) = connection.execute(_HALF_MADE).fetchone()
        empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    if not half_made and not empty:
        return ""
    kept = database.with_name(f"{database.name}.half-made-{time.strftime('%Y%m%d-%H%M%S')}")
    for ending in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            database.with_name(database.name + ending).rename(kept.with_name(kept.name + ending))
    return (
        f"{database.name} was half-made, as a command that is killed leaves it; it is renamed to {kept.name}, and made "
        f"again from the stored results."
    )


def create(database: Path, migrate: Callable[[str], object]) -> None:
    """Make the database completely or not at all: a command that is killed leaves a file that nobody reads.

    Parameters
    ----------
    migrate
        Function of an address that makes MLflow's tables there.
    """
    opened: list[sqlite3.Connection] = []
    with new_file(database) as work:
        wait_for_no_disk(work)
        _on_connect(work, opened.append)
        try:
            migrate(f"sqlite:///{work}")
        finally:
            for connection in opened:  # MLflow keeps them, and a deleted file takes space while it is open
                connection.close()


def leave_space_for_cells(folder: Path) -> None:
    """Refuse to write into a folder that is nearly full: MLflow can be filled later, and a cell is lost.

    Raises
    ------
    TrackingError
        Little space is free.
    """
    free = shutil.disk_usage(folder).free
    if free < _LEFT_FOR_CELLS:
        raise TrackingError(
            f"{free >> 10:,} KiB are free in {folder}, and the last {_LEFT_FOR_CELLS >> 20} MiB are left for cells; "
            f"free some space."
        )
