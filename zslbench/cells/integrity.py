"""Check a stored cell in full: all files against their checksums, every figure against the predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.cells._index import read_index, stamp_of
from zslbench.cells._sums import read_sums
from zslbench.cells.cell import ERROR, PREDICTIONS, SCORES, SUMS, TRACEBACK, TRAINING, Failure
from zslbench.cells.per_video import read_training
from zslbench.cells.predictions import Predictions, read_predictions
from zslbench.cells.store import INDEX, Record, Store, brief
from zslbench.digests import file_sha256
from zslbench.errors import ZslbenchError, parsed, some
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.stats.metrics import Ranked


def file_problems(folder: Path) -> list[str]:
    """Return the files of a cell's directory that are missing or do not match their checksums."""
    try:
        sums = read_sums(folder)
    except ZslbenchError as error:
        return [str(error)]
    found = []
    for name, expected in sums.items():
        try:
            if file_sha256(folder / name) != expected:
                found.append(f"{name} does not match {SUMS}")
        except OSError as error:
            found.append(f"{name}: {error.strerror or error}")
    return found


def unknown_files(folder: Path) -> list[str]:
    """Return the names in a cell's directory that are not files of the cell."""
    try:
        known = {SUMS, *read_sums(folder)}
    except ZslbenchError:
        return []
    return sorted(path.name for path in folder.iterdir() if path.name not in known)


def record_problems(record: Record, folder: Path) -> list[str]:
    """Return what disagrees between a cell's result and its other files; figures are computed again."""
    found = list(_side_problems(record, folder))
    if record.result.classes is None:
        return found
    try:
        predictions = read_predictions(folder / PREDICTIONS)
        found += figure_problems(record, predictions)
        found += _training_problems(folder, predictions)
    except FileNotFoundError:
        return [*found, f"there is no {PREDICTIONS}, so no figure can be computed again"]
    except (ZslbenchError, ValueError) as error:
        return [*found, str(error)]
    if problem := _order_problem(predictions.ranked):
        found.append(f"{PREDICTIONS}: {problem}")
    if (folder / SCORES).exists() and (problem := scores_problem(folder / SCORES, predictions)):
        found.append(f"{SCORES}: {problem}")
    return found


def figure_problems(record: Record, predictions: Predictions) -> list[str]:
    """Return the figures and counts of a result that are not those of its predictions."""
    result, computed = record.result, predictions.metrics()
    if record.cell.protocol != predictions.protocol:
        return [f"the predictions are not of {record.cell.protocol}"]
    found = []
    for name in sorted(computed.keys() | result.metrics.keys()):
        stored, ours = result.metrics.get(name), computed.get(name)
        if stored is None or ours is None or not math.isclose(stored, ours, rel_tol=1e-9, abs_tol=1e-12):
            found.append(f"{name} is {_shown(stored)}, but the predictions give {_shown(ours)}")
    if predictions.counts() != result.classes:
        found.append("the counts per class are not those of the predictions")
    if len(set(predictions.videos)) != len(predictions.videos):
        found.append("a video is predicted twice")
    return found


def _training_problems(folder: Path, predictions: Predictions) -> list[str]:
    """Return what is wrong with the list of training videos, if the cell has one."""
    training = read_training(folder)
    found, videos = [], [video for video, _ in training]
    if len(set(videos)) < len(videos):
        found.append(f"{TRAINING} names a video twice")
    if both := set(videos) & set(predictions.videos):
        found.append(f"{len(both)} videos are tested and in {TRAINING}, such as {min(both)!r}")
    seen = set(compress(predictions.classes, predictions.ranked.seen.tolist()))
    if seen and (odd := {name for _, name in training} - seen):  # features may lack all drawn videos of a class
        found.append(f"{TRAINING} names classes that are not seen ones: {some(sorted(odd), 3)}")
    return found


def index_problems(store: Store) -> list[tuple[str, str]]:
    """Return the ids of rows of the index that contradict their cells, or have none, and why."""
    path, found = store.root / INDEX, []
    rows = read_index(path)
    if path.exists() and not path.is_file():
        found.append((INDEX, "it is no file; delete it"))
    elif path.exists() and not rows and store.names():
        found.append((INDEX, "it cannot be read; it is made again when results are read"))
    for name, row in rows.items():
        stamp = stamp_of(str(store.path(name)))
        if not store.path(name).is_dir():
            found.append((name, f"{INDEX} has a row without a cell"))
        elif row.stamp == stamp and isinstance(cell := store.find(name), Record):
            parsed = row.parsed(stamp)
            if parsed is None or parsed != (cell.cell, brief(cell.result)):
                found.append((name, f"its row in {INDEX} is not that of the cell"))
    return found


