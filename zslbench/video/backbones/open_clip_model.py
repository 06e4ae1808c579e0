"""Any model of open_clip, from a folder with ``open_clip_config.json`` and safetensors, or from the hub.

open_clip builds the model, its preprocessing and its tokenizer from the configuration; nothing of it is repeated here.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.files import read_json, reading
from zslbench.video.backbone import BackboneInfo, Frames, require
from zslbench.video.backbones._torch import TorchBackbone, TorchParams, refuse_misfit
from zslbench.video.backbones.clip import clip_means, unit_rows
from zslbench.video.layouts import OPEN_CLIP
from zslbench.video.model_files import check_model_files, weights_digest
from zslbench.video.model_types import WEB
from zslbench.videos import FloatArray

if TYPE_CHECKING:
    import torch

_PROBE = (240, 320, 3)  # a frame of which only the shape of the feature is wanted
_AGAIN = "copy it from the model again"


class OpenClipParams(TorchParams):
    """Parameters of a model of open_clip.

    Attributes
    ----------
    normalise
        Whether to scale every feature to unit length, before the mean over frames.

    Examples
    --------
    >>> OpenClipParams(normalise=False).batch_size
    8
    """

    normalise: bool = True
    batch_size: int = Field(8, ge=1)


class OpenClip(TorchBackbone):
    """The image tower of a model of open_clip, with the preprocessing of its ``preprocess_cfg``.

    Examples
    --------
    >>> OpenClip(weights=Path("an-empty-folder"))
    Traceback (most recent call last):
    zslbench.errors.ZslbenchError: an-empty-folder has no open_clip_config.json; ...
    """

    info = BackboneInfo(
        name="open-clip",
        summary="A model of open_clip: CLIP, SigLIP, CoCa, EVA and others.",
        citation="Ilharco et al.: OpenCLIP. Zenodo 2021, doi:10.5281/zenodo.5143773.",
        trained_on=WEB,
        kind="frame",
        clip_len=None,
        weights=f"a folder with {OPEN_CLIP.config} and {OPEN_CLIP.weights}, or --model with a name of the hub.",
    )

    class Params(OpenClipParams):
        """See :class:`OpenClipParams`."""

    def _digest(self, weights: Path) -> str:
        check_model_files(weights, OPEN_CLIP)
        return weights_digest(weights, OPEN_CLIP)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The values of ``open_clip_config.json``."""
        return read_open_clip_config(self.weights_file)

    @cached_property
    def dim(self) -> int:
        """Values per feature, the same for frames and texts."""
        return int(self.forward([self.preprocess(np.zeros((1, *_PROBE), dtype=np.uint8))]).shape[1])

    def describe(self) -> str:
        """Return name, version, parameters, and digests of the configurations of the model and its preprocessing."""
        parts = (digest(self.config.get(key)) for key in ("model_cfg", "preprocess_cfg"))
        return "{} config {} preprocessing {}".format(super().describe(), *parts)

    @cached_property
    def transform(self) -> Any:
        """open_clip's own preprocessing of one image."""
        made = open_clip_library().transform
        network: Any = self.network
        return made.image_transform_v2(made.PreprocessCfg(**network.visual.preprocess_cfg), is_train=False)

    def preprocess(self, clip: Frames) -> FloatArray:
        """Return (T, 3, H, W) float32."""
        from PIL import Image

        return np.stack([self.transform(Image.fromarray(frame)).numpy() for frame in clip])

    def __getstate__(self) -> dict[str, Any]:
        """Take the preprocessing along: it would load the network again in every decoding process."""
        return {**super().__getstate__(), "transform": self.transform}

    def load(self) -> torch.nn.Module:
        """Return the model with its weights, in float32."""
        network: torch.nn.Module = load_open_clip(self.weights_file)
        return network

    def forward(self, batch: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return (n, D): the mean of each clip's frames."""
        network: Any = self.network
        rows = self.run(network.encode_image, np.concatenate(batch))
        return clip_means(unit_rows(rows) if self.params.normalise else rows, [len(frames) for frames in batch])


def open_clip_library() -> Any:
    """Return open_clip.

    Raises
    ------
    ZslbenchError
        It is not installed, or the torchvision that it imports is of another torch.
    """
    try:
        with _quiet():
            return require("open_clip", "open-clip")
    except (AttributeError, OSError, RuntimeError) as error:  # what torchvision beside another torch raises
        import torch

        raise ZslbenchError(
            f"open_clip cannot be imported, for torchvision does not fit torch {torch.__version__} ({error}); install "
            f"the two together: pip install -U torch torchvision."
        ) from error


def read_open_clip_config(folder: Path) -> dict[str, Any]:
    """Return the values of ``open_clip_config.json`` in a folder.

    Raises
    ------
    ZslbenchError
        It describes no model, or one whose parts are in another repository.
    """
    path = folder / OPEN_CLIP.config
    values: dict[str, Any] = read_json(path, _AGAIN)
    model = values.get("model_cfg")
    if not isinstance(model, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= model.keys():
        raise ZslbenchError(f"{path} has no model_cfg with embed_dim, vision_cfg and text_cfg; {_AGAIN}.")
    text, image = model["text_cfg"].get("hf_model_name"), str(model["vision_cfg"].get("timm_model_name"))
    if outside := text or (image if ":" in image else None):
        raise ZslbenchError(
            f"a tower of {folder} is configured in another repository, {outside}, of which no revision is recorded; "
            f"use a model whose {OPEN_CLIP.config} describes both towers, or one in the format of transformers."
        )
    return values


def load_open_clip(folder: Path) -> Any:
    """Return a model of open_clip with its weights, in evaluation mode and in float32.

    Raises
    ------
    ZslbenchError
        The folder cannot be read, or its weights do not fit its configuration.
    """
    check_model_files(folder, OPEN_CLIP)
    read_open_clip_config(folder)
    open_clip, weights = open_clip_library(), folder / OPEN_CLIP.weights
    says = f"the model in {folder} cannot be loaded"
    with _quiet(), reading(folder / OPEN_CLIP.config, f"{_AGAIN}, or use a newer open_clip", says=says):
        model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    with reading(weights, _AGAIN):
        held = _shapes(weights)
    # Before open_clip stretches the embeddings of positions to the configuration; a scale is a number or has one.
    differ = [
        (name, held[name], shape)
        for name, shape in wanted.items()
        if name in held and held[name] != shape and not math.prod(held[name]) == math.prod(shape) == 1
    ]
    refuse_misfit(folder, OPEN_CLIP.config, (), differ)
    with _quiet(), reading(weights, _AGAIN, says=says):
        told = open_clip.load_checkpoint(model, str(weights), strict=False)
    refuse_misfit(folder, OPEN_CLIP.config, told.missing_keys, (), told.unexpected_keys)
    return model.eval()


def open_clip_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a model of open_clip: CLIP's own, which open_clip brings, or one in the folder.

    Raises
    ------
    ZslbenchError
        The files of the tokenizer are missing or damaged.
    """
    of_transformers = read_open_clip_config(folder)["model_cfg"]["text_cfg"].get("hf_tokenizer_name")
    # A reduction of training would leave out words of long texts at random.
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False} if of_transformers else {}
    open_clip, says = open_clip_library(), f"{folder} has no tokenizer"
    with _quiet(), reading(folder / OPEN_CLIP.config, "copy the tokenizer's files from the model", says=says):
        return open_clip.get_tokenizer(f"local-dir:{folder}", **(options or {"reduction_mask": ""}))


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as held:
        return {name: tuple(held.get_slice(name).get_shape()) for name in held.keys()}  # noqa: SIM118 - not a mapping


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep open_clip's notes away, such as one that a model without weights is random.

    The first one would also give the root logger a handler that prints, for good.
    """
    root, silent, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(silent)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        root.removeHandler(silent)
