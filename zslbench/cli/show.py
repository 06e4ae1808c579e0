"""``zslbench show``: draw a contact sheet of a video, with the classes that a saved model predicts."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from zslbench.cli._console import RESULTS, table
from zslbench.cli._files import FILE, PICTURES, check_suffix, writing
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.cli.extract import recipe_of, recipe_options
from zslbench.errors import ZslbenchError
from zslbench.report.contact_sheet import DrawnClip, Prediction, contact_sheet

if TYPE_CHECKING:
    from zslbench.run.models import SavedModel
    from zslbench.video.recipe import Recipe


@click.command(
    cls=Verb,
    examples=["zslbench show clip.avi --backbone motion", "zslbench show clip.avi --model 3f2a --out frames.png"],
)
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--model", metavar="MODEL", help="A saved model: its folder, or its id ('zslbench run --save-model').")
@click.option(
    "--classes", metavar="NAMES|FILE", help="Classes to choose from. [default: all classes of the model's dataset]"
)
@click.option("--top", type=click.IntRange(min=1), default=5, help="Number of predicted classes.")
@click.option("--rows", type=click.IntRange(min=1), default=6, help="Number of clips to draw.")
@recipe_options
@click.option("--out", type=FILE, help="File of the picture. [default: VIDEO's name with .png, in this folder]")
@RESULTS
def command(
    video: Path, model: str | None, classes: str | None, top: int, rows: int, out: Path | None, results: Path,
    **options: Any,
) -> None:  # fmt: skip
    """Draw the sampled frames of VIDEO, clip by clip.

    With --model, show also the classes that it predicts. Sampling and features are those that the model was trained
    on, or those of --backbone and its options.
    """
    out = out or Path(f"{video.stem}.png")
    check_suffix("--out", out, PICTURES)
    saved = None
    if model:
        from zslbench.cli._model import named_model

        saved = named_model(model, results)
    recipe = _recipe(saved, options)
    predictions = _predictions(saved, video, recipe, classes, top) if saved else []
    if predictions:
        table([(f"{each.score:.3f}", each.name, "seen" * each.seen) for each in predictions], ["score", "class", ""])
    spans, drawn, told = _look(video, recipe, rows)
    subtitle = f"{told}; {recipe.open_sampler().describe()}"
    figure = contact_sheet(str(video), subtitle, spans, drawn, predictions, saved.card.title if saved else "")
    figure.axes[0].set_xlim(left=0)  # the time line starts at the video's beginning
    with writing("--out", out) as work:
        figure.savefig(work)


def _recipe(saved: SavedModel | None, options: Mapping[str, Any]) -> Recipe:
    """Return the recipe that the options name, else the recipe of the model's features."""
    if options["backbone"] or saved is None:
        return recipe_of({**options, "backbone": options["backbone"] or "motion"})
    from zslbench.features.feature_set import feature_path, read_manifest
    from zslbench.video.recipe import read_recipe

    cell = saved.card.cell
    path = feature_path(cell.dataset, cell.features)
    with contextlib.suppress(ZslbenchError):  # the feature set was removed: read_recipe() explains what to do
        if step := read_manifest(path).transform:
            path = feature_path(cell.dataset, step.parent)  # a PCA has no recipe: its parent was extracted
    return read_recipe(path)


def _predictions(saved: SavedModel, video: Path, recipe: Recipe, classes: str | None, top: int) -> list[Prediction]:
    from zslbench.cli.predict import _names
    from zslbench.datasets.catalog import get_dataset
    from zslbench.features.transforms import project
    from zslbench.stats.metrics import top_k
    from zslbench.video.folders import VideoFile
    from zslbench.video.pipeline import extract_videos
    from zslbench.videos import Videos

    backbone, ours = recipe.open_backbone(), saved.card.features
    if backbone.describe() != ours.extractor:
        echo(f"note: the features are from {backbone.describe()}, but the model's are from {ours.extractor}.", err=True)
    file = VideoFile(video.stem, video, "")
    (found,) = extract_videos([[file]], backbone, recipe.open_sampler(), recipe.open_reader())
    features = found.features
    if features is None:
        raise ZslbenchError(f"{video} {found.reason}.")
    if features.shape[1] != ours.dim:
        raise ZslbenchError(
            f"{recipe.backbone} gives {features.shape[1]} values, but the model was trained on {ours.dim} of "
            f"{ours.title}; choose the --backbone of {ours.title}."
        )
    dataset = get_dataset(saved.card.cell.dataset)
    wanted = saved.classes_of(_names(classes) if classes else None, dataset)
    videos = project(Videos.from_arrays([features], tokens=backbone.rows_per_clip), saved.projection)
    scores = np.asarray(saved.method.score(videos, wanted), dtype=np.float64)
    best = top_k(scores, min(top, len(wanted)))[0]
    seen = saved.card.seen if saved.card.trains else ()
    return [Prediction(wanted.names[i], float(scores[0, i]), wanted.names[i] in seen) for i in best]


def _look(video: Path, recipe: Recipe, rows: int) -> tuple[list[tuple[float, float]], list[DrawnClip], str]:
    """Return the span of every clip, the clips to draw, and a line about the file.

    The video is decoded twice, so that only one clip is in memory, not all of them.
    """
    sampler, reader = recipe.open_sampler(), recipe.open_reader()
    spans = [(float(clip.times[0]), float(clip.times[-1])) for clip in sampler.clips(reader.frames(video))]
    chosen = set(np.linspace(0, len(spans) - 1, min(rows, len(spans))).round().astype(int).tolist())
    frames = reader.frames(video)
    drawn, size = [], ""
    for number, clip in enumerate(sampler.clips(frames)):
        if number in chosen:
            drawn.append(DrawnClip.of(number, clip.indices, clip.times, clip.images))
            size = f"{clip.images.shape[2]}x{clip.images.shape[1]}"
    told = f"{size}, {frames.n_frames} frames decoded"
    return spans, drawn, "; ".join([told, *frames.warnings])
