"""What methods of vision-language models share: a transformer over the frames, and the symmetric cross entropy."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from zslbench_methods._networks import ClassNetwork, frame_means

MAX_FRAMES = 256  # that have a position of their own; later ones share the last
_HEAD = 64  # values of an attention head of CLIP
Start = Literal["identity", "normal"]


def quick_gelu(x: Tensor) -> Tensor:
    """Return ``x sigmoid(1.702 x)``, the activation of CLIP."""
    return x * torch.sigmoid(1.702 * x)


class TemporalTransformer(nn.Module):
    """``v + T(v + p)`` of frames v with learnt positions p and residual blocks T, as those of CLIP.

    A block is ``x + A(norm(x))``, then ``x + W_2 gelu(W_1 norm(x))``. A is self-attention over a video's frames;
    hidden layers have 4 times as many values as inputs. The released code of ActionCLIP, Text4Vis and BIKE has these.

    Parameters
    ----------
    dim
        Values of a frame. Attention heads have 64 each where this divides ``dim``.
    layers
        Blocks.
    generator
        Source of the initial weights.
    start
        ``identity``: T is the identity and p is 0 until they are trained. ``normal``: all matrices and p are drawn from
        N(0, 0.02), but the attention's inputs from torch's uniform distribution, as in the released code.
    """

    def __init__(self, dim: int, layers: int, generator: torch.Generator, start: Start = "identity") -> None:
        super().__init__()
        heads = dim // _HEAD if dim % _HEAD == 0 else next(n for n in (8, 4, 2, 1) if dim % n == 0)
        block = nn.TransformerEncoderLayer(
            dim, heads, 4 * dim, dropout=0.0, activation=quick_gelu, layer_norm_eps=1e-12, batch_first=True,
            norm_first=True, device="meta",
        )  # fmt: skip
        self.position = nn.Parameter(torch.zeros(MAX_FRAMES, dim))
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False).to_empty(device="cpu")
        for name, value in self.blocks.named_parameters():
            if value.ndim == 1:
                nn.init.constant_(value, float("norm" in name and name.endswith("weight")))
            elif name.endswith("in_proj_weight"):
                nn.init.xavier_uniform_(value, generator=generator)
            elif start == "identity" and name.endswith(("out_proj.weight", "linear2.weight")):
                nn.init.zeros_(value)
            else:
                nn.init.normal_(value, std=0.02, generator=generator)
        if start == "normal":
            nn.init.normal_(self.position, std=0.02, generator=generator)

    def forward(self, frames: Tensor, real: Tensor) -> Tensor:
        """Return frames (n, T, dim), of which ``real``, (n, T), are no padding."""
        places = torch.arange(frames.shape[1], device=frames.device).clamp(max=MAX_FRAMES - 1)
        seen: Tensor = self.blocks(frames + self.position[places], src_key_padding_mask=~real)
        return frames + seen


def symmetric_cross_entropy(logits: Tensor, labels: Tensor, sharpness: float = 10.0) -> Tensor:
    """Return the mean of both directions' KL divergence from ``softmax(sharpness * [y_i = y_j])`` to the softmax.

    ActionCLIP and BIKE train with it; a sharpness of 10 is that of both.

    Parameters
    ----------
    logits
        (n, n) of video i and the class of video j.
    labels
        (n,) classes.
    """
    wanted = (sharpness * (labels[:, None] == labels).to(logits.dtype)).softmax(dim=1)
    both = (functional.kl_div(each.log_softmax(dim=1), wanted, reduction="batchmean") for each in (logits, logits.T))
    return torch.stack(list(both)).mean()


class TemporalHead(ClassNetwork):
    """The mean over time of :class:`TemporalTransformer`, of unit length, compared with class vectors.

    Parameters
    ----------
    dim
        Values of a frame and of a class vector.
    vectors
        (n_classes, dim) unit vectors of the training classes.
    layers, start
        Of the transformer; 0 layers leave the mean over time.
    scale
        What cosines are multiplied by in the loss at the start; it is learnt.
    symmetric
        Whether the loss is :func:`symmetric_cross_entropy` within a batch, or the cross entropy over all classes.
    generator
        Source of the initial weights.
    """

    def __init__(
        self,
        dim: int,
        vectors: NDArray[np.float32],
        layers: int,
        start: Start,
        scale: float,
        symmetric: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__(vectors)
        self.symmetric = symmetric
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(scale))))
        self.transformer = TemporalTransformer(dim, layers, generator, start) if layers else None

    def embed(self, frames: Tensor, lengths: NDArray[Any]) -> Tensor:
        """Return (n_videos, dim) embeddings of unit length for frames (sum of lengths, dim), video after video."""
        if self.transformer is None:
            return functional.normalize(frame_means(frames, lengths), dim=1)
        counts = torch.from_numpy(np.asarray(lengths)).to(frames.device)
        padded = nn.utils.rnn.pad_sequence(list(torch.split(frames, counts.tolist())), batch_first=True)
        real = torch.arange(padded.shape[1], device=frames.device) < counts[:, None]
        summed = (self.transformer(padded, real) * real[:, :, None]).sum(dim=1)
        return functional.normalize(summed, dim=1)  # the sum has the direction of the mean

    def loss(self, frames: Tensor, lengths: NDArray[Any], labels: Tensor, done: float) -> Tensor:
        """Return the loss of a batch."""
        logits = self.log_scale.exp() * self.embed(frames, lengths) @ self.vectors.T
        if self.symmetric:
            return symmetric_cross_entropy(logits[:, labels], labels)
        return functional.cross_entropy(logits, labels)
