"""R(2+1)D-18 (Tran et al., CVPR 2018), with torchvision's names, so that its Kinetics-400 weights load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from zslbench.video.backbone import BackboneInfo, Frames
from zslbench.video.backbones._preprocessing import centre_crop, resize, standardise
from zslbench.video.backbones._torch import StateDictBackbone, StateDictParams
from zslbench.videos import FloatArray

if TYPE_CHECKING:
    import torch

_RESIZED, _SIDE = (128, 171), 112
MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)  # red, green, blue


class R2Plus1DParams(StateDictParams):
    """Parameters of R(2+1)D-18.

    Attributes
    ----------
    clip_len
        Frames per clip; the published weights were trained on 16.

    Examples
    --------
    >>> R2Plus1DParams(clip_len=8, random_weights=0).batch_size
    8
    """

    clip_len: int = Field(16, ge=1)


class R2Plus1D(StateDictBackbone):
    """The 512 values before the classifier, averaged over space and time.

    Examples
    --------
    >>> backbone = R2Plus1D({"random_weights": 0})
    >>> backbone.trained_on, backbone.dim  # random weights learnt from nothing
    (('nothing',), 512)
    """

    info = BackboneInfo(
        name="r2plus1d-18",
        summary="R(2+1)D with 18 layers, pooled over space and time.",
        citation="Tran, Wang, Torresani, Ray, LeCun, Paluri: A Closer Look at Spatiotemporal Convolutions for Action "
        "Recognition. CVPR 2018.",
        trained_on=("kinetics400",),
        dim=512,
        weights="torchvision's state dict r2plus1d_18-91a641e6.pth, or one of the same names; see docs/backbones.md.",
    )
    head = ("fc.weight", 400, "Kinetics-400")
    known_weights = {"r2plus1d_18-91a641e6.pth": "91a641e6"}  # noqa: RUF012  # torch.hub checks the same digits

    class Params(R2Plus1DParams):
        """See :class:`R2Plus1DParams`."""

    @property
    def clip_len(self) -> int:
        """Frames per clip."""
        return int(self.params.clip_len)

    def preprocess(self, clip: Frames) -> FloatArray:
        """Return (3, T, 112, 112) float32, in the order red, green, blue, standardised as in torchvision's preset."""
        frames = centre_crop(resize(clip, _RESIZED), _SIDE, half="even")
        return np.ascontiguousarray(standardise(frames, MEAN, STD).transpose(3, 0, 1, 2))

    def build(self, n_classes: int | None) -> torch.nn.Module:
        """Return R(2+1)D up to its mean over space and time; it does not use its classifier."""
        from zslbench.video.backbones._networks import R2Plus1D18

        return R2Plus1D18(n_classes)
