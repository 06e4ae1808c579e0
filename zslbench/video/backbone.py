"""What a backbone is: it turns clips of frames into features, and says with which weights, trained on what.

Backbones are plugins of the entry-point group ``zslbench.backbones``, found as methods are.
"""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from zslbench.digests import canonical_json, file_sha256
from zslbench.errors import ZslbenchError, suggest
from zslbench.registry import Registry

Frames = NDArray[np.uint8]  # (T, H, W, 3) RGB
FloatArray = NDArray[np.float32]

BACKBONES = Registry("zslbench.backbones", "backbone")
UNTRAINED = ("nothing",)  # trained_on of what learnt from no data; see zslbench.datasets.label_sets


class BackboneInfo(BaseModel):
    """What is known of a backbone without running it.

    Attributes
    ----------
    name
        The name on the command line; equal to that of the entry point.
    trained_on
        Label sets that its usual weights were trained on; empty where the file alone can tell.
    dim
        Values a feature with the default parameters; ``None`` where the file or the parameters tell.
    needs_weights
        ``--weights`` is required.
    kind
        ``clip``: motion matters to it; ``frame``: it looks at single frames, a clip is their mean.
    clip_len
        Frames a clip by default; ``None`` where any number will do.
    weights
        What ``--weights`` takes, and where it circulates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str
    citation: str = ""
    trained_on: tuple[str, ...] = ()
    dim: int | None = None
    needs_weights: bool = True
    kind: Literal["clip", "frame"] = "clip"
    clip_len: int | None = 16
    weights: str = ""
    version: str = "1"


class BackboneParams(BaseModel):
    """Base of every backbone's parameters: unknown names and wrong types are refused.

    Attributes
    ----------
    trained_on
        What the weights were trained on, where it is not what the backbone says; a list, or names with commas.
    batch_size
        Clips that are computed together; no part of a feature's identity.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    trained_on: tuple[str, ...] | None = None
    batch_size: int = Field(8, ge=1)

    @field_validator("trained_on", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


class Backbone(ABC):
    """Turns clips into features. A subclass sets ``info`` and writes :meth:`preprocess` and :meth:`forward`.

    Parameters
    ----------
    params
        Validated parameters, or a mapping that is validated here; ``None`` for the defaults.
    weights
        The file (or folder) of weights; it is read when the first clip comes.
    device
        ``auto`` takes a GPU if there is one.
    weights_sha256
        The SHA-256 that the weights must have, as hexadecimal digits; its first eight or more will do.

    Attributes
    ----------
    weights_digest
        SHA-256 of the weights; ``None`` where there are none.
    rows_per_clip
        Features a clip: 1 but for token features. They follow one another in what :meth:`extract` returns.
    min_frames
        Frames that a clip must have at least.
    uses_gpu
        Whether a GPU makes a difference to it.
    known_weights
        Name of a file that circulates -> the first digits of its SHA-256.
    not_identity
        Parameters that features do not depend on, or that :meth:`describe` tells in another way.

    Raises
    ------
    ZslbenchError
        A parameter is unknown or wrong, the weights are missing or not those that were asked for, or a GPU is asked for
        that it makes no use of.
    """

    info: ClassVar[BackboneInfo]
    known_weights: ClassVar[Mapping[str, str]] = {}
    not_identity: ClassVar[frozenset[str]] = frozenset({"batch_size", "trained_on"})
    rows_per_clip: int = 1
    min_frames: ClassVar[int] = 1
    uses_gpu: ClassVar[bool] = True

    class Params(BackboneParams):
        """No parameters of its own."""

    def __init__(
        self,
        params: BackboneParams | Mapping[str, Any] | None = None,
        *,
        weights: Path | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        weights_sha256: str | None = None,
    ) -> None:
        self.params: Any = params if isinstance(params, BackboneParams) else self._validated(params or {})
        if device == "cuda" and not self.uses_gpu:
            raise ZslbenchError(f"{self.info.name} computes on the processor only; leave out --device cuda.")
        self.device = device
        self.weights = weights
        self.weights_digest = self._check_weights(weights_sha256)

    def _validated(self, values: Mapping[str, Any]) -> BackboneParams:
        name, fields = self.info.name, self.Params.model_fields
        if unknown := sorted(set(values) - set(fields)):
            raise ZslbenchError(f"{name} has no parameter {unknown[0]!r}.{suggest(unknown[0], fields)}")
        try:
            return self.Params.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "parameters"
            raise ZslbenchError(f"{name}.{where}: {first['msg']} (got {first['input']!r}).") from error

    def _check_weights(self, expected: str | None) -> str | None:
        name = self.info.name
        if not self.info.needs_weights and (self.weights or expected):
            raise ZslbenchError(f"{name} has no weights; leave out --weights and --weights-sha256.")
        if self.weights is None:
            if self.info.needs_weights and not self.untrained:
                raise ZslbenchError(f"{name} needs --weights: {self.info.weights}")
            if expected:
                raise ZslbenchError("--weights-sha256 is the checksum of a file; name the file with --weights.")
            return None
        found = self._digest(self.weights)
        known = self.known_weights.get(self.weights.name)
        if known and not expected and not found.startswith(known):
            raise ZslbenchError(
                f"{self.weights.name} circulates with a SHA-256 that starts with {known}, this file's starts with "
                f"{found[: len(known)]}; download it again, or rename it if it is another model."
            )
        if expected:
            check_sha256(self.weights, found, expected)
        return found

    def _digest(self, weights: Path) -> str:
        if not weights.is_file():
            raise ZslbenchError(f"there is no file {weights}; {self.info.name} needs {self.info.weights}")
        return file_sha256(weights)

    @property
    def untrained(self) -> bool:
        """Whether the network is initialised at random on purpose; see ``random_weights`` of torch's backbones."""
        return False

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The label sets that the features know of, for the overlap guard."""
        if self.untrained:
            return UNTRAINED
        chosen = self.params.trained_on
        return self.info.trained_on if chosen is None else chosen

    @property
    def dim(self) -> int:
        """Values a feature; may load the network to find out."""
        if self.info.dim is None:
            raise NotImplementedError
        return self.info.dim

    @property
    def clip_len(self) -> int | None:
        """Frames that a clip must have; ``None`` where any number from :attr:`min_frames` on will do."""
        return self.info.clip_len

    def describe(self) -> str:
        """Name, version and every parameter that features depend on: one line for a feature set's manifest."""
        values = self.params.model_dump(mode="json", exclude=set(self.not_identity))
        return f"{self.info.name} {self.info.version} {canonical_json(values)}"

    def default_sampler(self) -> Any:
        """Return how clips are cut by default: Action2Vec's sampling, or frames of eight uniform segments."""
        from zslbench.video.sampling import ClipSampler, SegmentSampler

        if self.info.kind == "frame":
            return SegmentSampler(n_segments=8, frames_per_segment=self.clip_len or 1)
        return ClipSampler(clip_len=self.clip_len or 16)

    @abstractmethod
    def preprocess(self, clip: Frames) -> NDArray[Any]:
        """Return what the network takes of one clip; a pure function of the clip and the parameters."""

    @abstractmethod
    def forward(self, batch: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return (n * rows_per_clip, D) features of n preprocessed clips."""

    def extract(self, clips: Sequence[Frames]) -> FloatArray:
        """Return the features of clips of any videos and sizes.

        Parameters
        ----------
        clips
            n arrays (T, H, W, 3) uint8, RGB.

        Returns
        -------
        (n * rows_per_clip, D) float32.

        Raises
        ------
        ZslbenchError
            A clip has not as many frames as the network takes, or a feature is not finite.
        """
        features = np.empty((len(clips) * self.rows_per_clip, self.dim), dtype=np.float32)
        for start in range(0, len(clips), self.params.batch_size):
            batch = clips[start : start + self.params.batch_size]
            for clip in batch:
                self._check_clip(clip)
            rows = self.forward([self.preprocess(clip) for clip in batch])
            features[start * self.rows_per_clip :][: len(rows)] = rows
        if not np.isfinite(features).all():
            raise ZslbenchError(
                f"{self.info.name} gave values that are not finite; check its weights and preprocessing, or use "
                f"--set backbone.precision=float32."
            )
        return features

    def _check_clip(self, clip: Frames) -> None:
        if clip.ndim != 4 or clip.shape[-1] != 3 or clip.dtype != np.uint8 or 0 in clip.shape:
            raise ValueError(f"a clip is (T, H, W, 3) uint8, not {clip.shape} {clip.dtype}")
        if self.clip_len is not None and len(clip) != self.clip_len:
            raise ZslbenchError(
                f"{self.info.name} takes clips of {self.clip_len} frames, not {len(clip)}; "
                f"--set sampler.clip_len={self.clip_len}."
            )
        if len(clip) < self.min_frames:
            raise ZslbenchError(
                f"{self.info.name} takes clips of at least {self.min_frames} frames, not {len(clip)}; sample longer "
                f"clips."
            )


def check_sha256(path: Path, found: str, expected: str) -> None:
    """Compare a checksum with the one that was asked for.

    Raises
    ------
    ZslbenchError
        They differ, or ``expected`` is no SHA-256.
    """
    wanted = expected.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{8,64}", wanted):
        raise ZslbenchError(f"{expected!r} is no SHA-256; give 64 hexadecimal digits, or at least the first 8.")
    if not found.startswith(wanted):
        raise ZslbenchError(f"{path} has the SHA-256 {found}, not {wanted}; download the file again.")


def require(module: str, extra: str) -> Any:
    """Return a module of an optional extra.

    Raises
    ------
    ZslbenchError
        It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ZslbenchError(f"{module} is missing ({error}); pip install 'zslbench[{extra}]'.") from error


def get_backbone(name: str) -> type[Backbone]:
    """Return the backbone class called ``name``.

    Raises
    ------
    NotFoundError
        No backbone has that name; the message holds the nearest ones.
    ZslbenchError
        It cannot be imported, or is no backbone.
    """
    plugin = BACKBONES.get(name)
    if not (isinstance(plugin, type) and issubclass(plugin, Backbone) and hasattr(plugin, "info")):
        raise ZslbenchError(f"the backbone {name!r} is no subclass of zslbench.video.backbone.Backbone with an info.")
    if plugin.info.name != name:
        raise ZslbenchError(f"the backbone {name!r} calls itself {plugin.info.name!r} in its info.")
    return plugin
