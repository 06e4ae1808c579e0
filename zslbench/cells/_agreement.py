"""Check that a stored result does not contradict itself: its state, its figures and its counts per class."""

from __future__ import annotations

import math
from itertools import compress

from zslbench.cells.cell import Cell, ClassCounts, Result, State
from zslbench.protocols.protocol import PROTOCOLS


def contradiction(cell: Cell, result: Result) -> str | None:
    """Return what contradicts itself in a result, in a few words, or ``None``."""
    counts = result.classes
    if result.state is not State.DONE:
        return f"it is {result.state} but has figures" if counts or result.metrics else None
    if counts is None or "top1" not in result.metrics:
        return "it is done but has no figures"
    if problem := _counts_problem(cell, counts):
        return problem
    present = sum(compress(counts.scored, counts.unseen)) if any(counts.unseen) else sum(counts.scored)
    if result.present is not None and result.present != present:
        return f"{result.present} videos of the tested classes are present, but {present} were scored"
    calibrated = cell.protocol == "gzsl" and cell.calibrate
    if ("factor" in result.metrics) != calibrated:
        return f"it has {'no ' if calibrated else 'a '}calibration factor"
    known = _figures(cell, counts)
    for name, value in result.metrics.items():
        if name in known:
            if not math.isclose(value, known[name], rel_tol=1e-9, abs_tol=1e-12):
                return f"{name} is {value:.6g}, but its counts per class give {known[name]:.6g}"
        elif name not in PROTOCOLS[cell.protocol].metrics:
            return f"{name} is no figure of {cell.protocol}"
    return None


def _counts_problem(cell: Cell, counts: ClassCounts) -> str | None:
    n = len(counts.names)
    if not n or len(set(counts.names)) < n or any(len(values) != n for _, values in counts):
        return "its counts per class have not one value for each class"
    if not all(0 <= one <= five <= n for one, five, n in zip(counts.top1, counts.top5, counts.scored, strict=True)):
        return "its counts per class are not 0 <= top1 <= top5 <= scored"
    wanted = {"unseen": {True}, "seen": {False}}.get(PROTOCOLS[cell.protocol].tested, {True, False})
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
    tested = PROTOCOLS[cell.protocol].tested
    if tested == "apart":
        base, novel = (_share(counts, side) for side in (False, True))
        n_novel = sum(counts.unseen)
        chance = _harmonic(1 / (len(counts.names) - n_novel), 1 / n_novel)
        return found | {"HM": _harmonic(base, novel), "base": base, "novel": novel, "chance": chance}
    if tested != "both":
        top5_per_class = _mean(counts.top5, counts.scored, [True] * len(counts.scored))
        return found | {"top5": sum(counts.top5) / videos, "top5_per_class": top5_per_class}
    u = _mean(counts.top1, counts.scored, counts.unseen)
    s = _mean(counts.top1, counts.scored, [not unseen for unseen in counts.unseen])
    return found | {"S": s, "U": u, "H": _harmonic(s, u)}


def _share(counts: ClassCounts, unseen: bool) -> float:
    """Return the share of right videos of the unseen or of the seen classes."""
    chosen = [each == unseen for each in counts.unseen]
    return sum(compress(counts.top1, chosen)) / sum(compress(counts.scored, chosen))


def _harmonic(first: float, second: float) -> float:
    return 2 * first * second / (first + second) if first + second else 0.0


def _mean(hits: tuple[int, ...], scored: tuple[int, ...], chosen: tuple[bool, ...] | list[bool]) -> float:
    """Return the mean share of the chosen classes that have videos."""
    shares = [hit / n for hit, n, one in zip(hits, scored, chosen, strict=True) if one and n]
    return sum(shares) / len(shares)
