"""SJE, ALE and LatEm: DeViSE's bilinear compatibility with two other ranking losses, and with several maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.method import Method, MethodInfo, Videos
from zslbench.ranges import Choices, Range
from zslbench.videos import FloatArray
from zslbench_methods._training import PooledMethod, Space
from zslbench_methods.devise import DeViSE

if TYPE_CHECKING:
    import torch


class SJE(DeViSE):
    """``F(x, y) = x' W s_y`` with the loss ``max(0, margin + max_{j != y} F(x, j) - F(x, y))`` over the seen classes.

    With ``unit_videos`` the video's side, ``x' W``, is brought to unit length before the product.

    The loss is that of Akata et al. (CVPR 2015).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = SJE({"epochs": 1})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="sje",
        summary="linear map of mean-pooled features to class vectors, hinge loss of the hardest class",
        citation="Akata, Reed, Walter, Lee, Schiele. Evaluation of Output Embeddings for Fine-Grained Image "
        "Classification. CVPR, 2015.",
    )
    loss = "hardest"

    class Params(DeViSE.Params):
        """Parameters of DeViSE."""


class ALE(DeViSE):
    """``F(x, y) = x' W s_y`` with the loss ``b_r / r sum_{j != y} max(0, margin - F(x, y) + F(x, j))``.

    r counts the seen classes within the margin, and ``b_r = sum_{k=1}^{r} 1 / k``: a video with many such classes costs
    less for each of them (WARP). With ``unit_videos`` the video's side, ``x' W``, is brought to unit length before the
    product.

    The loss is that of Akata et al. (IEEE TPAMI 38(7), 2016).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = ALE({"epochs": 1})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="ale",
        summary="linear map of mean-pooled features to class vectors, hinge ranking loss weighted by rank",
        citation="Akata, Perronnin, Harchaoui, Schmid. Label-Embedding for Image Classification. IEEE TPAMI 38(7), "
        "2016.",
    )
    loss = "rank"

    class Params(DeViSE.Params):
        """Parameters of DeViSE."""


class LatEm(DeViSE):
    """``F(x, y) = max_i x' W_i s_y`` with the loss ``sum_{j != y} max(0, margin - F(x, y) + F(x, j))``.

    A video's maps together, ``x' W_1 ... x' W_K``, are brought to unit length before the product.

    The equations are those of Xian et al. (CVPR 2016).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = LatEm({"epochs": 1})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="latem",
        summary="several linear maps of mean-pooled features to class vectors, the best counts; hinge ranking loss",
        citation="Xian, Akata, Sharma, Nguyen, Hein, Schiele. Latent Embeddings for Zero-Shot Classification. CVPR, "
        "2016.",
    )

    class Params(PooledMethod.Params):
        """Parameters of LatEm.

        Attributes
        ----------
        n_maps
            Number of linear maps, K.
        margin
            Margin of the hinge loss.
        """

        n_maps: Annotated[int, Choices(2, 4, 8)] = Field(4, ge=1)
        margin: Annotated[float, Range(0.01, 1, log=True)] = Field(0.1, ge=0)

    embed = Method.embed  # several places per video: there is no embedding among class vectors

    def build(self, dim: int, vectors: NDArray[np.float32], generator: torch.Generator) -> Any:
        """Return the linear maps."""
        from zslbench_methods._ranking import LatentRanker

        return LatentRanker(dim, vectors, self.params.margin, self.params.n_maps, generator)

    def _scores(self, model: Any, videos: Videos, space: Space, vectors: FloatArray) -> FloatArray:
        maps = self._embed(model, videos).reshape(len(videos), self.params.n_maps, -1)
        best: FloatArray = (maps @ space.place(vectors).T).max(axis=1)
        return best
