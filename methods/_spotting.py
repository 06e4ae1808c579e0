"""Video concept spotting (BIKE) and spatial and temporal interaction (STI): frames weighed by the words of a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from zslbench_methods._networks import ClassNetwork, Perceptron, uniform
from zslbench_methods._temporal import TemporalTransformer, symmetric_cross_entropy


@dataclass(frozen=True)
class How:
    """How frames are weighed and compared.

    Attributes
    ----------
    joint
        Whether features are of the class vectors' space; a linear map takes them there otherwise.
    adapter
        Whether a linear map is added to the frames of a joint space.
    layers
        Of the temporal transformer.
    temporal
        Whether frames are weighed by :func:`saliency`, or evenly.
    spatial
        What :func:`best_patch` does to these weights: it multiplies them (``mul``, or by a learnt sigmoid of it:
        ``gate``), or is added to them as to even ones (``add``).
    scale, sharpness
        Of the loss: the factor of scores at the start, and of its targets.
    """

    joint: bool = True
    adapter: bool = True
    layers: int = 0
    temporal: bool = True
    spatial: Literal["none", "mul", "add", "gate"] = "none"
    scale: float = 20.0
    sharpness: float = 10.0

    @property
    def trained(self) -> bool:
        """Whether anything but the loss's own scale is learnt."""
        return self.adapter or bool(self.layers) or not self.joint or self.spatial != "none"


def saliency(similar: Tensor, frames: Tensor, words: Tensor, temperature: Tensor | float) -> Tensor:
    """Return ``mean_w softmax_t(similar / temperature)``, (n, T, C): how much of a class's words each frame shows.

    Parameters
    ----------
    similar
        (n, T, C, W) products of frames and the words of each class.
    frames, words
        (n, T) and (C, W) bool: which of them are real, not padding.
    """
    shares = (similar / temperature).masked_fill(~frames[:, :, None, None], float("-inf")).softmax(dim=1)
    return (shares * words).sum(dim=3) / words.sum(dim=1)


def best_patch(patches: Tensor, words: Tensor, real: Tensor) -> Tensor:
    """Return ``max_p max_w <patch, word>``, (n, T, C), for patches (n, T, P, d), words (C, W, d) and which are real."""
    best = (patches @ words.flatten(0, 1).T).amax(dim=2)  # the order of the two maxima does not matter
    return torch.unflatten(best, 2, real.shape).masked_fill(~real, float("-inf")).amax(dim=3)


