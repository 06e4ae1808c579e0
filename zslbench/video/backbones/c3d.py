"""C3D (Tran et al., ICCV 2015), the features of Action2Vec: fc6 or fc7 of a network trained on Sports-1M."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from zslbench.digests import file_sha256
from zslbench.errors import ZslbenchError
from zslbench.files import reading
from zslbench.video.backbone import BackboneInfo, Frames
from zslbench.video.backbones._preprocessing import centre_crop, resize
from zslbench.video.backbones._torch import State, StateDictBackbone, StateDictParams
from zslbench.videos import FloatArray

if TYPE_CHECKING:
    import torch

FRAMES, _SIDE, _RESIZED = 16, 112, (128, 171)  # RESIZED: height, width
# The mean over space and time of the released mean volume, sport1m_train16_128_mean, in its order: blue, green, red.
CHANNEL_MEANS = (90.25, 97.66, 101.41)
# The same weights are also published under the names of a sequential network.
_SEQUENTIAL = {
    "features.0": "conv1", "features.3": "conv2", "features.6": "conv3a", "features.8": "conv3b",
    "features.11": "conv4a", "features.13": "conv4b", "features.16": "conv5a", "features.18": "conv5b",
    "classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "fc8",
}  # fmt: skip


class C3DParams(StateDictParams):
    """Parameters of C3D.

    Attributes
    ----------
    features
        The layer whose values, after its ReLU, are the features.
    mean
        A ``.npy`` file with the mean volume in the order blue, green, red: (3, 16, 128, 171), or (3, 16, 112, 112)
        if cropped. A leading axis of length 1 is removed. Without a file, ``channel_means`` are subtracted.
    channel_means
        Blue, green, red; by default those of the released mean volume.
    channels
        ``bgr`` for weights such as the released ones; ``rgb`` for weights that were trained on RGB.
    pool5
        ``end``: the last row and column are pooled alone, as in the released (Caffe) model. ``both``: zeros on all
        sides, the padding (0, 1, 1) of the published PyTorch port, whose features differ a little.

    Examples
    --------
    >>> C3DParams(features="fc6").channel_means  # blue, green, red
    (90.25, 97.66, 101.41)
    """

    features: Literal["fc6", "fc7"] = "fc7"
    mean: Path | None = None
    channel_means: tuple[float, float, float] = CHANNEL_MEANS
    channels: Literal["bgr", "rgb"] = "bgr"
    pool5: Literal["end", "both"] = "end"
    batch_size: int = Field(4, ge=1)


class C3D(StateDictBackbone):
    """C3D's fc6 or fc7 of 16 frames: resized to 171x128, the mean subtracted, cropped to the central 112x112.

    Examples
    --------
    >>> backbone = C3D({"random_weights": 0})
    >>> backbone.preprocess(np.zeros((16, 240, 320, 3), dtype=np.uint8)).shape, backbone.dim
    ((3, 16, 112, 112), 4096)
    """

    info = BackboneInfo(
        name="c3d",
        summary="C3D, fc6 or fc7 of 16 frames; Action2Vec's features.",
        citation="Tran, Bourdev, Fergus, Torresani, Paluri: Learning Spatiotemporal Features with 3D Convolutional "
        "Networks. ICCV 2015.",
        trained_on=("sports1m",),
        dim=4096,
        clip_len=FRAMES,
        weights="a PyTorch state dict of the Sports-1M model (c3d.pickle, c3d-pretrained.pth); see docs/backbones.md.",
    )
    head = ("fc8.weight", 487, "Sports-1M")
    # OpenMMLab writes the first digits of the SHA-256 into the name.
    known_weights = {"c3d_sports1m_pretrain_20201016-dcc47ddc.pth": "dcc47ddc"}  # noqa: RUF012

    not_identity = StateDictBackbone.not_identity | {"mean"}

    class Params(C3DParams):
        """See :class:`C3DParams`."""

    @cached_property
    def mean(self) -> FloatArray:
        """What is subtracted from resized frames: (16, 128, 171, 3), (16, 112, 112, 3) if cropped, or (3,).

        Raises
        ------
        ZslbenchError
            The file is not a mean volume.
        """
        path = self.params.mean
        if path is None:
            return np.asarray(self.params.channel_means, dtype=np.float32)
        if not path.is_file():
            raise ZslbenchError(f"there is no mean volume {path}; leave out mean to subtract the mean of each channel.")
        with reading(path):
            volume = np.load(path, allow_pickle=False)
        volume = volume[0] if volume.ndim == 5 and len(volume) == 1 else volume  # Caffe's axis of the batch
        if volume.shape not in {(3, FRAMES, *_RESIZED), (3, FRAMES, _SIDE, _SIDE)}:
            raise ZslbenchError(
                f"{path.name} has the shape {volume.shape}, not (3, 16, 128, 171) or (3, 16, 112, 112); save a mean "
                f"volume of such a shape, or leave out mean to subtract the mean of each channel."
            )
        return np.ascontiguousarray(volume.transpose(1, 2, 3, 0), dtype=np.float32)

    def describe(self) -> str:
        """Return name, version, parameters and the checksum of the mean volume."""
        # The path is no part of it: the same file in another folder gives the same features.
        path = self.params.mean
        volume = "" if path is None else f" mean volume {file_sha256(path)}"
        return super().describe() + volume

    def preprocess(self, clip: Frames) -> FloatArray:
        """Return (3, 16, 112, 112) float32: pixels from 0 to 255 minus the mean, in the order of ``channels``."""
        frames = resize(clip, _RESIZED)
        mean = self.mean
        if mean.shape[:-1] == (FRAMES, _SIDE, _SIDE):
            frames = centre_crop(frames, _SIDE)
        ordered = frames[..., ::-1] if self.params.channels == "bgr" else frames
        mean = mean if self.params.channels == "bgr" else mean[..., ::-1]
        # dtype: uint8 minus a small integer mean would wrap around below zero.
        values = centre_crop(np.subtract(ordered, mean, dtype=np.float32), _SIDE)
        return np.ascontiguousarray(values.transpose(3, 0, 1, 2))

    def build(self, n_classes: int | None) -> torch.nn.Module:
        """Return C3D up to the chosen layer; it does not use its classifier."""
        from zslbench.video.backbones import _networks

        return _networks.C3D(self.params.features, self.params.pool5, n_classes)

    def rename(self, state: State) -> State:
        """See :func:`named_state`."""
        return named_state(state)


def named_state(state: State) -> State:
    """Return a state dict with this network's names: conv1 ... fc8.

    The names of sequential networks (``features.0`` ... ``classifier.6``), of OpenMMLab (``conv1a.conv``) and of the
    paper (``conv1a``) are translated. Other names are not changed.
    """
    found: State = {}
    for name, tensor in state.items():
        layer, _, kind = name.rpartition(".")
        layer = _SEQUENTIAL.get(layer, layer.removesuffix(".conv"))
        layer = re.sub(r"^(conv[12])a$", r"\1", layer)
        found[f"{layer}.{kind}"] = tensor
    return found
