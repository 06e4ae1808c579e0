"""Check that a stored result does not contradict itself: its state, its figures and its counts per class."""

from __future__ import annotations

import math
from itertools import compress

from zslbench.cells.cell import Cell, ClassCounts, Result, State

_FROM_PREDICTIONS = {
    "zsl": {"hubness"},
    "gzsl": {"hubness", "AUSUC", "S_calibrated", "U_calibrated", "H_calibrated", "factor"},
}  # fmt: skip


def contradiction(cell: Cell, result: Result) -> str | None:
    """Return what contradicts itself in a result, in a few words, or ``None``."""
    counts = result.classes
    if result.state is not State.DONE:
        return f"it is {result.state} but has figures" if counts or result.metrics else None
    if counts is None or "top1" not in result.metrics:
        return "it is done but has no figures"
    if problem := _counts_problem(cell, counts):
        return problem
    present = sum(compress(counts.scored, counts.unseen))
    if result.present is not None and result.present != present:
        return f"{result.present} videos of unseen classes are present, but {present} were scored"
    known = _figures(cell, counts)
    for name, value in result.metrics.items():
        if name in known:
            if not math.isclose(value, known[name], rel_tol=1e-9, abs_tol=1e-12):
                return f"{name} is {value:.6g}, but its counts per class give {known[name]:.6g}"
        elif name not in _FROM_PREDICTIONS[cell.protocol]:
            return f"{name} is no figure of {cell.protocol}"
    return None


def _counts_problem(cell: Cell, counts: ClassCounts) -> str | None:
    n = len(counts.names)
    if not n or len(set(counts.names)) < n or any(len(values) != n for _, values in counts):
        return "its counts per class have not one value for each class"
    if not all(0 <= one <= five <= n for one, five, n in zip(counts.top1, counts.top5, counts.scored, strict=True)):
        return "its counts per class are not 0 <= top1 <= top5 <= scored"
    wanted = {True} if cell.protocol == "zsl" else {True, False}
    if set(counts.unseen) != wanted or set(compress(counts.unseen, counts.scored)) != wanted:
        return f"its seen and unseen classes, or their videos, are not those of {cell.protocol}"
    return None


def _figures(cell: Cell, counts: ClassCounts) -> dict[str, float]:
    """Return the figures that the counts determine."""
    videos = sum(counts.scored)
    found = {
        "top1": sum(counts.top1) / videos,
        "top1_per_class": _mean(counts.top1, counts.scored, [True] * len(counts.scored)),
        "chance": 1 / len(counts.names),
        "majority": max(counts.scored) / videos,
    }
    if cell.protocol == "zsl":
        top5_per_class = _mean(counts.top5, counts.scored, counts.unseen)
        return found | {"top5": sum(counts.top5) / videos, "top5_per_class": top5_per_class}
    u = _mean(counts.top1, counts.scored, counts.unseen)
    s = _mean(counts.top1, counts.scored, [not unseen for unseen in counts.unseen])
    return found | {"S": s, "U": u, "H": 2 * s * u / (s + u) if s + u else 0.0}


def _mean(hits: tuple[int, ...], scored: tuple[int, ...], chosen: tuple[bool, ...] | list[bool]) -> float:
    """Return the mean share of the chosen classes that have videos."""
    shares = [hit / n for hit, n, one in zip(hits, scored, chosen, strict=True) if one and n]
    return sum(shares) / len(shares)
