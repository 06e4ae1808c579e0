"""What the networks of trained methods are made of; initial weights come from a generator that the caller hands in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


def uniform(*shape: int, fan_in: int, generator: torch.Generator) -> nn.Parameter:
    """Return a parameter drawn from U(-b, b) with ``b = 1 / sqrt(fan_in)``, as torch.nn.Linear draws its weights."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))


class Linear(nn.Module):
    """An affine map, initialised as torch.nn.Linear but without the global generator."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = uniform(outputs, inputs, fan_in=inputs, generator=generator)
        self.bias = uniform(outputs, fan_in=inputs, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        return functional.linear(x, self.weight, self.bias)


class Perceptron(nn.Module):
    """One hidden layer; biases start at 0.

    Parameters
    ----------
    inputs, hidden, outputs
        Sizes of the layers.
    activation
        Of the hidden layer.
    generator
        Source of the initial weights.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        activation: Callable[[Tensor], Tensor],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.activation = activation
        sizes = ((inputs, hidden), (hidden, outputs))
        self.weights = nn.ParameterList(uniform(n, m, fan_in=m, generator=generator) for m, n in sizes)
        self.biases = nn.ParameterList(torch.zeros(n) for _, n in sizes)

    def hidden(self, *parts: Tensor) -> Tensor:
        """Return the hidden layer before its activation, (n, hidden), for the parts of the input side by side."""
        return functional.linear(torch.cat(parts, dim=1), self.weights[0], self.biases[0])

    def output(self, hidden: Tensor) -> Tensor:
        """Return (n, outputs) for a hidden layer before its activation."""
        return functional.linear(self.activation(hidden), self.weights[1], self.biases[1])

    def forward(self, *parts: Tensor) -> Tensor:
        """Return (n, outputs)."""
        return self.output(self.hidden(*parts))


class SharedWeight:
    """A matrix that all steps multiply with. Its gradient is one product over all steps, instead of a sum of many.

    Make one for each forward pass, and go back through it once.

    Parameters
    ----------
    weight
        (outputs, inputs).
    """

    def __init__(self, weight: Tensor) -> None:
        kind = weight.device.type
        if torch.is_autocast_enabled(kind):
            weight = weight.to(torch.get_autocast_dtype(kind))
        self._steps: list[tuple[Tensor, Tensor]] = []  # the gradient and the input of each step
        self._weight = _apply(_Source, weight, self._steps)

    def product(self, x: Tensor) -> Tensor:
        """Return ``x W'``, (n, outputs), for x (n, inputs)."""
        return _apply(_Step, x.to(self._weight.dtype), self._weight, self._steps)


def _apply(function: Any, *inputs: Any) -> Tensor:
    """Call torch's ``apply``, which has no types."""
    result: Tensor = function.apply(*inputs)
    return result


class _Step(torch.autograd.Function):
    """One product with a shared weight; going back, it leaves the weight's gradient to :class:`_Source`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, steps: list[tuple[Tensor, Tensor]]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.steps = steps
        return x @ weight.T

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, weight = ctx.saved_tensors
        ctx.steps.append((gradient, x))
        return gradient @ weight, None, None


class _Source(torch.autograd.Function):
    """The weight before all steps; going back, it comes after all of them."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, steps: list[tuple[Tensor, Tensor]]) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.steps = steps
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, _: None) -> tuple[Tensor | None, None]:
        if not ctx.steps:
            return None, None
        gradients, inputs = zip(*ctx.steps, strict=True)
        ctx.steps.clear()
        return torch.cat(gradients).T @ torch.cat(inputs), None


class ClassNetwork(nn.Module):
    """A network that knows the vectors of its training classes.

    Attributes
    ----------
    noise
        Source of what is drawn during training, such as dropout.
    vectors
        (n_classes, d) unit vectors.
    """

    noise: torch.Generator | None = None
    vectors: Tensor

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.from_numpy(vectors))


def frame_means(frames: Tensor, lengths: NDArray[Any]) -> Tensor:
    """Return the mean of each video's frames, (n_videos, inputs), for frames (sum of lengths, inputs)."""
    counts = torch.from_numpy(np.asarray(lengths)).to(frames.device)
    return torch.segment_reduce(frames.float(), "mean", lengths=counts, axis=0)


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Take one step down a loss."""
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
