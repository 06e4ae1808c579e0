"""Bilinear compatibilities: ranking losses by the hardest class (SJE) and by rank (ALE), and latent maps (LatEm)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from zslbench_methods._ranking import LinearRanker


def hinges(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Return ``max(0, margin - F_y + F_j)``, and 0 for j = y, for scores F (n, n_classes)."""
    right = scores.gather(1, labels[:, None])
    return (margin - right + scores).clamp(min=0).scatter(1, labels[:, None], 0.0)


def hardest_class(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Return ``max_{j != y} max(0, margin - F_y + F_j)``, averaged over the batch (SJE)."""
    return hinges(scores, labels, margin).amax(dim=1).mean()


def weighted_by_rank(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Return ``b_r / r sum_{j != y} max(0, margin - F_y + F_j)``, averaged over the batch (ALE).

    r counts the classes within the margin, and ``b_r = sum_{k=1}^{r} 1 / k``.
    """
    costs = hinges(scores, labels, margin)
    rank = (costs > 0).sum(dim=1)
    places = torch.arange(1, scores.shape[1] + 1, device=scores.device, dtype=scores.dtype)
    weight = places.reciprocal().cumsum(0) / places  # of rank 1, 2, ...
    return (weight[(rank - 1).clamp(min=0)] * costs.sum(dim=1)).mean()


LOSSES = {"hardest": hardest_class, "rank": weighted_by_rank}


class CompatibilityRanker(LinearRanker):
    """DeViSE's linear map, trained with another of the losses above; the parameters but ``kind`` are its own."""

    def __init__(
        self,
        inputs: int,
        vectors: NDArray[np.float32],
        margin: float,
        unit_videos: bool,
        generator: torch.Generator,
        kind: Literal["hardest", "rank"],
    ) -> None:
        super().__init__(inputs, vectors, margin, unit_videos, generator)
        self.kind = kind

    def ranking(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of its kind."""
        return LOSSES[self.kind](scores, labels, self.margin)


class LatentRanker(LinearRanker):
    """``n_maps`` linear maps of frames' means; a class's score is that of the map that suits it best (LatEm)."""

    def __init__(
        self, inputs: int, vectors: NDArray[np.float32], margin: float, n_maps: int, generator: torch.Generator
    ) -> None:
        super().__init__(inputs, vectors, margin, True, generator)
        bound = inputs**-0.5
        size = (n_maps * vectors.shape[1], inputs)  # one map below the other
        self.weight = nn.Parameter(torch.empty(size).uniform_(-bound, bound, generator=generator))

    def loss(self, frames: Tensor, lengths: NDArray[Any], labels: Tensor, done: float) -> Tensor:
        """Return DeViSE's hinge loss against every training class."""
        embeddings = functional.normalize(self.embed(frames, lengths).float(), dim=1)
        each = embeddings.unflatten(1, (-1, self.vectors.shape[1])) @ self.vectors.T  # (n, n_maps, n_classes)
        return self.ranking(each.amax(dim=1), labels)
