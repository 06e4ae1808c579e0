"""CLIP-Adapter: a bottleneck that is added to a video's feature, before it is compared with the class vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.kernels import normalised
from zslbench.method import Budget, Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Choices, Range
from zslbench.videos import FloatArray
from zslbench_methods._held_out_videos import best_on_held_out_videos
from zslbench_methods._selection import Axis, best_on_held_out
from zslbench_methods.nearest_text import require_joint

if TYPE_CHECKING:
    import torch

RATIOS = (0.2, 0.4, 0.6, 0.8, 1.0)
RATIOS_OF_CLASSES = (0.0, 0.05, 0.1, 0.2, 0.4)
EPOCHS = (10, 20, 40)


class ClipAdapter(Method):
    """``score = cos(r A(x) + (1 - r) x, s)`` with ``A(x) = relu(W_2 relu(W_1 x))``, trained by the cross entropy.

    A has no bias, so the length of x makes no difference: features are scaled to unit length first.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(dim=10)
    >>> method = ClipAdapter({"ratio": 0.2, "epochs": 2})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="clip-adapter",
        summary="Cosine of class vectors with features that a small bottleneck network adapts.",
        citation="Gao et al., CLIP-Adapter: Better Vision-Language Models with Feature Adapters, IJCV 2024",
        budget=frozenset({Budget.CLASS_VECTORS, Budget.VISION_LANGUAGE}),
    )
    test_task: ClassVar[Mapping[str, Any]] = {"dim": 10}  # as many as the made-up class vectors have
    test_params: ClassVar[Mapping[str, Any]] = {"epochs": 3}

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        ratio
            r; ``None`` chooses among 0.2 to 1 on held-out training videos, by whole source groups; with
            ``choose_on = classes`` among 0 to 0.4.
        epochs
            ``None`` chooses among 10 to 40 on the same videos.
        choose_on
            ``classes``: ratio and epochs are those with which seen classes that were held out are recognised best, as
            unseen ones will be; 0 leaves features as they are.
        reduction
            How many times narrower the bottleneck is than the features.
        scale
            What cosines are multiplied by in the loss: CLIP's is 100.
        lr
            Learning rate of AdamW.
        batch_size
            Videos per step.
        folds
            Folds of training videos, or of classes, for each choice.
        selection_videos
            Training videos that such a choice looks at, at most.
        """

        ratio: Annotated[float | None, Range(0.1, 0.9)] = Field(default=None, ge=0, le=1)
        epochs: int | None = Field(default=None, ge=1)
        choose_on: Annotated[Literal["videos", "classes"], Choices()] = "videos"
        reduction: int = Field(default=4, ge=1)
        scale: float = Field(default=100.0, gt=0)
        lr: Annotated[float, Range(1e-4, 1e-2, log=True)] = Field(default=2e-3, gt=0)
        batch_size: int = Field(default=256, ge=1)
        folds: int = Field(default=3, ge=2)
        selection_videos: int = Field(default=4000, ge=1)

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose ratio and epochs on held-out training videos, or on held-out classes, and train on all.

        Raises
        ------
        ZslbenchError
            Features and class vectors have different numbers of values.
        """
        require_joint(self.info.name, seen, classes)
        params = self.params
        ratios = RATIOS if params.choose_on == "videos" else RATIOS_OF_CLASSES
        axes = (Axis.of("ratio", params.ratio, ratios, least=0.0, most=1.0), Axis.of("epochs", params.epochs, EPOCHS))

        def points(known: SeenVideos, their: Classes, tested: Videos, offered: Classes) -> Iterator[FloatArray]:
            for ratio in axes[0].choices:
                for epoch, weights in enumerate(self._trained(known, their, ratio, axes[1].choices[-1], Report()), 1):
                    if epoch in axes[1].choices:
                        yield adapted(normalised(tested.pooled()), weights, ratio) @ normalised(offered.vectors).T

        how = {"folds": params.folds, "videos": params.selection_videos}
        if params.choose_on == "classes":
            self._ratio, epochs = best_on_held_out(axes, points, seen, classes, report, method=self, **how)
        else:
            self._ratio, epochs = best_on_held_out_videos(
                axes, lambda known, tested: points(known, classes, tested, classes), seen, len(classes), report,
                seed=self.seed, **how,
            )  # fmt: skip
        *_, self._weights = self._trained(seen, classes, self._ratio, epochs, report)

    def _trained(
        self, seen: SeenVideos, classes: Classes, ratio: float, epochs: int, report: Report
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Train and yield the weights W_1 (D / reduction, D) and W_2 (D, D / reduction) after each epoch."""
        import torch
        from torch.nn import functional

        params, n, device = self.params, len(seen), self.device
        x, text, labels = (
            torch.from_numpy(array).to(device)
            for array in (normalised(seen.pooled()), normalised(classes.vectors), seen.labels)
        )
        weights = self._start(seen.dim)
        optimizer = torch.optim.AdamW(weights, lr=params.lr)
        rng, batches = np.random.default_rng(self.seed), -(-n // params.batch_size)
        for epoch in range(epochs):
            report.progress(epoch, epochs, "epochs")
            total = 0.0
            for rows in np.array_split(rng.permutation(n), batches):
                index = torch.from_numpy(rows).to(device)
                hidden = functional.relu(x[index] @ weights[0].T)
                mixed = ratio * functional.relu(hidden @ weights[1].T) + (1 - ratio) * x[index]
                logits = params.scale * functional.normalize(mixed, dim=1) @ text.T
                loss = functional.cross_entropy(logits, labels[index])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                total += loss.item() * len(rows)
            report.epoch(epoch=epoch + 1, loss=total / n)
            first, second = (weight.detach().cpu().numpy().copy() for weight in weights)
            yield first, second

    def _start(self, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the untrained weights, as torch's linear layers begin."""
        import torch

        rng, width = np.random.default_rng([self.seed, 1]), max(1, dim // self.params.reduction)
        shapes = ((width, dim), (dim, width))
        first, second = (
            torch.from_numpy(rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(np.sqrt(shape[1])))
            .to(self.device)
            .requires_grad_()
            for shape in shapes
        )
        return first, second

    def embed(self, videos: Videos) -> FloatArray:
        """Return the adapted features of unit length, (n, d)."""
        return adapted(normalised(videos.pooled()), self._weights, self._ratio)

    def score(self, videos: Videos, classes: Classes) -> FloatArray:
        """Return the cosines, (n_videos, n_classes)."""
        return self.embed(videos) @ normalised(classes.vectors).T

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the weights and the ratio."""
        return {"first": self._weights[0], "second": self._weights[1], "ratio": np.array(self._ratio)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._weights, self._ratio = (state["first"], state["second"]), float(state["ratio"])


def adapted(x: FloatArray, weights: tuple[FloatArray, FloatArray], ratio: float) -> FloatArray:
    """Return ``r A(x) + (1 - r) x`` of unit length, for features (n, D)."""
    hidden = np.maximum(x @ weights[0].T, 0)
    return normalised((ratio * np.maximum(hidden @ weights[1].T, 0) + (1 - ratio) * x).astype(np.float32))
