"""The network of DEM: class vectors are mapped to the space of videos."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zslbench_methods._networks import ClassNetwork, Perceptron, frame_means


class VisualSpace(ClassNetwork):
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

    def __init__(self, inputs: int, vectors: NDArray[np.float32], hidden: int, generator: torch.Generator) -> None:
        super().__init__(vectors)
        self.layers = Perceptron(vectors.shape[1], hidden, inputs, functional.relu, generator)

    def prototypes(self, vectors: Tensor) -> Tensor:
        """Return where classes lie among videos, (n_classes, inputs), for class vectors (n_classes, d)."""
        return self.layers.forward(vectors)

    def embed(self, frames: Tensor, lengths: NDArray[Any]) -> Tensor:
        """Return (n_videos, inputs) unit-length means of frames (sum of lengths, inputs); nothing of it is learnt."""
        return functional.normalize(frame_means(frames, lengths), dim=1)

    def loss(self, frames: Tensor, lengths: NDArray[Any], labels: Tensor, done: float) -> Tensor:
        """Return ``|u - g(s_y)|^2``, averaged over the batch, with u the video and g the perceptron."""
        wanted = self.embed(frames, lengths)
        return (wanted - self.prototypes(self.vectors).float()[labels]).square().sum(dim=1).mean()
