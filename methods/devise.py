"""DeViSE: a linear map of pooled features to class vectors, trained with a hinge ranking loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.method import MethodInfo
from zslbench.ranges import Range
from zslbench_methods._training import PooledMethod

if TYPE_CHECKING:
    import torch


class DeViSE(PooledMethod):
    """``F(x, y) = x' W s_y`` with the loss ``sum_{j != y} max(0, margin - F(x, y) + F(x, j))`` over the seen classes.

    With ``unit_videos`` the video's side, ``x' W``, is brought to unit length before the product. F is then a cosine,
    and the margin means the same for every video (Frome et al., NIPS 2013).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = DeViSE({"epochs": 1})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="devise",
        summary="linear map of mean-pooled features to class vectors, hinge ranking loss",
        citation="Frome, Corrado, Shlens, Bengio, Dean, Ranzato, Mikolov. DeViSE: A Deep Visual-Semantic Embedding "
        "Model. NIPS, 2013.",
    )
    loss: ClassVar[Literal["sum", "hardest", "rank"]] = "sum"

    class Params(PooledMethod.Params):
        """The margin is that of Elaborative Rehearsal's code; the rest was chosen on held-out seen classes.

        Attributes
        ----------
        margin
            By how much the score of the right class has to exceed that of another one.
        unit_videos
            Scale the features of each video to unit length.
        """

        margin: Annotated[float, Range(0.01, 1, log=True)] = Field(0.1, ge=0)
        unit_videos: bool = True

    def build(self, dim: int, vectors: NDArray[np.float32], generator: torch.Generator) -> Any:
        """Return the linear map."""
        from zslbench_methods._ranking import LinearRanker

        p = self.params
        return LinearRanker(dim, vectors, self.loss, p.margin, p.unit_videos, generator)
