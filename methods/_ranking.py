"""Losses of joint embeddings: the pairwise ranking loss of Action2Vec in its readings, and the classification loss.

Equation (section 3.2 of arXiv:1901.00484), with s the cosine, a_i the embedding of a video of class i and v_i the class
vector: ``sum_i sum_x (1 - s(a_i, v_i)) + max(0, s(a_x, v_i)) + max(0, s(a_i, v_x))``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zslbench_methods._networks import ClassNetwork, frame_means, uniform


@dataclass(frozen=True)
class Ranking:
    """How the ranking loss is read; the names are those of the methods' parameters without ``pr_``.

    Attributes
    ----------
    form
        What a negative costs, with s+ and s- the cosines of the pair and of the negative. ``literal``:
        max(0, s- - margin). ``hinge``: max(0, margin - s+ + s-). ``softmax``: the negatives of an anchor together cost
        -log of the pair's share in exp(s / temperature).
    negatives
        ``batch``: videos and names of the batch's other videos. ``classes``: the names of all training classes instead
        of the batch's. ``none``: the cosine loss 1 - s+ alone.
    dirs
        ``text``: names as negatives of a video, s(a_i, v_x). ``video``: videos as negatives of a name, s(a_x, v_i).
    mining
        ``hardest``: of each anchor only its highest negative. ``semi``: the highest below s+ (the lowest of all where
        none is).
    reduce
        ``sum``: the negatives of an anchor add up, and the positive term counts once for each, as in the equation.
        ``mean``: they are averaged, with one positive term.
    positive
        Weight of 1 - s+.
    """

    form: Literal["literal", "hinge", "softmax"] = "literal"
    margin: float = 0.0
    temperature: float = 0.1
    negatives: Literal["none", "batch", "classes"] = "batch"
    dirs: Literal["both", "video", "text"] = "both"
    reduce: Literal["sum", "mean"] = "mean"
    mining: Literal["none", "hardest", "semi"] = "hardest"
    positive: float = 1.0


def ranking_loss(embeddings: Tensor, labels: Tensor, vectors: Tensor, how: Ranking) -> Tensor:
    """Return the ranking loss, averaged over the batch.

    Parameters
    ----------
    embeddings
        (n, d), of any length.
    labels
        (n,) rows of ``vectors``.
    vectors
        (n_classes, d) unit class vectors.
    how
        The reading.
    """
    embeddings = functional.normalize(embeddings.float(), dim=1)
    names = embeddings @ vectors.T
    pair = names.gather(1, labels[:, None])[:, 0]
    loss = torch.zeros_like(pair)
    count = torch.zeros_like(pair)
    if how.negatives != "none":
        batch = names[:, labels]  # [x, i] = s(a_x, v_i)
        other = labels[:, None] != labels[None, :]
        if how.dirs != "video":
            columns = torch.arange(len(vectors), device=labels.device)
            every = how.negatives == "classes"
            cost, number = _negatives(
                pair, names if every else batch, columns != labels[:, None] if every else other, how
            )
            loss, count = loss + cost, count + number
        if how.dirs != "text":
            cost, number = _negatives(pair, batch.T, other, how)
            loss, count = loss + cost, torch.maximum(count, number)
    repeats = count.clamp(min=1) if how.reduce == "sum" else 1
    return (loss + how.positive * repeats * (1 - pair)).mean()


def _negatives(pair: Tensor, scores: Tensor, valid: Tensor, how: Ranking) -> tuple[Tensor, Tensor]:
    """Return what the negatives of each anchor cost, (n,), and how many they are, for scores (n, m) and a mask."""
    scores, valid = _mine(pair, scores, valid, how.mining)
    number = valid.sum(dim=1).to(pair.dtype)
    if how.form == "softmax":
        logits = torch.cat([pair[:, None], scores.masked_fill(~valid, float("-inf"))], dim=1) / how.temperature
        return logits.logsumexp(dim=1) - logits[:, 0], number
    level = how.margin - pair[:, None] if how.form == "hinge" else -how.margin
    cost = ((scores + level).clamp(min=0) * valid).sum(dim=1)
    return cost if how.reduce == "sum" else cost / number.clamp(min=1), number


def _mine(pair: Tensor, scores: Tensor, valid: Tensor, mining: str) -> tuple[Tensor, Tensor]:
    """Reduce each anchor's negatives (n, m) to the mined one, (n, 1)."""
    if mining == "none":
        return scores, valid
    ranked = scores.masked_fill(~valid, float("-inf"))
    if mining == "semi":
        below = valid & (scores < pair[:, None])
        lowest = scores.masked_fill(~valid, float("inf")).argmin(dim=1, keepdim=True)
        highest = ranked.masked_fill(~below, float("-inf")).argmax(dim=1, keepdim=True)
        index = torch.where(below.any(dim=1, keepdim=True), highest, lowest)
    else:
        index = ranked.argmax(dim=1, keepdim=True)
    return scores.gather(1, index), valid.gather(1, index)


