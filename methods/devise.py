"""DeViSE: a linear map of pooled features to class vectors, trained with a hinge ranking loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.method import MethodInfo
from zslbench_methods._training import TrainedMethod, TrainingParams, pooled_view

if TYPE_CHECKING:
    import torch


class DeViSE(TrainedMethod):
    """``F(x, y) = x' W s_y`` with the loss ``sum_{j != y} max(0, margin - F(x, y) + F(x, j))`` over the seen classes.

    With ``unit_videos`` the video's side, ``x' W``, is brought to unit length before the product, so that F is a cosine
    and the margin means the same for every video.
    """

    info = MethodInfo(
        name="devise",
        summary="linear map of mean-pooled features to class vectors, hinge ranking loss",
        citation="Frome, Corrado, Shlens, Bengio, Dean, Ranzato, Mikolov. DeViSE: A Deep Visual-Semantic Embedding "
        "Model. NIPS, 2013.",
    )
    test_params: ClassVar[Mapping[str, Any]] = {"epochs": 2, "min_batches": 1}

    class Params(TrainingParams):
        """The margin is that of Elaborative Rehearsal's code; the rest was chosen on held-out seen classes."""

        lr: float = Field(1e-3, gt=0)
        epochs: int = Field(20, ge=1)
        patience: int = Field(5, ge=1)
        margin: float = Field(0.1, ge=0)
        unit_videos: bool = True

    def inputs(self, videos: Any) -> Any:
        """Return the videos as sequences of one frame, their mean."""
        return pooled_view(videos)

    def build(self, dim: int, vectors: NDArray[np.float32], generator: torch.Generator) -> Any:
        """Return the linear map."""
        from zslbench_methods._ranking import LinearRanker

        return LinearRanker(dim, vectors, self.params.margin, self.params.unit_videos, generator)
