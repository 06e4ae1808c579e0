"""Prompts with learnt context vectors, CoOp: their tokens, and the network that compares them with videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from zslbench.method import TokenEncoder
from zslbench_methods._networks import ClassNetwork, frame_means

Position = Literal["end", "middle"]
_TEXTS = 128  # that are encoded at a time while scoring


class Prompts(NamedTuple):
    """Tokens of each class's prompt, and the places of its context among them."""

    ids: list[list[int]]
    places: list[list[int]]


def class_prompts(encoder: TokenEncoder, words: str, phrases: Sequence[str], position: Position) -> Prompts:
    """Return the prompts ``words phrase.`` of classes; ``middle`` puts the phrase behind the first half of the words.

    As in CoOp's released code, ``middle`` moves tokens of the same prompt.
    """
    context = encoder.ids([words], ends=False)[0]
    n, half = len(context), len(context) // 2
    texts = [f"{words} {phrase}." for phrase in phrases]
    found = Prompts([], [])
    for whole, bare, name in zip(
        encoder.ids(texts), encoder.ids(texts, ends=False), encoder.ids(phrases, ends=False), strict=True
    ):
        first = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        order = list(range(len(whole)))
        if position == "middle":
            behind = first + n + len(name)
            own = list(range(first, first + n))
            order = [*order[:first], *own[:half], *order[first + n : behind], *own[half:], *order[behind:]]
        found.ids.append([whole[i] for i in order])
        found.places.append([order.index(first + i) for i in range(n)])
    return found


class PromptNetwork(ClassNetwork):
    """Compares mean frames with the classes' prompts, whose context is the only parameter.

    Parameters
    ----------
    vectors
        (n_classes, d) unit vectors of the training classes, of which only the size counts.
    context
        (M, width) initial context.
    weights
        Digest of the encoder.
    scale
        What cosines are multiplied by in the loss.
    """

    encoder: TokenEncoder
    prompts: Prompts

    def __init__(self, vectors: NDArray[np.float32], context: Tensor, weights: str, scale: float) -> None:
        super().__init__(vectors)
        self.scale = scale
        self.context = nn.Parameter(context)
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(vectors.shape[1]))
        self.register_buffer("weights", torch.tensor(list(weights.encode()), dtype=torch.uint8))

    def inform(self, encoder: TokenEncoder, prompts: Prompts, mean: NDArray[np.float32]) -> None:
        """Take the frozen encoder, the prompts of the training classes, and what is subtracted from class vectors."""
        self.encoder, self.prompts = encoder, prompts
        self.mean.copy_(torch.from_numpy(mean))

    def classes(self, encoder: TokenEncoder, prompts: Prompts) -> Tensor:
        """Return the unit vectors of prompts with the learnt context, (n, d)."""
        found = encoder.encode(prompts.ids, prompts.places, self.context)
        return functional.normalize(found - self.mean, dim=1)

    def scored_classes(self, encoder: TokenEncoder, prompts: Prompts) -> NDArray[np.float32]:
        """Return the same without gradients, a batch of prompts at a time."""
        parts = []
        with torch.no_grad():
            for start in range(0, len(prompts.ids), _TEXTS):
                own = Prompts(*(each[start : start + _TEXTS] for each in prompts))
                parts.append(self.classes(encoder, own).float().cpu().numpy())
        return np.concatenate(parts)

    def embed(self, frames: Tensor, lengths: NDArray[Any]) -> Tensor:
        """Return the mean frames, (n_videos, d), of unit length."""
        return functional.normalize(frame_means(frames, lengths), dim=1)

    def loss(self, frames: Tensor, lengths: NDArray[Any], labels: Tensor, done: float) -> Tensor:
        """Return the cross entropy over all training classes."""
        logits = self.scale * self.embed(frames, lengths) @ self.classes(self.encoder, self.prompts).T
        return functional.cross_entropy(logits, labels)