class Spotter(ClassNetwork):
    """Scores ``<sum_t a_tc v_t, s_c>`` of frames v_t with weights a_tc by the words of class c, and class vectors s_c.

    Parameters
    ----------
    inputs
        Size of a frame.
    vectors
        (n_classes, d) unit vectors of the training classes.
    how
        Its parts.
    temperature
        Of the saliency.
    tokens
        Rows of a frame: itself and its patches.
    generator
        Source of the initial weights.
    """

    def __init__(
        self,
        inputs: int,
        vectors: NDArray[np.float32],
        how: How,
        temperature: float,
        tokens: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__(vectors)
        dim = vectors.shape[1]
        self.how = how
        self.temperature: Tensor
        self.register_buffer("temperature", torch.tensor(float(temperature)))
        self.tokens: Tensor
        self.register_buffer("tokens", torch.tensor(tokens))
        self.words: Tensor
        self.real: Tensor
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(how.scale))))
        start = uniform(dim, inputs, fan_in=inputs, generator=generator)
        if how.joint:
            nn.init.zeros_(start)  # it is added to the frames, which start as they are
        self.adapter = start if how.adapter or not how.joint else None
        self.transformer = TemporalTransformer(dim, how.layers, generator) if how.layers else None
        if how.spatial != "none":
            self.patch_map = nn.Parameter(torch.eye(dim) if how.joint else start.detach().clone())
            self.word_map = nn.Parameter(torch.eye(dim))
        if how.spatial == "gate":
            self.gate = nn.Parameter(torch.tensor([1.0, 0.0]))

    def inform(self, words: Tensor, real: Tensor) -> None:
        """Take the words of the training classes, (n_classes, W, d) of unit length, and which of them are real."""
        self.words, self.real = words, real

    def frames(self, rows: Tensor, lengths: NDArray[Any], tokens: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the frames (n, T, d), which of them are real (n, T), and their patches (n, T, P, inputs).

        Parameters
        ----------
        rows
            (sum of lengths, inputs), the videos one after the other, each frame before its patches.
        lengths
            (n,) rows of each video.
        tokens
            Rows of a frame.
        """
        counts = torch.from_numpy(np.asarray(lengths) // tokens).to(rows.device)
        each = torch.unflatten(functional.normalize(rows.float(), dim=1), 0, (-1, tokens))
        full = nn.utils.rnn.pad_sequence(list(torch.split(each, counts.tolist())), batch_first=True)
        real = torch.arange(full.shape[1], device=rows.device) < counts[:, None]
        return self.encode(full[:, :, 0], real), real, full[:, :, 1:]

    def encode(self, frames: Tensor, real: Tensor) -> Tensor:
        """Return frames (n, T, inputs) where words lie, (n, T, d), of unit length."""
        if self.adapter is not None:
            mapped = functional.linear(frames, self.adapter)
            frames = functional.normalize(frames + mapped if self.how.joint else mapped, dim=2)
        if self.transformer is not None:
            frames = functional.normalize(self.transformer(frames, real), dim=2)
        return frames

    def scores(
        self, rows: Tensor, lengths: NDArray[Any], tokens: int, vectors: Tensor, words: Tensor, real: Tensor
    ) -> Tensor:
        """Return (n_videos, C) scores of any classes, by their vectors (C, d) and words (C, W, d)."""
        frames, present, patches = self.frames(rows, lengths, tokens)
        weights = self.weights(frames, present, patches, words, real)
        return (weights * (frames @ vectors.T)).sum(dim=1)

    def weights(self, frames: Tensor, present: Tensor, patches: Tensor, words: Tensor, real: Tensor) -> Tensor:
        """Return the weight of each frame for each class, (n, T, C), 0 for padding."""
        share = present / present.sum(dim=1, keepdim=True)
        even = share[:, :, None].expand(-1, -1, len(words))
        weights = even
        if self.how.temporal:
            similar = torch.einsum("ntd,cwd->ntcw", frames, words)
            weights = saliency(similar, present, real, self.temperature)
        if self.how.spatial == "none" or not patches.shape[2]:
            return weights
        placed = functional.normalize(functional.linear(patches, self.patch_map), dim=3)
        spatial = best_patch(placed, functional.normalize(functional.linear(words, self.word_map), dim=2), real)
        if self.how.spatial == "add":
            return weights + even * spatial
        return weights * (spatial if self.how.spatial == "mul" else (self.gate[0] * spatial + self.gate[1]).sigmoid())

    def loss(self, rows: Tensor, lengths: NDArray[Any], labels: Tensor, done: float) -> Tensor:
        """Return the symmetric cross entropy of the batch's videos and the classes of the batch."""
        some, place = torch.unique(labels, return_inverse=True)
        words, real = (each.to(rows.device)[some] for each in (self.words, self.real))
        scores = self.scores(rows, lengths, int(self.tokens), self.vectors[some], words, real).float()
        return symmetric_cross_entropy(self.log_scale.exp() * scores[:, place], labels, self.how.sharpness)


class SentenceNetwork(ClassNetwork):
    """Cosines of sentences and classes behind a perceptron of each, with BIKE's loss and initial weights.

    Parameters
    ----------
    vectors
        (n_classes, d) unit vectors of the training classes.
    scale, sharpness
        As in :class:`How`.
    generator
        Source of the initial weights.
    """

    def __init__(
        self, vectors: NDArray[np.float32], scale: float, sharpness: float, generator: torch.Generator
    ) -> None:
        super().__init__(vectors)
        dim = vectors.shape[1]
        self.sharpness = sharpness
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(scale))))
        self.sentence, self.query = (Perceptron(dim, dim, dim, torch.relu, generator) for _ in range(2))
        for perceptron in (self.sentence, self.query):
            for weight in perceptron.weights:
                nn.init.normal_(weight, std=0.02, generator=generator)

    def cosines(self, sentences: Tensor, vectors: Tensor) -> Tensor:
        """Return (n, C) of sentences (n, d) and class vectors (C, d)."""
        both = (self.sentence(sentences), self.query(vectors))
        mapped, asked = (functional.normalize(rows, dim=1) for rows in both)
        return mapped @ asked.T

    def loss(self, rows: Tensor, lengths: NDArray[Any], labels: Tensor, done: float) -> Tensor:
        """Return the symmetric cross entropy of the batch's sentences and their classes."""
        logits = self.log_scale.exp() * self.cosines(rows, self.vectors[labels]).float()
        return symmetric_cross_entropy(logits, labels, self.sharpness)
