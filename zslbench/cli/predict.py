"""``zslbench predict``: recognise classes of any names in videos with a saved model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from zslbench.cli._console import DEVICE, RESULTS, table
from zslbench.cli._files import FILE, check_suffix
from zslbench.cli._help import Verb
from zslbench.cli._model import check_features, features_for, named_model
from zslbench.cli._output import echo
from zslbench.errors import ZslbenchError, suggest
from zslbench.files import new_file, read_lines

if TYPE_CHECKING:
    from zslbench.features.feature_set import FeatureSet

_SHOWN = 20  # videos to print if --videos names none
_CLOSE = 0.85  # difflib's similarity from which a phrase looks like a misspelt class
_BATCH = 2048  # videos to score at a time, which bounds the memory
_MOST_SUGGESTED = 2000  # ids to compare a misspelt one with: difflib is slow
_MOST_LISTED = 3  # ids or new phrases per message


@click.command(
    cls=Verb,
    examples=[
        "zslbench predict 3f2a --classes 'juggling balls, playing violin'",
        "zslbench predict 3f2a --dataset ucf101 --classes names.txt --out predictions.csv",
    ],
)
@click.argument("model")
@click.option("--dataset", help="Dataset. [default: the model's]")
@click.option("--features", help="Feature set from the model's extractor. [default: the one named like the model's]")
@click.option(
    "--classes",
    metavar="NAMES|FILE",
    help="Any names, such as 'juggling balls, playing violin', or a file with one per line. [default: the dataset's, "
    "or the trained ones of a method that scores no others]",
)
@click.option("--videos", multiple=True, metavar="ID", help="Only this video. Repeatable.")
@click.option("--top", type=click.IntRange(min=1), default=3, help="Classes per video.")
@click.option("--out", type=FILE, help="Write all predictions to a .csv or .parquet file.")
@RESULTS
@DEVICE
def command(
    model: str, dataset: str | None, features: str | None, classes: str | None, videos: tuple[str, ...], top: int,
    out: Path | None, results: Path,
) -> None:  # fmt: skip
    """Recognise classes of any names in videos with MODEL: the folder of a saved model, or the beginning of its id.

    The classes may be new to the model and to the dataset: only their names are needed. A method that scores only the
    classes that it was trained on, such as linear-probe, takes no others. Scores are the method's own; they rank the
    classes of one video.
    """
    check_suffix("--out", out, (".csv", ".parquet"))
    saved = named_model(model, results)
    given = check_features(saved, features_for(saved.card.cell, dataset, features))
    wanted = saved.classes_of(None if classes is None else _names(classes), given.dataset)
    known = {*given.dataset.classes, *saved.classes.names}
    if classes is not None and (new := _new_phrases(wanted.names, known)):
        echo(f"note: {new}.", err=True)
    seen = sum(name in saved.card.seen for name in wanted.names)
    if saved.card.trains and 0 < seen < len(wanted):
        echo(f"note: {seen} of {len(wanted)} classes were seen in training, and are predicted more often.", err=True)
    rows = _rows(given, videos)
    shown = rows if videos or out else rows[:_SHOWN]
    best, values = _best(saved, given, shown, wanted, min(top, len(wanted)))
    if out:
        _write(out, given, shown, np.array(wanted.names)[best], values)
        echo(f"{best.shape[1]} classes for each of {len(shown):,} videos of {given.title} written to {out}")
        return
    headers = ["video", "class", *(f"{i + 1}." for i in range(best.shape[1]))]
    table(
        [
            (given.ids[row], given.dataset.classes[given.labels[row]],
             *(f"{wanted.names[i]} {value:.3f}" for i, value in zip(places, scores, strict=True)))
            for row, places, scores in zip(shown, best, values, strict=True)
        ],
        headers,
        drop=["class", *headers[:2:-1]],  # the best class stays
    )  # fmt: skip
    if len(shown) < len(rows):
        echo(f"{len(shown)} of {len(rows):,} videos; --out FILE.csv writes all, --videos ID chooses some.", err=True)


def _names(text: str) -> list[str]:
    path = Path(text)
    if path.suffix == ".txt" or path.is_file():  # a missing .txt is an error, not the name of a class
        lines = read_lines(path, "give a text file with one class per line")
    else:
        lines = text.split(",")
    return [line.strip() for line in lines if line.strip()]


def _new_phrases(names: Sequence[str], classes: Collection[str]) -> str:
    """Return a message with the names that are not classes, misspelt ones first; empty if there are none."""
    by_key = {_key(name): name for name in classes}
    near = {name: get_close_matches(_key(name), by_key, n=1, cutoff=_CLOSE) for name in names if name not in classes}
    told = [f"{name} (did you mean {by_key[found[0]]}?)" for name, found in near.items() if found]
    told += [name for name, found in near.items() if not found][: max(_MOST_LISTED - len(told), 0)]
    more = f" and {len(near) - len(told)} more" if len(near) > len(told) else ""
    return f"new {'phrase' if len(near) == 1 else 'phrases'}: {', '.join(told)}{more}" if near else ""


def _key(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _rows(features: FeatureSet, videos: tuple[str, ...]) -> list[int]:
    if not videos:
        return list(range(len(features.ids)))
    place = {video: row for row, video in enumerate(features.ids)}
    for video in videos:
        if video not in place:
            close = suggest(video, _like(video, features.ids), most=_MOST_LISTED)
            raise ZslbenchError(f"{features.title} has no video {video!r}.{close}")
    return [place[video] for video in dict.fromkeys(videos)]


def _like(video: str, ids: list[str]) -> list[str]:
    """Return ids that share the longest beginning with ``video``, as candidates for a suggestion."""
    for length in range(len(video), -1, -1):
        if found := [other for other in ids if other.startswith(video[:length])]:
            return found[:_MOST_SUGGESTED]
    return []


def _best(model: Any, features: FeatureSet, rows: list[int], classes: Any, top: int) -> tuple[Any, Any]:
    """Return the indices of the best classes of each video and their scores, (n_videos, top)."""
    from zslbench.stats.metrics import top_k
    from zslbench.videos import Videos

    store, places, values = features.projected(model.projection), [], []
    for start in range(0, len(rows), _BATCH):
        videos = Videos(store, np.array(rows[start : start + _BATCH]))
        scores = np.asarray(model.method.score(videos, classes), dtype=np.float64)
        places.append(top_k(scores, top))
        values.append(np.take_along_axis(scores, places[-1], axis=1))
    return np.concatenate(places), np.concatenate(values)


def _write(out: Path, features: FeatureSet, rows: list[int], names: Any, scores: Any) -> None:
    """Write one row per video and rank: video, class, rank, predicted, score."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    top = names.shape[1]
    found = pa.table(
        {
            "video": np.repeat([features.ids[row] for row in rows], top),
            "class": np.repeat([features.dataset.classes[features.labels[row]] for row in rows], top),
            "rank": np.tile(np.arange(1, top + 1), len(rows)),
            "predicted": names.ravel(),
            "score": scores.ravel(),
        }
    )
    with new_file(out, option="--out") as work:
        (csv.write_csv if out.suffix == ".csv" else parquet.write_table)(found, work)
