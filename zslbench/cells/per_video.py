"""Write the files of a cell that have a row per video, and read its list of training videos."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.cells.cell import PREDICTIONS, SCORES, TRAINING, KeptScores
from zslbench.errors import ZslbenchError

_HEADER = ["video", "class"]


def write_predictions(folder: Path, predictions: Any) -> None:
    """Write a :class:`pyarrow.Table` of predictions."""
    import pyarrow.parquet as pq

    pq.write_table(predictions, folder / PREDICTIONS, compression="zstd")


def write_scores(folder: Path, scores: Any, kind: KeptScores) -> None:
    """Write all scores in the type ``kind``, or in the next wider one that holds them."""
    with np.errstate(over="ignore"):
        made = (scores.astype(each) for each in (kind, np.float32, np.float64))
        fits = next(kept for kept in made if (np.isfinite(kept) == np.isfinite(scores)).all())
    np.save(folder / SCORES, fits, allow_pickle=False)


def write_training(folder: Path, videos: Sequence[tuple[str, str]]) -> None:
    """Write the ids of the training videos with their classes, as a CSV."""
    with (folder / TRAINING).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([_HEADER, *videos])


def read_training(folder: Path) -> tuple[tuple[str, str], ...]:
    """Return the training videos of a cell with their classes; none if the cell has no list of them.

    Raises
    ------
    ZslbenchError
        The file is not such a list; the message is the reason in a few words.
    """
    path = folder / TRAINING
    if not path.exists():
        return ()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise ZslbenchError(f"{path.name} cannot be read ({type(error).__name__})") from error
    if rows[:1] != [_HEADER] or any(len(row) != len(_HEADER) for row in rows):
        raise ZslbenchError(f"{path.name} has not the columns {' and '.join(_HEADER)}")
    return tuple((video, name) for video, name in rows[1:])
