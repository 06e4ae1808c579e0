"""``zslbench extract``: extract a feature set from the videos of a dataset."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zslbench.cli._console import add_options, hub_options, table
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.compute import native_bfloat16, native_float16
from zslbench.errors import ZslbenchError
from zslbench.tables.progress import progress

if TYPE_CHECKING:
    from zslbench.video.model_files import ModelFiles
    from zslbench.video.recipe import Recipe

_SHOWN = 5  # failures and warnings to print; the files have all of them
_FILE = click.Path(path_type=Path)
_NATIVE = {"float16": native_float16, "bfloat16": native_bfloat16}


# The options that choose how features are extracted.
recipe_options = add_options((
    click.option("--backbone", help="Backbone; --list-backbones lists them."),
    click.option("--weights", type=_FILE, help="The backbone's weights."),
    click.option("--weights-sha256", metavar="HEX", help="Required SHA-256 of the weights, or its first digits."),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto"),
    click.option(
        "--precision", type=click.Choice(["float32", "tf32", "float16", "bfloat16"]),
        help="Of the network's products. [default: float32]",
    ),
    click.option("--sampler", help="clips, segments or whole. [default: the backbone's own]"),
    click.option(
        "--set", "settings", multiple=True, metavar="NAME=VALUE",
        help="backbone.PARAMETER or sampler.PARAMETER, such as sampler.clip_stride=16. Repeatable.",
    ),
    click.option("--batch", type=click.IntRange(min=1), help="Number of clips to compute together."),
))  # fmt: skip


def recipe_of(options: Mapping[str, Any]) -> Recipe:
    """Return the recipe that the options of :func:`recipe_options` describe."""
    from zslbench.run.experiment import parse_settings
    from zslbench.video.recipe import make_recipe

    try:
        settings = parse_settings(options["settings"])
    except ZslbenchError as error:
        ours = "backbone.PARAMETER=VALUE or sampler.PARAMETER=VALUE"
        raise ZslbenchError(str(error).replace("METHOD.PARAMETER=VALUE", ours)) from error
    files, weights = _files_of_model(options), options["weights"]
    if named := options.get("trained_on"):
        if "trained_on" in settings.setdefault("backbone", {}):
            raise ZslbenchError("give either --trained-on or --set backbone.trained_on.")
        settings["backbone"]["trained_on"] = list(named)
    backbone = options["backbone"]
    if files is not None:
        backbone, weights = files.layout.backbone, files.folder
        if options["trust_remote_code"]:
            settings.setdefault("backbone", {})["trust_remote_code"] = True
    if options["precision"]:
        _add_precision(settings, backbone, options["precision"])
    recipe = make_recipe(
        backbone,
        sampler=options["sampler"],
        settings=settings,
        batch=options["batch"],
        weights=weights.absolute() if weights else None,
        model=files.name if files else None,
        revision=files.revision if files else None,
        weights_sha256=options["weights_sha256"],
        device=options["device"],
    )
    return _native(recipe)


def _native(recipe: Recipe) -> Recipe:
    """Return the recipe in float32, with a note, if the device would only imitate its precision."""
    backbone = recipe.open_backbone()
    kind = getattr(backbone.params, "precision", "float32")
    if kind in _NATIVE and not _NATIVE[kind](device := getattr(backbone, "resolved_device", "")):
        echo(f"note: {device} is not known to have {kind} of its own, so precision=float32 is used.", err=True)
        return recipe.model_copy(update={"params": recipe.params | {"precision": "float32"}})
    return recipe


def _add_precision(settings: dict[str, dict[str, Any]], backbone: str | None, precision: str) -> None:
    """Set the backbone's parameter ``precision``.

    Raises
    ------
    ZslbenchError
        It has none.
    """
    from zslbench.video.backbone import get_backbone

    if backbone and "precision" not in get_backbone(backbone).Params.model_fields:
        raise ZslbenchError(f"{backbone} computes in one precision only; leave out --precision.")
    settings.setdefault("backbone", {})["precision"] = precision


def _files_of_model(options: Mapping[str, Any]) -> ModelFiles | None:
    """Return the files of ``--model``, fetched if need be; ``None`` without it."""
    from zslbench.video.model_files import fetch_model

    if options.get("model") is None:
        if options.get("revision") or options.get("trust_remote_code"):
            raise ZslbenchError("--revision and --trust-remote-code are of --model; add it, or leave them out.")
        return None
    if options["weights"] or options["backbone"]:
        raise ZslbenchError("give either --model, or --backbone with its --weights.")
    return fetch_model(options["model"], options["revision"], trust_remote_code=options["trust_remote_code"])


_GROUPS = {
    "Videos": ("dataset", "videos", "annotations", "lists", "limit"),
    "Model and sampling": (
        "backbone", "weights", "weights_sha256", "model", "revision", "trust_remote_code", "trained_on", "settings",
        "sampler", "batch", "device", "precision",
    ),
    "Work and result": ("name", "workers", "shard", "restart", "retry_failed"),
}  # fmt: skip


@click.command(
    cls=Verb,
    groups=_GROUPS,
    examples=[
        "zslbench extract --dataset hmdb51 --videos DIR --backbone motion --workers 2",
        "zslbench extract --dataset hmdb51 --videos DIR --model openai/clip-vit-base-patch16 --name clip-b16",
        "zslbench extract --list-backbones",
    ],
)
@click.option("--dataset", help="Dataset; 'zslbench datasets add' makes one from any folder.")
@click.option("--videos", type=_FILE, help="The folder of its videos, as distributed.")
@click.option("--model", help="Model of transformers or open_clip: a folder, or a name on the hub.")
@hub_options
@recipe_options
@click.option(
    "--trained-on",
    multiple=True,
    metavar="DATA",
    help="Training data of the weights, such as kinetics400, or 'unknown' if nobody can list them; also both. "
    "Repeatable. Captions from the web stay recorded. [default: the backbone's usual data]",
)
@click.option("--name", help="Name of the feature set. [default: that of the model or backbone]")
@click.option("--lists", type=_FILE, help="The official train and test lists: a folder or a file; Kinetics' CSV too.")
@click.option("--annotations", type=_FILE, help="Kinetics' CSV with labels and times.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N videos by id, for a trial.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that decode videos. [default: threads]")
@click.option(
    "--shard", type=click.IntRange(min=1), help="Videos to write together. [default: 16, or --batch if that is more]"
)
@click.option("--restart", is_flag=True, help="Delete the results of an earlier, unfinished extraction.")
@click.option(
    "--retry-failed", is_flag=True, help="Complete a finished set: extract videos that are missing or were replaced."
)
@click.option("--list-backbones", is_flag=True, help="List the backbones and exit.")
def command(
    dataset: str | None, videos: Path | None, name: str | None, lists: Path | None, annotations: Path | None,
    limit: int | None, workers: int | None, shard: int | None, restart: bool, retry_failed: bool, list_backbones: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Extract the features of a dataset's videos.

    To continue after an interruption, give the same command again: finished videos are kept, failed ones are tried
    again. A video without features becomes a row of failures.csv in the feature set's folder; the others continue.
    After you fix the video, the same command with --retry-failed extracts it and keeps the features of the others.
    """
    if list_backbones:
        _list_backbones()
        return
    chosen_by = options["model"] or options["backbone"]
    for option, value in (("dataset", dataset), ("videos", videos), ("model or --backbone", chosen_by)):
        if not value:
            raise ZslbenchError(f"give --{option}, as in: {_EXAMPLE}")
    assert dataset is not None  # noqa: S101 - checked above
    assert videos is not None  # noqa: S101
    from zslbench.datasets.catalog import get_dataset, user_names
    from zslbench.semantics.own_classes import vectors_problem
    from zslbench.video.extract import extract
    from zslbench.video.recipe import size_text
    from zslbench.video.videos import find_videos

    found = get_dataset(dataset)
    if found.name in user_names() and (refused := vectors_problem(found)):
        echo(f"note: the features do not need class vectors, but 'zslbench run' does: {refused}", err=True)
    recipe = recipe_of(options)
    files = find_videos(found, videos, annotations=annotations, lists=lists)
    for problem in files.problems:
        echo(f"note: {problem}", err=True)
    chosen = files.files[:limit]
    name = name or (_name_of(options["model"]) if options["model"] else recipe.backbone)
    title = f"{found.name}@{name}"
    size = size_text(recipe, len(chosen))
    echo(f"{title}: {len(chosen):,} videos, {recipe.open_sampler().describe()}; {size}", err=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill by SIGTERM stops as cleanly as Ctrl-C
    try:
        with progress(f"extracting {title}", "videos") as show:
            made = extract(
                chosen, found, name, recipe, workers=workers, shard=shard, restart=restart,
                retry_failed=retry_failed, source=str(videos), progress=show,
            )  # fmt: skip
    except KeyboardInterrupt as error:
        kept = "finished shards are kept; give the same command again to continue."
        raise KeyboardInterrupt(kept) from error
    _tell(made, title)


_EXAMPLE = "zslbench extract --dataset hmdb51 --videos DIR --backbone motion."


def _name_of(model: str) -> str:
    """Return the name of a model as a name of a feature set: without its owner, lower case."""
    return re.sub(r"[^a-z0-9._-]+", "-", Path(model).name.lower()).strip("-._") or "model"


def _list_backbones() -> None:
    from zslbench.video.backbone import BACKBONES

    rows, problems = [], []
    for listed in BACKBONES:
        if listed.problem:
            problems.append(listed.problem)
            continue
        info = listed.plugin.info
        weights = "needed" if info.needs_weights else "-"
        rows.append(
            (info.name, info.dim or "", weights, ", ".join(info.trained_on) or "as its file says", info.summary)
        )
    table(rows, ["name", "values", "weights", "trained on", "what"], drop=("weights", "values"), least={"what": 32})
    for problem in problems:
        echo(f"\nleft out: {problem}")


def _tell(made: Any, title: str) -> None:
    """Print what was made, and what is missing in it."""
    manifest, total = made.manifest, made.manifest.n_videos + len(made.failures)
    clips = f"{manifest.n_frames:,} x {manifest.dim}" + (", one per video" if manifest.kind == "pooled" else "")
    kept = f" ({made.kept:,} from an earlier extraction)" if made.kept else ""
    echo(f"{title}: {manifest.n_videos:,} of {total:,} videos{kept}, features {clips}, digest {manifest.digest}")
    if made.short:
        echo(f"note: {made.short}.")
    for what, rows, file in (
        ("failed", made.failures, "failures.csv"),
        ("were decoded in part", made.warnings, "warnings.csv"),
    ):
        if rows:
            echo(f"{len(rows):,} {what}; all of them in {made.path / file}")
            for video, reason in rows[:_SHOWN]:
                echo(f"  {video}: {reason}")
