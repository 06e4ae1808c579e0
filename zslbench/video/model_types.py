"""What the types of models of transformers have of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from zslbench.datasets.label_sets import UNKNOWN

WEB = ("web-captions",)


@dataclass(frozen=True)
class ModelType:
    """What a model type has of its own.

    Attributes
    ----------
    video
        Whether it takes clips; otherwise it takes single frames, and a clip's feature is the mean of theirs.
    length
        The configuration's key for the frames of a clip.
    pooled
        ``pooler``: the model's own pooled output. ``first``: the token at the front. ``mean``: the mean of all tokens.
    front
        Tokens before those of the patches, in the last hidden state; ``None`` if it has no patches.
    trained_on
        Label sets of its usual weights; ``unknown`` if the files of one type differ.
    options
        More arguments of the model's call.
    padding
        How the text tower was trained to see short texts.
    lower
        Whether the text tower was trained on texts in lower case.
    since
        The first major version of transformers whose code of it works.

    Examples
    --------
    >>> TYPES["videomae"].pooled, TYPES["siglip"].padding
    ('mean', 'max_length')
    """

    video: bool = False
    length: str = "num_frames"
    pooled: Literal["pooler", "first", "mean"] = "pooler"
    front: int | None = 1
    trained_on: tuple[str, ...] = (UNKNOWN,)
    options: tuple[tuple[str, Any], ...] = ()
    padding: Literal["longest", "max_length"] = "longest"
    lower: bool = False
    since: int = 4


TYPES = {
    "align": ModelType(front=None, trained_on=WEB),
    "altclip": ModelType(trained_on=WEB),
    "chinese_clip": ModelType(trained_on=WEB, since=5),
    "clip": ModelType(trained_on=WEB),
    "metaclip_2": ModelType(trained_on=WEB),
    "siglip": ModelType(front=0, trained_on=WEB, padding="max_length", lower=True),
    "siglip2": ModelType(front=None, trained_on=WEB, padding="max_length", lower=True),
    "xclip": ModelType(video=True, front=None, trained_on=WEB, since=5),  # made from CLIP
    "videoprism": ModelType(video=True, front=None, trained_on=WEB, padding="max_length"),
    "dinov2": ModelType(),
    "vit": ModelType(pooled="first"),
    "timesformer": ModelType(video=True, pooled="first"),
    "videomae": ModelType(video=True, pooled="mean", front=0),
    "vivit": ModelType(video=True, pooled="first"),
    "vjepa2": ModelType(
        video=True, length="frames_per_clip", pooled="mean", front=0, options=(("skip_predictor", True),)
    ),
}
