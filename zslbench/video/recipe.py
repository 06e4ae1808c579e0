"""How videos become features: which reader, sampler and backbone, with which parameters and weights.

An extracted feature set keeps its recipe in ``extract.json``. ``zslbench show`` uses it to read a video in the same way
as the videos that the methods were trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.digests import canonical_json
from zslbench.errors import NotFoundError, ZslbenchError, suggest, validated
from zslbench.files import read_json
from zslbench.video.backbone import Backbone, get_backbone
from zslbench.video.reader_pyav import PyAVReader
from zslbench.video.sampling import ClipSampler, Sampler, SegmentSampler, WholeVideo

RECIPE_FILE = "extract.json"
SAMPLERS: dict[str, Any] = {"clips": ClipSampler, "segments": SegmentSampler, "whole": WholeVideo}
Device = Literal["auto", "cpu", "cuda"]


class Recipe(BaseModel):
    """Everything that extraction needs, as names and numbers that can be sent to a worker or written to a file.

    Attributes
    ----------
    params
        The backbone's parameters that are not its defaults.
    model, revision
        The name of the weights on the hub and its commit, if they came from there.
    sampler
        One of :data:`SAMPLERS`.
    sampling
        All parameters of the sampler.

    Examples
    --------
    >>> recipe = make_recipe("motion", sampler="whole")
    >>> recipe.open_sampler().describe()
    'clips of 16 frames with a stride of 16 at the stored frame rate, whole video, incomplete last clip padded'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str
    params: dict[str, Any] = {}
    weights: Path | None = None
    weights_sha256: str | None = None
    model: str | None = None
    revision: str | None = None
    device: Device = "auto"
    sampler: str
    sampling: dict[str, Any]
    reader: Literal["pyav"] = "pyav"

    def open_backbone(self) -> Backbone:
        """Return the backbone; in one process always the same object, so weights are loaded once."""
        # Parameters as text: the cache needs arguments that can be hashed.
        return _backbone(self.backbone, canonical_json(self.params), self.weights, self.weights_sha256, self.device)

    def open_sampler(self) -> Sampler:
        """Return the sampler."""
        sampler: Sampler = SAMPLERS[self.sampler](**self.sampling)
        return sampler

    def open_reader(self) -> PyAVReader:
        """Return the reader."""
        return PyAVReader()


def make_recipe(
    backbone: str, *, sampler: str | None = None, settings: Mapping[str, Mapping[str, Any]] | None = None,
    batch: int | None = None, **more: Any,
) -> Recipe:  # fmt: skip
    """Return a checked recipe.

    Parameters
    ----------
    backbone
        Its name.
    sampler
        One of :data:`SAMPLERS`, with the clip length of the backbone; by default ``clips``, or
        ``segments`` if the backbone reads single frames.
    settings
        ``backbone`` (or its name) and ``sampler`` -> parameter -> value.
    batch
        Clips that are computed together.
    more
        Other fields of :class:`Recipe`.

    Raises
    ------
    ZslbenchError
        A name or a value is unknown or wrong, weights are missing, or clips are too long or too short.
    """
    chosen = {target: dict(values) for target, values in (settings or {}).items()}
    sampling = chosen.pop("sampler", {})
    params = chosen.pop("backbone", {}) | chosen.pop(backbone, {})
    if chosen:
        raise ZslbenchError(f"--set {next(iter(chosen))}.… does nothing here; set backbone.NAME or sampler.NAME.")
    if batch is not None:
        params["batch_size"] = batch
    draft = Recipe(backbone=backbone, params=params, sampler="clips", sampling={}, **more)
    opened = draft.open_backbone()
    of_frames = opened.kind == "frame"
    kind = sampler or ("segments" if of_frames else "clips")
    if kind not in SAMPLERS:
        raise NotFoundError(f"no sampler is called {kind!r}.{suggest(kind, SAMPLERS)}")
    length = {"frames_per_segment" if kind == "segments" else "clip_len": opened.clip_len or (1 if of_frames else 16)}
    found = validated(SAMPLERS[kind], length | sampling, "sampler")
    _check_length(opened, found)
    draft.open_reader()
    return draft.model_copy(update={"sampler": kind, "sampling": found.model_dump(mode="json")})


@lru_cache(maxsize=1)  # one: two networks at a time may not fit into memory
def _backbone(name: str, params: str, weights: Path | None, weights_sha256: str | None, device: Device) -> Backbone:
    import json

    return get_backbone(name)(json.loads(params), weights=weights, device=device, weights_sha256=weights_sha256)


def clip_length(sampler: Any) -> int:
    """Return the frames of a sampler's clips."""
    if isinstance(sampler, SegmentSampler):
        return sampler.frames_per_segment * (sampler.n_segments if sampler.joined else 1)
    return int(sampler.clip_len)


def filled_by(sampler: Any) -> str:
    """Return how a sampler makes a clip of a video that gives fewer frames.

    Examples
    --------
    >>> filled_by(ClipSampler(fps=None))
    'the last frame was repeated'
    """
    if isinstance(sampler, SegmentSampler) and sampler.joined:
        return "frames were taken for several segments"
    fps = getattr(sampler, "fps", None)
    return f"frames were repeated to reach {fps:g} fps, then the last one" if fps else "the last frame was repeated"


def size_text(recipe: Recipe, videos: int) -> str:
    """Return how much room the features of so many videos take on the disk; it may load the network."""
    from rich.filesize import decimal

    backbone, sampler = recipe.open_backbone(), recipe.open_sampler()
    per_clip = backbone.rows_per_clip * backbone.dim * (4 if backbone.stored_dtype == "float32" else 2)
    if not isinstance(sampler, SegmentSampler):
        return f"{decimal(per_clip)} per clip"
    clips = 1 if sampler.joined else sampler.n_segments
    return f"{decimal(videos * clips * per_clip)} of {backbone.stored_dtype} features"


def _check_length(backbone: Backbone, sampler: Any) -> None:
    """Refuse clips that the network does not take, before any video is decoded."""
    length = clip_length(sampler)
    of_segments = isinstance(sampler, SegmentSampler)
    remedy = f"sampler.{'frames_per_segment' if of_segments else 'clip_len'}"
    if of_segments and sampler.joined:
        remedy = "sampler.frames_per_segment=1 --set sampler.n_segments"
    wanted = backbone.clip_len
    if wanted is not None and length != wanted:
        raise ZslbenchError(
            f"{backbone.info.name} takes clips of {wanted} frames, but the sampler makes clips of {length}; "
            f"use --set {remedy}={wanted}."
        )
    if wanted is None and length < 2 and backbone.kind == "clip":
        raise ZslbenchError(
            f"{backbone.info.name} uses motion and needs clips of at least 2 frames; use --set {remedy}=16."
        )


def read_recipe(features: Path) -> Recipe:
    """Return how the features in a folder were extracted.

    Raises
    ------
    ZslbenchError
        They were not extracted by zslbench, or do not exist any more.
    """
    try:
        return Recipe.model_validate(read_json(features / RECIPE_FILE))
    except (ZslbenchError, ValidationError) as error:
        raise ZslbenchError(
            f"it is not known how the features in {features} were made ({RECIPE_FILE} cannot be read); give --backbone "
            f"and its options."
        ) from error
