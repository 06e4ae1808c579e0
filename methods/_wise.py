"""Weights between those before training and those after it: WiSE-FT (Wortsman et al., CVPR 2022).

``theta = (1 - a) theta_0 + a theta_1``. Open-VCLIP (Weng et al., ICML 2023) does this to CLIP trained on videos; its
released code writes the share 1 - a of the old weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from zslbench_methods._selection import Sides


SHARES = (0.1, 0.3, 0.5, 0.7, 1.0)  # a, to choose among


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    """Return a copy of a network's trainable weights; buffers, such as class vectors, are none."""
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def between(start: Mapping[str, Any], end: Mapping[str, Any], share: float) -> dict[str, Any]:
    """Return ``(1 - share) start + share end``; at 0 and 1 exactly one of the two.

    Examples
    --------
    >>> import torch
    >>> between({"w": torch.zeros(2)}, {"w": torch.ones(2)}, 0.25)
    {'w': tensor([0.2500, 0.2500])}
    """
    if share in (0, 1):
        return dict(end if share else start)
    return {name: (1 - share) * value + share * end[name] for name, value in start.items()}


def give_weights(model: Any, weights: Mapping[str, torch.Tensor]) -> None:
    """Put weights into a network, in place."""
    for name, value in model.named_parameters():
        value.data.copy_(weights[name])


@dataclass(frozen=True)
class Trial:
    """A network that is trained on one side, its weights before that, and what it is tested on."""

    model: Any
    start: Mapping[str, torch.Tensor]
    space: Any  # a Space of _training, which imports this module
    losses: Iterator[float]
    sides: Sides


@contextmanager
def mixed(model: Any, start: Mapping[str, torch.Tensor], share: float) -> Iterator[None]:
    """Give a network the share of its trained weights, and all of them back at the end."""
    if share == 1:
        yield
        return
    trained = weights_of(model)
    give_weights(model, between(start, trained, share))
    try:
        yield
    finally:
        give_weights(model, trained)