def classification_loss(logits: Tensor, labels: Tensor, kind: Literal["bce", "softmax"]) -> Tensor:
    """Return the classification loss, averaged over the batch.

    Parameters
    ----------
    logits
        (n, n_classes).
    labels
        (n,) columns of ``logits``.
    kind
        ``softmax`` cross entropy, or ``bce``: a sigmoid and a binary cross entropy per class, averaged over classes.
    """
    logits = logits.float()
    if kind == "softmax":
        return functional.cross_entropy(logits, labels)
    wanted = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits, wanted)


def hinge_over_classes(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Return ``sum_{j != y} max(0, margin - F_y + F_j)``, averaged over the batch, for scores F (n, n_classes)."""
    right = scores.gather(1, labels[:, None])
    return ((margin - right + scores).clamp(min=0).sum(dim=1) - margin).mean()


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


LOSSES = {"sum": hinge_over_classes, "hardest": hardest_class, "rank": weighted_by_rank}


class LinearRanker(ClassNetwork):
    """A linear map of frames' means to the class vectors' space, trained with one of ``LOSSES`` (DeViSE, SJE, ALE).

    Parameters
    ----------
    inputs
        Size of a frame.
    vectors
        (n_classes, d) unit vectors of the training classes.
    loss
        Name of the loss.
    margin
        Margin of the hinge.
    unit_videos
        Whether a mapped video is brought to unit length before the product with the class vectors.
    generator
        Source of the initial weights.
    """

    def __init__(
        self,
        inputs: int,
        vectors: NDArray[np.float32],
        loss: Literal["sum", "hardest", "rank"],
        margin: float,
        unit_videos: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__(vectors)
        self.weight = uniform(vectors.shape[1], inputs, fan_in=inputs, generator=generator)
        self.ranking, self.margin, self.unit_videos = LOSSES[loss], margin, unit_videos

    def embed(self, frames: Tensor, lengths: NDArray[Any]) -> Tensor:
        """Return (n_videos, d) for frames (sum of lengths, inputs)."""
        return functional.linear(frame_means(frames, lengths), self.weight)

    def loss(self, frames: Tensor, lengths: NDArray[Any], labels: Tensor, done: float) -> Tensor:
        """Return the ranking loss against every training class."""
        embeddings = self.embed(frames, lengths).float()
        if self.unit_videos:
            embeddings = functional.normalize(embeddings, dim=1)
        return self.ranking(embeddings @ self.vectors.T, labels, self.margin)


class LatentRanker(LinearRanker):
    """``n_maps`` linear maps of frames' means; a class's score is that of the map that suits it best (LatEm)."""

    def __init__(
        self, inputs: int, vectors: NDArray[np.float32], margin: float, n_maps: int, generator: torch.Generator
    ) -> None:
        super().__init__(inputs, vectors, "sum", margin, True, generator)
        size = (n_maps * vectors.shape[1], inputs)  # one map below the other
        self.weight = uniform(*size, fan_in=inputs, generator=generator)

    def loss(self, frames: Tensor, lengths: NDArray[Any], labels: Tensor, done: float) -> Tensor:
        """Return DeViSE's hinge loss against every training class."""
        embeddings = functional.normalize(self.embed(frames, lengths).float(), dim=1)
        each = torch.unflatten(embeddings, 1, (-1, self.vectors.shape[1])) @ self.vectors.T  # (n, n_maps, n_classes)
        return self.ranking(each.amax(dim=1), labels, self.margin)
