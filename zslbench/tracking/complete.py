"""Ask whether MLflow has all that is stored, without MLflow, whose import takes two seconds."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable

from zslbench.cells.cell import Cell
from zslbench.cells.store import Store
from zslbench.tracking._content import CELL_ID, RESULT_DIGEST, result_digest
from zslbench.tracking._turns import Turns
from zslbench.tracking.tracker import DATABASE

_PROJECTED = """
SELECT cell.value, result.value FROM tags cell JOIN tags result USING (run_uuid) JOIN runs USING (run_uuid)
WHERE cell.key = ? AND result.key = ? AND lifecycle_stage = 'active' AND status IN ('FINISHED', 'FAILED')
"""


def is_complete(store: Store, cells: Iterable[Cell], uri: str | None) -> bool:
    """Return whether the database in the results folder has what is stored of the cells; ``False`` for a server."""
    if uri is not None or Turns(store).unfinished():
        return False
    wanted = {cell.id for cell in cells}
    stored = {(r.cell.id, result_digest(r)) for r in store.records() if r.cell.id in wanted}
    address = f"{(store.root / DATABASE).as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            return stored <= set(connection.execute(_PROJECTED, (CELL_ID, RESULT_DIGEST)))
    except sqlite3.Error:
        return False
