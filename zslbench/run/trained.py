"""Whether a cell depends on its seen classes at all."""

from __future__ import annotations

from functools import cache

from zslbench.cells.cell import Cell
from zslbench.cells.source import source_digest
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.method import Method
from zslbench.registry import get_method


def trains(cell: Cell) -> bool:
    """Return whether a cell's scores depend on its seen classes: by the method, or by features fitted on their videos.

    A method that is not installed with the same source counts as one that trains.
    """
    method = installed(cell)
    return method is None or method(cell.params).trains or _fitted_on_seen(cell.dataset, cell.features)


@cache
def _fitted_on_seen(dataset: str, features: str) -> bool:
    try:
        steps = [part.manifest.transform for part in open_features(get_dataset(dataset), features).parts]
    except ZslbenchError:
        return False
    return any(step is not None and step.fit == "seen" for step in steps)


def installed(cell: Cell) -> type[Method] | None:
    """Return a cell's method, or ``None`` if this machine has not the source that it ran with."""
    try:
        method = get_method(cell.method)
    except ZslbenchError:
        return None
    return method if source_digest(method) == cell.method_digest else None
