"""CLIP's image tower (Radford et al., ICML 2021) from a local folder, in the format of ``save_pretrained``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.digests import digest, file_sha256
from zslbench.errors import ZslbenchError
from zslbench.files import read_json, reading
from zslbench.video.backbone import BackboneInfo, Frames, require
from zslbench.video.backbones._preprocessing import Preprocessing, Size
from zslbench.video.backbones._torch import TorchBackbone, TorchParams
from zslbench.video.model_files import CONFIG, WEIGHTS
from zslbench.videos import FloatArray

if TYPE_CHECKING:
    import torch

PREPROCESSOR = "preprocessor_config.json"
_PILLOW = {2: "pillow-bilinear", 3: "pillow-bicubic"}  # Pillow's numbers, as preprocessor_config.json has them


class ClipParams(TorchParams):
    """Parameters of CLIP.

    Attributes
    ----------
    tokens
        ``frame``: one embedding per clip, the mean over its frames. ``patch``: for clips of one frame, the frame's
        embedding, then one embedding per patch, row by row, through the same last norm and projection.
    normalise
        Whether to scale every embedding to unit length (before the mean over frames).

    Examples
    --------
    >>> ClipParams(tokens="patch").batch_size
    32
    """

    tokens: Literal["frame", "patch"] = "frame"
    normalise: bool = True
    batch_size: int = Field(32, ge=1)


class Clip(TorchBackbone):
    """The image tower's projected embedding of each frame.

    Examples
    --------
    >>> Clip(weights=Path("an-empty-folder"))
    Traceback (most recent call last):
    zslbench.errors.ZslbenchError: an-empty-folder lacks config.json, model.safetensors, preprocessor_config.json; ...
    """

    info = BackboneInfo(
        name="clip",
        summary="CLIP's image tower, frame by frame; patch tokens on request.",
        citation="Radford et al.: Learning Transferable Visual Models From Natural Language Supervision. ICML 2021.",
        trained_on=("web-captions",),
        kind="frame",
        clip_len=1,
        weights=f"a local folder of transformers with {CONFIG}, {WEIGHTS} and {PREPROCESSOR} (and the tokenizer's "
        f"files for class vectors), such as a copy of openai/clip-vit-base-patch32; see docs/backbones.md.",
    )

    class Params(ClipParams):
        """See :class:`ClipParams`."""

    def _digest(self, weights: Path) -> str:
        return file_sha256(check_model_folder(weights, (CONFIG, WEIGHTS, PREPROCESSOR)) / WEIGHTS)

    @property
    def clip_len(self) -> int | None:
        """1 for patch tokens; otherwise ``None``, any number of frames."""
        return 1 if self.params.tokens == "patch" else None

    @cached_property
    def config(self) -> Any:
        """The towers' sizes."""
        transformers = _transformers()
        return transformers.CLIPConfig.from_pretrained(self.weights_file, local_files_only=True)

    @property
    def dim(self) -> int:
        """Values per embedding, the same for frames, patches and texts."""
        return int(self.config.projection_dim)

    @property
    def rows_per_clip(self) -> int:  # type: ignore[override]
        """1, or 1 + the number of patches."""
        if self.params.tokens == "frame":
            return 1
        vision = self.config.vision_config
        return 1 + int(vision.image_size // vision.patch_size) ** 2

    @cached_property
    def block(self) -> Preprocessing:
        """How frames are preprocessed, read from preprocessor_config.json."""
        return read_preprocessor(self.weights_file / PREPROCESSOR)

    def describe(self) -> str:
        """Return name, version, parameters, and digests of the configurations of the model and its preprocessing."""
        values = read_json(self.weights_file / CONFIG, "copy it from the model again")
        # Saving the same model again changes these two keys and nothing that features depend on.
        model = {key: value for key, value in values.items() if key not in ("transformers_version", "_name_or_path")}
        return f"{super().describe()} config {digest(model)} preprocessing {digest(self.block.model_dump(mode='json'))}"

    def preprocess(self, clip: Frames) -> FloatArray:
        """Return (T, 3, H, W) float32."""
        return self.block.apply(clip)

    def load(self) -> torch.nn.Module:
        """Return the image tower with its projection."""
        transformers = _transformers()
        tower: torch.nn.Module = transformers.CLIPVisionModelWithProjection.from_pretrained(
            self.weights_file, local_files_only=True, use_safetensors=True
        )
        return tower

    def forward(self, batch: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return (n * rows_per_clip, D): every clip's embedding, followed by those of its patches for patch tokens."""
        rows = self.run(self._patches if self.params.tokens == "patch" else self._frames, np.concatenate(batch))
        if self.params.normalise:
            rows = unit_rows(rows)
        if self.params.tokens == "patch":
            return np.asarray(rows).reshape(-1, rows.shape[-1])
        return clip_means(rows, [len(frames) for frames in batch])

    def _frames(self, pixels: torch.Tensor) -> torch.Tensor:
        embeds: torch.Tensor = self.network(pixel_values=pixels).image_embeds
        return embeds

    def _patches(self, pixels: torch.Tensor) -> torch.Tensor:
        network: Any = self.network
        hidden = network(pixel_values=pixels).last_hidden_state  # the class token, then the patches
        projected: torch.Tensor = network.visual_projection(network.vision_model.post_layernorm(hidden))
        return projected


def read_preprocessor(path: Path) -> Preprocessing:
    """Return the preprocessing that a ``preprocessor_config.json`` of CLIP's image processor describes.

    Raises
    ------
    ZslbenchError
        It cannot be read, or uses a resampling other than Pillow's bilinear or bicubic.
    """
    with reading(path, "copy it from the model again", says=f"{path} is not a preprocessing of CLIP"):
        values = read_json(path)
        resample = values.get("resample", 3)
        if values.get("do_resize", True) and resample not in _PILLOW:
            raise ValueError(f"resample {resample}")
        on = {step: values.get(f"do_{step}", True) for step in ("resize", "center_crop", "rescale", "normalize")}
        return Preprocessing.model_validate({
            "resize": _size(values["size"]) if on["resize"] else None,
            "crop": _size(values["crop_size"]) if on["center_crop"] else None,
            "interpolation": _PILLOW.get(resample, "pillow-bicubic"),
            "scale": 1 / values.get("rescale_factor", 1 / 255) if on["rescale"] else 1.0,
            "mean": values["image_mean"] if on["normalize"] else (0.0, 0.0, 0.0),
            "std": values["image_std"] if on["normalize"] else (1.0, 1.0, 1.0),
            "layout": "NCHW",
            "clip_len": 1,
        })  # fmt: skip


def _size(value: Any) -> Size:
    if isinstance(value, int):
        return value
    return int(value["shortest_edge"]) if "shortest_edge" in value else (int(value["height"]), int(value["width"]))


def clip_means(rows: NDArray[Any], lengths: Sequence[int]) -> NDArray[Any]:
    """Return the mean of each clip's rows, (n, D); ``lengths`` are the clips' numbers of frames."""
    return np.stack([part.mean(axis=0) for part in np.split(rows, np.cumsum(lengths)[:-1])])


def unit_rows(rows: NDArray[Any]) -> FloatArray:
    """Return vectors of unit length along the last axis, float32."""
    values = np.asarray(rows, dtype=np.float64)  # norms in float64, so that only the last rounding is to float32
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), dtype=np.float32)


def check_model_folder(folder: Path, needed: Sequence[str]) -> Path:
    """Return the folder if it has all files that are needed.

    Raises
    ------
    ZslbenchError
        Files are missing; the message names them.
    """
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise ZslbenchError(
            f"{folder} lacks {', '.join(missing)}; copy the files of a CLIP model in transformers' format there "
            f"(model.save_pretrained and processor.save_pretrained write them); nothing is downloaded."
        )
    return folder


def _transformers() -> Any:
    transformers = require("transformers", "clip")
    # transformers would warn about the other tower's weights, which are left out on purpose.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers
