"""DEM: class vectors are mapped to the space of videos, and the nearest class is taken there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.method import Method, MethodInfo, Videos
from zslbench.ranges import Choices
from zslbench.videos import FloatArray
from zslbench_methods._training import PooledMethod, Space

if TYPE_CHECKING:
    import torch


class DEM(PooledMethod):
    """Perceptron g from class vectors to videos' means u of unit length: loss ``|u - g(s_y)|^2``, the nearest wins.

    The equations are those of Zhang, Xiang and Gong (CVPR 2017).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = DEM({"epochs": 1})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="dem",
        summary="perceptron from class vectors to mean-pooled features, squared error; nearest class in that space",
        citation="Zhang, Xiang, Gong. Learning a Deep Embedding Model for Zero-Shot Learning. CVPR, 2017.",
    )
    test_params: ClassVar[Mapping[str, Any]] = {**PooledMethod.test_params, "hidden": 16}

    class Params(PooledMethod.Params):
        """Parameters of DEM.

        Attributes
        ----------
        hidden
            Size of the perceptron's hidden layer.
        """

        hidden: Annotated[int, Choices(256, 512, 1024)] = Field(512, ge=1)

    embed = Method.embed  # videos stay in the space of features

    def build(self, dim: int, vectors: NDArray[np.float32], generator: torch.Generator) -> Any:
        """Return the perceptron."""
        from zslbench_methods._dem import VisualSpace

        return VisualSpace(dim, vectors, self.params.hidden, generator)

    def _scores(self, model: Any, videos: Videos, space: Space, vectors: FloatArray) -> FloatArray:
        """Return minus the squared distances of videos and mapped classes."""
        import torch

        with torch.no_grad():
            placed = torch.from_numpy(space.place(vectors)).to(self.device)
            prototypes = model.prototypes(placed).float().cpu().numpy()
        units = self._embed(model, videos)
        squares = np.square(units).sum(axis=1)[:, None] + np.square(prototypes).sum(axis=1)
        distances: FloatArray = squares - 2 * units @ prototypes.T
        return -distances
