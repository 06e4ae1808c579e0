"""The network of DEM: class vectors are mapped to the space of videos."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from zslbench_methods._ranking import frame_means


class VisualSpace(nn.Module):
    """A perceptron from class vectors to the unit-length means of videos' frames, trained with the squared error.

    Parameters
    ----------
    inputs
        Size of a frame.
    vectors
        (n_classes, d) unit vectors of the training classes.
    hidden
        Size of the hidden layer.
    generator
        Source of the initial weights.
    """

    noise: torch.Generator | None = None

    def __init__(self, inputs: int, vectors: NDArray[np.float32], hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        sizes = (vectors.shape[1], hidden, inputs)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for fan_in, fan_out in pairwise(sizes):
            bound = fan_in**-0.5
            self.weights.append(torch.empty(fan_out, fan_in).uniform_(-bound, bound, generator=generator))
            self.biases.append(torch.zeros(fan_out))
        self.vectors: Tensor
        self.register_buffer("vectors", torch.from_numpy(vectors))

    def prototypes(self, vectors: Tensor) -> Tensor:
        """Return where classes lie among videos, (n_classes, inputs), for class vectors (n_classes, d)."""
        hidden = functional.linear(vectors, self.weights[0], self.biases[0]).relu()
        return functional.linear(hidden, self.weights[1], self.biases[1])

    def embed(self, frames: Tensor, lengths: NDArray[Any]) -> Tensor:
        """Return (n_videos, inputs) unit-length means of frames (sum of lengths, inputs); nothing of it is learnt."""
        return functional.normalize(frame_means(frames, lengths), dim=1)

    def loss(self, frames: Tensor, lengths: NDArray[Any], labels: Tensor, done: float) -> Tensor:
        """Return ``|u - g(s_y)|^2``, averaged over the batch, with u the video and g the perceptron."""
        wanted = self.embed(frames, lengths)
        return (wanted - self.prototypes(self.vectors).float()[labels]).square().sum(dim=1).mean()
