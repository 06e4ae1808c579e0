"""Turn a clip's frames into a network's input: resize, crop, scale, reorder; and the TOML block that describes it.

All functions are pure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from zslbench.errors import NotFoundError, ZslbenchError, validated
from zslbench.files import read_toml
from zslbench.video.backbone import Frames, require
from zslbench.videos import FloatArray

Pixel = TypeVar("Pixel", np.uint8, np.float32)

Interpolation = Literal["bilinear", "bicubic", "area", "pillow-bilinear", "pillow-bicubic"]
Size = int | tuple[int, int]  # the shorter side, or (height, width)


def resize(frames: Frames, size: Size, interpolation: Interpolation = "bilinear") -> Frames:
    """Return frames of another size, (T, h, w, 3) uint8.

    Parameters
    ----------
    frames
        (T, H, W, 3) uint8.
    size
        (height, width), or the shorter side. The longer side then keeps the ratio, rounded down.
    interpolation
        OpenCV's methods read only the nearest pixels; most video networks were trained in this way. Pillow's average
        over all pixels that are reduced to one; CLIP was trained in this way.
    """
    height, width = frames.shape[1:3]
    if isinstance(size, int):
        short = min(height, width)
        size = (size * height // short, size * width // short)
    if size == (height, width):  # interpolation would cost time and, with some methods, change pixels
        return frames
    if interpolation.startswith("pillow-"):
        from PIL import Image

        how = Image.Resampling[interpolation.removeprefix("pillow-").upper()]
        resized = [np.asarray(Image.fromarray(f).resize(size[::-1], how)) for f in np.ascontiguousarray(frames)]
    else:
        cv2 = require("cv2", "video")
        flag = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}[interpolation]
        resized = [cv2.resize(frame, size[::-1], interpolation=flag) for frame in frames]
    return np.stack(resized)


def centre_crop(frames: NDArray[Pixel], size: Size, half: Literal["down", "even"] = "down") -> NDArray[Pixel]:
    """Return the centre of frames, (T, h, w, 3); smaller frames get black borders.

    Parameters
    ----------
    frames
        (T, H, W, 3).
    size
        (height, width), or one number for both.
    half
        How half of an odd margin is rounded: ``down`` (Caffe, transformers) or to the ``even`` number (torchvision).
    """
    crop = (size, size) if isinstance(size, int) else size
    down, across = (max(0, wanted - have) for wanted, have in zip(crop, frames.shape[1:3], strict=True))
    if down or across:
        frames = np.pad(frames, ((0, 0), ((down + 1) // 2, down // 2), ((across + 1) // 2, across // 2), (0, 0)))
    margins = [have - wanted for wanted, have in zip(crop, frames.shape[1:3], strict=True)]
    top, left = (round(m / 2) if half == "even" else m // 2 for m in margins)
    return frames[:, top : top + crop[0], left : left + crop[1]]


def standardise(frames: Frames, mean: Any, std: Any, scale: float = 255.0) -> FloatArray:
    """Return ``(frames / scale - mean) / std`` per channel, (T, h, w, 3) float32."""
    values = frames.astype(np.float32) / np.float32(scale)
    centred = values - np.asarray(mean, dtype=np.float32)
    return np.asarray(centred / np.asarray(std, dtype=np.float32), dtype=np.float32)


class Preprocessing(BaseModel):
    """The TOML block of a network that comes as a file.

    Attributes
    ----------
    resize, crop
        The shorter side, or [height, width]; resize comes first.
    scale, mean, std
        ``(pixel / scale - mean) / std``, one value per channel, in the order of ``channels``.
    layout
        The input's axes: N clips, C channels, T frames, H, W. Without T, every frame is computed by itself, and a
        clip's feature is the mean over its frames.
    clip_len
        Frames per clip.
    output
        Name or index of the output to use, if there are several. Of an ONNX graph, any tensor can be named.
    pool
        ``mean`` averages all axes of the output after the second, such as those of a (n, D, T, H, W) map. Of the
        (n, P, D) tokens of a transformer, ``class-token`` takes the first, and ``token-mean`` averages all.
    batch_size
        The only number of clips that the network takes, if it was exported with a fixed one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    resize: Size | None = None
    crop: Size | None = None
    interpolation: Interpolation = "bilinear"
    scale: float = Field(255.0, gt=0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["NCTHW", "NTCHW", "NTHWC", "NCHW", "NHWC"] = "NCTHW"
    clip_len: int = Field(16, ge=1)
    output: str | int = 0
    pool: Literal["none", "mean", "class-token", "token-mean"] = "none"
    batch_size: int | None = Field(None, ge=1)
    trained_on: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Preprocessing:
        if any(np.min(size) < 1 for size in (self.resize, self.crop) if size is not None):
            raise ValueError("resize and crop must be positive")
        if 0 in self.std:
            raise ValueError("std must not be zero")
        return self

    @property
    def by_frame(self) -> bool:
        """Whether the network reads single frames."""
        return "T" not in self.layout

    def apply(self, clip: Frames) -> FloatArray:
        """Return the network's input for one clip: the axes of ``layout`` without N, or (T, ...) for frames."""
        frames = clip if self.resize is None else resize(clip, self.resize, self.interpolation)
        frames = frames if self.crop is None else centre_crop(frames, self.crop)
        frames = frames[..., ::-1] if self.channels == "bgr" else frames
        values = standardise(frames, self.mean, self.std, self.scale)
        axes = self.layout.replace("N", "T" if self.by_frame else "")
        return np.ascontiguousarray(values.transpose(["THWC".index(axis) for axis in axes]))


def read_preprocessing(path: Path) -> Preprocessing:
    """Return the preprocessing that a TOML file describes.

    Raises
    ------
    ZslbenchError
        The file is missing or not TOML, or has an unknown key or a wrong value.
    """
    try:
        values = read_toml(path)
    except NotFoundError as error:
        raise ZslbenchError(
            f"there is no {path}; write there how frames are preprocessed (resize, crop, mean, std, layout, clip_len, "
            f"...), or give another file with --set backbone.preprocessing=FILE.toml."
        ) from error
    return validated(Preprocessing, values, path.name)


def pick_output(outputs: Any, block: Preprocessing, names: list[str], source: str) -> NDArray[Any]:
    """Return the (n, D) output that a preprocessing block asks for.

    Parameters
    ----------
    outputs
        One array, a sequence of arrays, or a mapping of arrays.
    block
        Says which output to use, and whether to average it.
    names
        Names of the outputs, if they have any.
    source
        Name of the network's file, for messages.

    Raises
    ------
    ZslbenchError
        There is no such output, or it has other axes.
    """
    if isinstance(outputs, dict):
        names, outputs = list(outputs), list(outputs.values())
    elif not isinstance(outputs, list | tuple):
        outputs = [outputs]
    place = names.index(block.output) if block.output in names else block.output
    if not isinstance(place, int) or not -len(outputs) <= place < len(outputs):
        listed = f" ({', '.join(names)})" if names else ""
        raise ZslbenchError(
            f"{source} has {len(outputs)} outputs{listed}, none of them {block.output!r}; change output in its "
            f"preprocessing file."
        )
    found = np.asarray(outputs[place])
    if block.pool == "mean" and found.ndim > 2:
        found = found.mean(axis=tuple(range(2, found.ndim)), dtype=np.float32)
    elif block.pool in ("class-token", "token-mean") and found.ndim != 3:
        raise ZslbenchError(
            f"{source} returns {found.shape}, not tokens (clips, P, D); set output to the tokens, or change pool."
        )
    elif block.pool == "class-token":
        found = found[:, 0]
    elif block.pool == "token-mean":
        found = found.mean(axis=1, dtype=np.float32)
    if found.ndim < 2 or any(side != 1 for side in found.shape[2:]):
        raise ZslbenchError(
            f'{source} returns {found.shape}, not (clips, D); set output to the features, pool = "mean" to average '
            f'the axes after the second, or pool = "class-token" or "token-mean" for tokens (clips, P, D).'
        )
    return found.reshape(found.shape[:2])
