"""The network of CoCo: classes and their descriptions aligned with videos, and seen with unseen classes by a cycle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from zslbench_methods._networks import ClassNetwork, frame_means, uniform


def class_loss(videos: Tensor, classes: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return ``-log softmax_c(<v_i, t_c> / temperature)`` at c = y_i, averaged over the batch.

    Parameters
    ----------
    videos
        (n, m) of unit length.
    classes
        (n_classes, m) of unit length.
    labels
        (n,) rows of ``classes``.
    """
    return functional.cross_entropy(videos @ classes.T / temperature, labels)


def instance_loss(videos: Tensor, described: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return InfoNCE between videos and one description of each one's class, averaged over both directions.

    Another video or description of the same class is neither positive nor negative.

    Parameters
    ----------
    videos, described
        (n, m) of unit length; row i of both is a pair.
    labels
        (n,) classes.
    """
    logits = videos @ described.T / temperature
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    logits = logits.masked_fill((labels[:, None] == labels) & ~own, float("-inf"))
    wanted = torch.arange(len(labels), device=labels.device)
    return (functional.cross_entropy(logits, wanted) + functional.cross_entropy(logits.T, wanted)) / 2


def cycle_loss(seen: Tensor, unseen: Tensor, temperature: float) -> Tensor:
    """Return ``|S' - S|^2``, averaged over the seen classes, with S rebuilt by way of the unseen classes U.

    ``U' = softmax(U S^T / temperature) S`` and ``S' = softmax(S U^T / temperature) U'``.

    Parameters
    ----------
    seen, unseen
        (n_seen, m), (n_unseen, m) class features.
    """
    similar = seen @ unseen.T / temperature
    rebuilt = similar.softmax(dim=1) @ (similar.T.softmax(dim=1) @ seen)
    return (rebuilt - seen).square().sum(dim=1).mean()


class DualAlignment(ClassNetwork):
    """Linear maps of videos, of class labels and of descriptions into one space of unit vectors.

    Parameters
    ----------
    inputs
        Size of a frame.
    vectors
        (n_classes, d) vectors of the training classes.
    params
        Those of CoCo.
    generator
        Source of the initial weights.
    """

    def __init__(self, inputs: int, vectors: NDArray[np.float32], params: Any, generator: torch.Generator) -> None:
        super().__init__(vectors)
        dim = vectors.shape[1]
        self.params = params
        self.video, self.label, self.described = (
            nn.Parameter(torch.eye(dim))
            if params.space == "joint"
            else uniform(dim, size, fan_in=size, generator=generator)
            for size in (inputs, dim, dim)
        )
        self.middle: Tensor  # of the seen classes' labels and descriptions
        self.register_buffer("middle", torch.zeros(2, dim))

    def inform(
        self, labels: Tensor, descriptions: Sequence[Tensor], unseen: tuple[Tensor, Sequence[Tensor]] | None
    ) -> None:
        """Take the training classes' label vectors (n_classes, d) and descriptions (k_c, d), and the unseen ones'."""
        self.labels, self.pools = labels, pool(descriptions)
        self.unseen = None if unseen is None else (unseen[0], pool(unseen[1]))
        self.every = torch.cat(list(descriptions))
        self.counts = torch.tensor([len(each) for each in descriptions])
        if self.params.centre:
            self.middle.copy_(torch.stack([labels.mean(dim=0), self.pools.mean(dim=0)]))

    def embed(self, frames: Tensor, lengths: NDArray[Any]) -> Tensor:
        """Return (n_videos, d) of unit length for frames (sum of lengths, inputs)."""
        return functional.normalize(functional.linear(frame_means(frames, lengths), self.video), dim=1)

    def classes(self, labels: Tensor, pools: Tensor) -> Tensor:
        """Return the class features, (k, d), of label vectors and pooled descriptions, both (k, d)."""
        mapped = functional.linear(self._placed(labels, 0), self.label) + self.describe(pools)
        return functional.normalize(mapped, dim=1)

    def describe(self, descriptions: Tensor) -> Tensor:
        """Return where descriptions (k, d) lie, before they are brought to unit length."""
        return functional.linear(self._placed(descriptions, 1), self.described)

    def _placed(self, rows: Tensor, which: int) -> Tensor:
        return functional.normalize(rows - self.middle[which], dim=1)

    def loss(self, frames: Tensor, lengths: NDArray[Any], labels: Tensor, done: float) -> Tensor:
        """Return the weighted sum of the three losses."""
        params, device = self.params, labels.device
        videos = self.embed(frames, lengths).float()
        features = self.classes(self.labels.to(device), self.pools.to(device)).float()
        total = class_loss(videos, features, labels, params.temperature)
        if params.instance_weight:
            described = functional.normalize(self.describe(self.sample(labels)), dim=1)
            total = total + params.instance_weight * instance_loss(videos, described, labels, params.temperature)
        if params.cycle_weight and self.unseen is not None:
            others = self.classes(*(rows.to(device) for rows in self.unseen)).float()
            total = total + params.cycle_weight * cycle_loss(features, others, params.cycle_temperature)
        return total

    def sample(self, labels: Tensor) -> Tensor:
        """Return one description of each label's class, (n, d), drawn at random."""
        counts = self.counts.to(labels.device)
        drawn = torch.rand(len(labels), generator=self.noise, device=labels.device, dtype=torch.float64)
        rows = (counts.cumsum(0) - counts)[labels] + (drawn * counts[labels]).long()
        return self.every.to(labels.device)[rows]


def pool(descriptions: Sequence[Tensor]) -> Tensor:
    """Return the mean of each class's descriptions (k_c, d), of unit length, (n_classes, d)."""
    return functional.normalize(torch.stack([each.mean(dim=0) for each in descriptions]), dim=1)
