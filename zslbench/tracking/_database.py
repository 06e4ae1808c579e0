"""The SQLite database of MLflow in a results folder."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path
from typing import Any


@cache  # a second listener for the same file would do the same again
def wait_for_no_disk(database: Path) -> None:
    """Let SQLite leave syncing to the operating system: 20 ms instead of 95 ms per cell on a busy disk.

    A killed process does no harm. After a power cut the file may be damaged: delete it, and ``zslbench track sync``
    makes it again. This applies only to the file in the results folder: other stores belong to somebody else.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def on_connect(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            path = connection.execute("PRAGMA database_list").fetchone()[2]
            if path and Path(path) == database.resolve():
                connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", on_connect)