def _side_problems(record: Record, folder: Path) -> Iterator[str]:
    """Yield what is wrong with the files that no figure is in."""
    try:
        if not isinstance(json.loads((folder / "environment.json").read_bytes()), dict):
            yield "environment.json is no object"
        stored, readable = folder / ERROR, folder / TRACEBACK
        failure = parsed(Failure, stored.read_bytes()) if stored.exists() else None
    except (OSError, ValueError, RecursionError) as error:
        yield f"environment.json or error.json cannot be read ({type(error).__name__})"
    else:
        if failure != record.result.failure:
            yield "error.json and result.json have different errors"
        if readable.exists() and (failure is None or readable.read_bytes() != failure.traceback.encode()):
            yield f"{TRACEBACK} is not the traceback of error.json"


def _order_problem(ranked: Ranked) -> str | None:
    best, scores = ranked.best, ranked.scores
    falls = (scores[:, :-1] > scores[:, 1:]) | ((scores[:, :-1] == scores[:, 1:]) & (best[:, :-1] < best[:, 1:]))
    if not falls.all() or (np.diff(np.sort(best, axis=1), axis=1) == 0).any():
        return "the best classes of a video are not in order"
    sides = ((True, ranked.best_seen, ranked.seen_scores), (False, ranked.best_unseen, ranked.unseen_scores))
    found = (_side_problem(ranked, seen, *side) for seen, *side in sides)
    return next((problem for problem in found if problem), None)


def _side_problem(ranked: Ranked, seen: bool, best: NDArray[Any] | None, scores: NDArray[Any] | None) -> str | None:
    """Return whether the best seen (or unseen) class of a video is not that among its five best classes."""
    if best is None or scores is None:
        return None  # zsl
    name = "seen" if seen else "unseen"
    if (ranked.seen[best] != seen).any():
        return f"the best {name} class of a video is not {name}"
    rows, of_side = np.arange(len(best)), ranked.seen[ranked.best] == seen
    first, has = of_side.argmax(axis=1), of_side.any(axis=1)
    same = (ranked.best[rows, first] == best) & (ranked.scores[rows, first] == scores)
    last = ranked.scores[:, -1]
    worse = (scores < last) | ((scores == last) & (best > ranked.best[:, -1]))
    return None if np.where(has, same, worse).all() else f"the best {name} class is not that of the best classes"


def scores_problem(path: Path, predictions: Predictions) -> str | None:
    """Return how all scores contradict the predictions; rounding makes scores equal but never exchanges them."""
    ranked = predictions.ranked
    try:
        scores = np.array(np.load(path, allow_pickle=False, mmap_mode="r"))  # a false size fails before it is allocated
    except Exception as error:  # numpy's parser of headers raises what Python's tokenizer raises
        return f"it cannot be read ({type(error).__name__})"
    if scores.shape != (len(ranked.labels), len(ranked.seen)) or scores.dtype not in ("f2", "f4", "f8"):
        return f"it is {scores.shape} {scores.dtype}"
    if PROTOCOLS[predictions.protocol].tested == "apart":
        other = ranked.seen[ranked.labels][:, None] != ranked.seen
        if not np.isneginf(scores[other]).all():
            return "a video has scores of classes that it is not compared with"
        scores[other] = np.finfo(scores.dtype).min
    if not np.isfinite(scores).all():
        return "a score is not finite"
    if not (np.take_along_axis(scores, ranked.best, axis=1) == ranked.scores.astype(scores.dtype)).all():
        return "the scores of the best classes are not those of the predictions"
    if ranked.seen_scores is not None and ranked.unseen_scores is not None:
        seen, unseen = (scores[:, chosen].max(axis=1) for chosen in (ranked.seen, ~ranked.seen))
        if (seen != ranked.seen_scores.astype(scores.dtype)).any() or (
            unseen != ranked.unseen_scores.astype(scores.dtype)
        ).any():
            return "the best seen or unseen scores are not those of the predictions"
    last = np.take_along_axis(scores, ranked.best[:, -1:], axis=1)
    np.put_along_axis(scores, ranked.best, -np.inf, axis=1)
    return "another class is better than the best ones" if (scores > last).any() else None


def _shown(value: float | None) -> str:
    return "missing" if value is None else f"{value:.6g}"
