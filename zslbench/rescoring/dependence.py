"""Why the scores of a cell hold only for the classes and videos that it was run with."""

from __future__ import annotations

from zslbench.cells.cell import Cell
from zslbench.cells.checked import Checked, is_own, read_checked
from zslbench.cells.store import Record
from zslbench.features.ensemble import part_names
from zslbench.method import Budget, Method
from zslbench.run.trained import installed

_LOOKS = {
    Budget.UNSEEN_NAMES: "it knows the names of the tested classes when it trains",
    Budget.UNSEEN_VIDEOS: "it looks at the unlabelled test videos",
    Budget.ORACLE: "it chooses by test labels",
}
_COMPANY = {"class-company", "batch-size", "large-batches"}  # checks that a score depends on its video and class alone


def dependence(record: Record) -> str:
    """Return why a cell's scores would be others with other classes or videos in the test; empty if they would not."""
    cell = record.cell
    if looks := [why for budget, why in _LOOKS.items() if budget in cell.budget]:
        return looks[0]
    if len(part_names(cell.features)) > 1:
        return "an ensemble's scores are standardised over the classes on offer"
    method = installed(cell)
    verdict = Checked.model_validate(record.result.checked) if record.result.checked else None
    verdict = verdict or read_checked(cell.method_digest)
    failed = _COMPANY & {*(verdict.failed + verdict.expected if verdict else ()), *_declared(method, cell)}
    if failed:
        return f"its scores depend on the other classes or videos (check {min(failed)})"
    if verdict is None and method is None:
        return f"{cell.method} is not installed with the code that it ran with, so nothing is known of its scores"
    if verdict is None and method is not None and not is_own(method):
        return f"nothing shows that a score depends on its video and class alone; run 'zslbench check {cell.method}'"
    return ""


def _declared(method: type[Method] | None, cell: Cell) -> set[str]:
    return set(method(cell.params).expected_failed_checks) if method else set()
