"""The interface of a backbone: it turns clips of frames into features, and says which weights it uses.

Backbones are plugins of the entry-point group ``zslbench.backbones``, and are found in the same way as methods.
"""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from zslbench.datasets.label_sets import with_captions
from zslbench.digests import canonical_json, file_sha256
from zslbench.errors import ZslbenchError, validated
from zslbench.registry import Registry
from zslbench.videos import FloatArray

Frames = NDArray[np.uint8]  # (T, H, W, 3) RGB

UNTRAINED = ("nothing",)  # trained_on of a backbone that learnt from no data; see zslbench.datasets.label_sets


class BackboneInfo(BaseModel):
    """What is known about a backbone without running it.

    Attributes
    ----------
    name
        The name on the command line; equal to that of the entry point.
    trained_on
        Label sets that its usual weights were trained on; empty if only the file can tell.
    dim
        Values per feature with the default parameters; ``None`` if the file or the parameters decide.
    needs_weights
        Whether ``--weights`` is required.
    kind
        ``clip``: it uses motion. ``frame``: it reads single frames, and a clip's feature is their mean.
    clip_len
        Frames per clip by default; ``None`` if any number is accepted.
    weights
        What ``--weights`` takes, and where to get it.

    Examples
    --------
    >>> BackboneInfo(name="mine", summary="A network of my own.", trained_on=("kinetics400",), dim=512).clip_len
    16
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
    """Base class of every backbone's parameters; unknown names and wrong types are refused.

    Attributes
    ----------
    trained_on
        What the weights were trained on, if it is not what the backbone says: a list, or names separated by commas.
        Captions from the web stay, whatever is named: see :func:`zslbench.datasets.label_sets.with_captions`.
    batch_size
        Clips that are computed together; not part of a feature's identity.

    Examples
    --------
    >>> BackboneParams(trained_on="sports1m, ucf101").trained_on
    ('sports1m', 'ucf101')
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    trained_on: tuple[str, ...] | None = None
    batch_size: int = Field(8, ge=1)

    @field_validator("trained_on", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


class Backbone(ABC):
    """Turn clips into features. A subclass sets ``info`` and implements :meth:`preprocess` and :meth:`forward`.

    Parameters
    ----------
    params
        Validated parameters, or a mapping that is validated here; ``None`` for the defaults.
    weights
        The file (or folder) of weights; it is read when the first clip is computed.
    device
        ``auto`` uses a GPU if there is one.
    weights_sha256
        The SHA-256 that the weights must have, in hexadecimal digits; the first eight or more are enough.

    Attributes
    ----------
    weights_digest
        SHA-256 of the weights; ``None`` if there are none.
    rows_per_clip
        Features per clip: 1 except for token features. :meth:`extract` returns them one after the other.
    min_frames
        The smallest number of frames in a clip.
    uses_gpu
        Whether it can use a GPU.
    known_weights
        Name of a published file -> the first digits of its SHA-256.
    not_identity
        Parameters that features do not depend on, or that :meth:`describe` adds in another form.

    Raises
    ------
    ZslbenchError
        A parameter is unknown or wrong, the weights are missing or have another checksum, or ``device`` is ``cuda`` and
        the backbone cannot use a GPU.

    Examples
    --------
    >>> class Brightness(Backbone):
    ...     info = BackboneInfo(name="brightness", summary="Mean colour.", dim=3, needs_weights=False)
    ...     def preprocess(self, clip): return clip.mean(axis=(0, 1, 2))
    ...     def forward(self, batch): return np.stack(batch)
    >>> Brightness().extract([np.full((16, 4, 4, 3), 7, dtype=np.uint8)]).tolist()
    [[7.0, 7.0, 7.0]]
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
        name = self.info.name
        self.params: Any = params if isinstance(params, BackboneParams) else validated(self.Params, params or {}, name)
        if device == "cuda" and not self.uses_gpu:
            raise ZslbenchError(f"{self.info.name} computes on the processor only; leave out --device cuda.")
        self.device = device
        self.weights = weights
        self.weights_digest = self._check_weights(weights_sha256)

    def _check_weights(self, expected: str | None) -> str | None:
        name = self.info.name
        if not self.info.needs_weights and (self.weights or expected):
            raise ZslbenchError(f"{name} has no weights; leave out --weights and --weights-sha256.")
        if self.weights is None:
            if self.info.needs_weights and not self.untrained:
                raise ZslbenchError(f"{name} needs --weights: {self.info.weights}")
            if expected:
                raise ZslbenchError("--weights-sha256 is the checksum of a file; give the file with --weights.")
            return None
        found = self._digest(self.weights)
        known = self.known_weights.get(self.weights.name)
        if known and not expected and not found.startswith(known):
            raise ZslbenchError(
                f"the SHA-256 of the published {self.weights.name} starts with {known}, this file's starts with "
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
    def weights_file(self) -> Path:
        """The weights of a backbone that needs them."""
        assert self.weights is not None  # noqa: S101  # needs_weights
        return self.weights

    @property
    def untrained(self) -> bool:
        """Whether the network is initialised at random on purpose; see ``random_weights`` of the torch backbones."""
        return False

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The label sets that the features were trained on, for the overlap guard."""
        if self.untrained:
            return UNTRAINED
        chosen, usual = self.params.trained_on, self.usual_trained_on
        return usual if chosen is None else with_captions(chosen, usual)

    @property
    def usual_trained_on(self) -> tuple[str, ...]:
        """The label sets of the usual weights, if no others are given."""
        return self.info.trained_on

    @property
    def dim(self) -> int:
        """Values per feature; may load the network to find out."""
        if self.info.dim is None:
            raise NotImplementedError
        return self.info.dim

    @property
    def stored_dtype(self) -> Literal["float32", "float16"]:
        """The type of the features on disk; features per patch are many, and take half of the room."""
        return "float32" if self.rows_per_clip == 1 else "float16"

    @property
    def kind(self) -> Literal["clip", "frame"]:
        """What it reads; see :class:`BackboneInfo`."""
        return self.info.kind

    @property
    def clip_len(self) -> int | None:
        """Frames that a clip must have; ``None`` if any number from :attr:`min_frames` on is accepted."""
        return self.info.clip_len

    def describe(self) -> str:
        """Return name, version and every parameter that features depend on: one line for a feature set's manifest."""
        values = self.params.model_dump(mode="json", exclude=set(self.not_identity))
        return f"{self.info.name} {self.info.version} {canonical_json(values)}"

    @abstractmethod
    def preprocess(self, clip: Frames) -> Any:
        """Return the network's input for one clip, often an array; a pure function of the clip and the parameters.

        It may run in another thread or process than :meth:`forward`, and must not need the network.
        """

    @abstractmethod
    def forward(self, batch: Sequence[Any]) -> NDArray[Any]:
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
            A clip has another number of frames than the network takes, or a feature is not finite.
        """
        size = self.params.batch_size
        parts = [[self.prepare(clip) for clip in clips[i : i + size]] for i in range(0, len(clips), size)]
        none = np.empty((0, self.dim), dtype=np.float32)
        return np.concatenate([none, *map(self.compute_features, parts)])

    def prepare(self, clip: Frames) -> Any:
        """Return the network's input for one clip; see :meth:`preprocess`.

        Raises
        ------
        ZslbenchError
            The clip has another number of frames than the network takes.
        """
        self._check_clip(clip)
        return self.preprocess(clip)

    def compute_features(self, inputs: Sequence[Any]) -> FloatArray:
        """Return the features of n prepared clips, (n * rows_per_clip, D) float32; they are computed together.

        Raises
        ------
        ZslbenchError
            A feature is not finite.
        """
        features = np.asarray(self.forward(inputs), dtype=np.float32)
        wanted = len(inputs) * self.rows_per_clip, self.dim
        if features.shape != wanted:
            raise ValueError(f"forward() returned {features.shape}, not {wanted}")
        if not np.isfinite(features).all():
            raise ZslbenchError(
                f"{self.info.name} returned values that are not finite; check its weights and preprocessing, or use "
                f"--precision float32."
            )
        return features

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is loaded when it is needed, such as the network: decoding processes do not need it."""
        loaded = {name for cls in type(self).__mro__ for name, value in vars(cls).items() if _is_cached(value)}
        return {name: value for name, value in vars(self).items() if name not in loaded}

    def _check_clip(self, clip: Frames) -> None:
        if clip.ndim != 4 or clip.shape[-1] != 3 or clip.dtype != np.uint8 or 0 in clip.shape:
            raise ValueError(f"a clip is (T, H, W, 3) uint8, not {clip.shape} {clip.dtype}")
        if self.clip_len is not None and len(clip) != self.clip_len:
            raise ZslbenchError(
                f"{self.info.name} takes clips of {self.clip_len} frames, not {len(clip)}; "
                f"use --set sampler.clip_len={self.clip_len}."
            )
        if len(clip) < self.min_frames:
            raise ZslbenchError(
                f"{self.info.name} takes clips of at least {self.min_frames} frames, not {len(clip)}; sample longer "
                f"clips."
            )


def check_sha256(path: Path, found: str, expected: str) -> None:
    """Compare a checksum with the expected one.

    Raises
    ------
    ZslbenchError
        They differ, or ``expected`` is not a SHA-256.
    """
    wanted = expected.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{8,64}", wanted):
        raise ZslbenchError(f"{expected!r} is not a SHA-256; give 64 hexadecimal digits, or at least the first 8.")
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
        raise ZslbenchError(f"{module} is missing ({error}); run: pip install 'zslbench[{extra}]'.") from error


def _is_cached(attribute: Any) -> bool:
    return isinstance(attribute, cached_property)


BACKBONES = Registry("zslbench.backbones", "backbone", Backbone)


def get_backbone(name: str) -> type[Backbone]:
    """Return the backbone class called ``name``.

    Raises
    ------
    NotFoundError
        No backbone has that name; the message contains the nearest names.
    ZslbenchError
        It cannot be imported, or is not a backbone.
    """
    plugin: type[Backbone] = BACKBONES.get(name)
    return plugin
