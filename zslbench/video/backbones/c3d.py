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
from zslbench.features.formats import reading
from zslbench.video.backbone import BackboneInfo, FloatArray, Frames
from zslbench.video.backbones._preprocessing import centre_crop, resize
from zslbench.video.backbones._torch import State, StateDictParams, TorchBackbone, fill, initialise, read_state

if TYPE_CHECKING:
    import torch

CLASSES = 487  # of Sports-1M
FRAMES, SIDE, RESIZED = 16, 112, (128, 171)  # RESIZED: height, width
# The mean over space and time of the released mean volume, sport1m_train16_128_mean, in its order: blue, green, red.
CHANNEL_MEANS = (90.25, 97.66, 101.41)
# The same weights circulate under the names of a sequential network, too.
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
        Which layer, after its ReLU.
    mean
        A ``.npy`` file with the mean volume in the order blue, green, red: (3, 16, 128, 171), or (3, 16, 112, 112)
        once cropped; an axis of length 1 before it is taken off. Without it, ``channel_means`` are subtracted.
    channel_means
        Blue, green, red; by default the mean volume's own.
    channels
        ``bgr`` as the released model was trained; ``rgb`` for weights that were trained otherwise.
    pool5
        ``end``: the last row and column are pooled alone, as the released (Caffe) model does; ``both``: zeros all
        around, PyTorch's padding (0, 1, 1) of the circulating port, whose features differ a little.
    """

    features: Literal["fc6", "fc7"] = "fc7"
    mean: Path | None = None
    channel_means: tuple[float, float, float] = CHANNEL_MEANS
    channels: Literal["bgr", "rgb"] = "bgr"
    pool5: Literal["end", "both"] = "end"
    batch_size: int = Field(4, ge=1)


class C3D(TorchBackbone):
    """C3D's fc6 or fc7 of 16 frames: resized to 171x128, the mean subtracted, the middle 112x112."""

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
    # OpenMMLab writes the first digits of the SHA-256 into the name.
    known_weights = {"c3d_sports1m_pretrain_20201016-dcc47ddc.pth": "dcc47ddc"}  # noqa: RUF012

    not_identity = TorchBackbone.not_identity | {"mean"}

    class Params(C3DParams):
        """See :class:`C3DParams`."""

    @cached_property
    def mean(self) -> FloatArray:
        """What is subtracted from resized frames: (16, 128, 171, 3), (16, 112, 112, 3) if cropped, or (3,).

        Raises
        ------
        ZslbenchError
            The file is no mean volume.
        """
        path = self.params.mean
        if path is None:
            return np.asarray(self.params.channel_means, dtype=np.float32)
        if not path.is_file():
            raise ZslbenchError(f"there is no mean volume {path}; leave out mean to subtract the mean of each channel.")
        with reading(path):
            volume = np.load(path, allow_pickle=False)
        volume = volume[0] if volume.ndim == 5 and len(volume) == 1 else volume
        if volume.shape not in {(3, FRAMES, *RESIZED), (3, FRAMES, SIDE, SIDE)}:
            raise ZslbenchError(
                f"{path.name} has the shape {volume.shape}, a mean volume is (3, 16, 128, 171) or (3, 16, 112, 112); "
                f"save it so, or leave out mean to subtract the mean of each channel."
            )
        return np.ascontiguousarray(volume.transpose(1, 2, 3, 0), dtype=np.float32)

    def describe(self) -> str:
        """Name, version and parameters; the mean volume by its checksum, wherever it lies."""
        path = self.params.mean
        volume = "" if path is None else f" mean volume {file_sha256(path)}"
        return super().describe() + volume

    def preprocess(self, clip: Frames) -> FloatArray:
        """Return (3, 16, 112, 112) float32: pixels from 0 to 255 minus the mean, blue, green, red."""
        frames = resize(clip, RESIZED)
        mean = self.mean
        if mean.shape[:-1] == (FRAMES, SIDE, SIDE):
            frames = centre_crop(frames, SIDE)
        ordered = frames[..., ::-1] if self.params.channels == "bgr" else frames
        mean = mean if self.params.channels == "bgr" else mean[..., ::-1]
        values = centre_crop(np.subtract(ordered, mean, dtype=np.float32), SIDE)
        return np.ascontiguousarray(values.transpose(3, 0, 1, 2))

    def load(self) -> torch.nn.Module:
        """Return the network up to the layer that is asked for."""
        from torch import device

        from zslbench.video.backbones import _networks

        params = self.params
        if self.weights is None:
            return initialise(lambda: _networks.C3D(params.features, params.pool5, None), params.random_weights)
        state = named_state(read_state(self.weights))
        head = state.get("fc8.weight")
        if head is not None and len(head) != CLASSES and params.trained_on is None:
            raise ZslbenchError(
                f"{self.weights.name} tells {len(head)} classes apart, not the {CLASSES} of Sports-1M: it was trained "
                f"further, which voids zero-shot results on those classes; say on what with --set "
                f"backbone.trained_on=sports1m,NAME."
            )
        with device("meta"):
            network = _networks.C3D(params.features, params.pool5, None if head is None else len(head))
        return fill(network, state, self.weights.name)


def named_state(state: State) -> State:
    """Return a state dict under this network's names: conv1 ... fc8.

    Sequential networks (``features.0`` ... ``classifier.6``), OpenMMLab's (``conv1a.conv``) and the paper's own names
    (``conv1a``) are understood; other names stay as they are.
    """
    found: State = {}
    for name, tensor in state.items():
        layer, _, kind = name.rpartition(".")
        layer = _SEQUENTIAL.get(layer, layer.removesuffix(".conv"))
        layer = re.sub(r"^(conv[12])a$", r"\1", layer)
        found[f"{layer}.{kind}"] = tensor
    return found
