"""Tip-Adapter: a cache of labelled training features beside the untrained scores of the class vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.kernels import normalised
from zslbench.method import Budget, Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Choices, Range
from zslbench.videos import FloatArray
from zslbench_methods._held_out_videos import best_on_held_out_videos
from zslbench_methods._selection import Axis
from zslbench_methods._trained_classes import TrainedClasses
from zslbench_methods._wise import SHARES, between
from zslbench_methods.nearest_text import require_joint

ALPHAS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
BETAS = (1.0, 2.0, 5.5, 10.0, 20.0, 50.0)
_BLOCK = 1 << 24  # values of affinities at a time: 64 MiB


class CacheParams(MethodParams):
    """Parameters of both Tip-Adapters.

    Attributes
    ----------
    alpha
        Weight of the cache; ``None`` chooses among 0 to 1,000 on held-out training videos, by whole source groups.
    beta
        Sharpness of the affinities; ``None`` chooses among 1 to 50 on the same videos.
    scale
        What cosines with class vectors are multiplied by: CLIP's is 100.
    folds
        Folds of training videos for each choice.
    selection_videos
        Training videos that such a choice looks at, at most.
    """

    alpha: Annotated[float | None, Range(0.1, 1000, log=True)] = Field(default=None, ge=0)
    beta: Annotated[float | None, Range(1, 50, log=True)] = Field(default=None, gt=0)
    scale: float = Field(default=100.0, gt=0)
    folds: int = Field(default=3, ge=2)
    selection_videos: int = Field(default=4000, ge=1)


class TipAdapter(Method):
    """``score = scale cos(x, s) + alpha sum_i exp(-beta (1 - cos(x, x_i))) [y_i = c]`` over the training videos i.

    A class without training videos has its first term alone. So among classes that all have none, scores rank as those
    of ``clip-zero-shot``.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(dim=10)
    >>> method = TipAdapter()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="tip-adapter",
        summary="Cosine with class vectors, plus a cache of labelled training features; nothing is trained.",
        citation="Zhang et al., Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification, ECCV 2022",
        budget=frozenset({Budget.CLASS_VECTORS, Budget.VISION_LANGUAGE}),
    )
    test_task: ClassVar[Mapping[str, Any]] = {"dim": 10}  # as many as the made-up class vectors have

    class Params(CacheParams):
        """Parameters."""

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose alpha and beta on held-out training videos, and keep all of them.

        Raises
        ------
        ZslbenchError
            Features and class vectors have different numbers of values.
        """
        require_joint(self.info.name, seen, classes)
        params = self.params
        axes = (Axis.of("alpha", params.alpha, ALPHAS, least=0.0), Axis.of("beta", params.beta, BETAS))
        text = normalised(classes.vectors)

        def points(known: SeenVideos, tested: Videos) -> Iterator[FloatArray]:
            x, keys = normalised(tested.pooled()), normalised(known.pooled())
            untrained, affinities = params.scale * x @ text.T, x @ keys.T
            cached = {b: cache_scores(affinities, known.labels, len(classes), b) for b in axes[1].choices}
            yield from (untrained + a * cached[b] for a in axes[0].choices for b in axes[1].choices)

        how = {"folds": params.folds, "videos": params.selection_videos, "seed": self.seed}
        self._alpha, self._beta = best_on_held_out_videos(axes, points, seen, len(classes), report, **how)
        self._classes, self._labels = TrainedClasses.of(classes, seen.labels)
        self._keys = normalised(seen.pooled())

    def score(self, videos: Videos, classes: Classes) -> FloatArray:
        """Return the scores, (n_videos, n_classes)."""
        x, text = normalised(videos.pooled()), normalised(classes.vectors)
        scores: FloatArray = self.params.scale * x @ text.T
        places = self._classes.places(classes)
        known = np.flatnonzero(places >= 0)
        step = max(1, _BLOCK // max(1, len(self._keys)))
        for start in range(0, len(x) if len(known) else 0, step):
            rows = slice(start, start + step)
            cached = cache_scores(x[rows] @ self._keys.T, self._labels, len(self._classes), self._beta)
            scores[rows, known] += np.float32(self._alpha) * cached[:, places[known]]
        return scores

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the cache, alpha and beta."""
        return {
            "keys": self._keys,
            "labels": self._labels,
            "names": self._classes.array,
            "weights": np.array([self._alpha, self._beta]),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._keys, self._labels = state["keys"], state["labels"]
        self._classes = TrainedClasses.restored(state["names"])
        self._alpha, self._beta = state["weights"].tolist()


class TipAdapterF(TipAdapter):
    """:class:`TipAdapter` whose keys x_i are trained by the cross entropy of the scores, from the features on.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(dim=10)
    >>> method = TipAdapterF({"epochs": 2})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="tip-adapter-f",
        summary="Cosine with class vectors, plus a cache of training features whose keys are fine-tuned.",
        citation=TipAdapter.info.citation,
        budget=TipAdapter.info.budget,
    )

    class Params(TipAdapter.Params):
        """Parameters, beside those of :class:`TipAdapter`.

        Attributes
        ----------
        lr
            Learning rate of AdamW, which falls to 0 along a cosine.
        epochs
            Passes over the training videos.
        batch_size
            Videos per step.
        own_key
            Whether a video's own key counts in its loss. Its affinity is 1 with features that do not change.
        wise
            a in ``(1 - a) features + a trained keys`` (WiSE-FT); ``None`` chooses among 0.1 to 1 on held-out videos.
        """

        lr: Annotated[float, Range(1e-4, 1e-2, log=True)] = Field(default=1e-3, gt=0)
        epochs: int = Field(default=20, ge=1)
        batch_size: int = Field(default=256, ge=1)
        own_key: Annotated[bool, Choices()] = False
        wise: float | None = Field(default=1.0, ge=0, le=1)

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose alpha and beta with keys that are not trained, and then train the keys."""
        super().fit(seen, classes, target, report)
        params = self.params
        trained, share = self._trained_keys(seen, classes, report), params.wise
        if share is None:
            axis = Axis("wise", SHARES, least=0.0, most=1.0)
            how = {"folds": params.folds, "videos": params.selection_videos, "seed": self.seed}
            (share,) = best_on_held_out_videos(
                (axis,), lambda known, tested: self._mixed(known, tested, classes), seen, len(classes), report, **how
            )
        self._keys = between({"keys": self._keys}, {"keys": trained}, share)["keys"]

    def _mixed(self, known: SeenVideos, tested: Videos, classes: Classes) -> Iterator[FloatArray]:
        """Yield the scores of held-out videos with each share of keys that are trained on the others."""
        x, text, start = normalised(tested.pooled()), normalised(classes.vectors), normalised(known.pooled())
        trained = self._trained_keys(known, classes, Report())
        for share in SHARES:
            keys = between({"keys": start}, {"keys": trained}, share)["keys"]
            cached = cache_scores(x @ keys.T, known.labels, len(classes), self._beta)
            yield self.params.scale * x @ text.T + np.float32(self._alpha) * cached

    def _trained_keys(self, seen: SeenVideos, classes: Classes, report: Report) -> FloatArray:
        """Return the keys of training videos, (n, D), trained from their features on."""
        import torch
        from torch.nn import functional

        params, n, device = self.params, len(seen), self.device
        labels = torch.from_numpy(seen.labels).to(device)
        x = torch.from_numpy(normalised(seen.pooled())).to(device)
        untrained = params.scale * x @ torch.from_numpy(normalised(classes.vectors)).to(device).T
        values = functional.one_hot(labels, len(classes)).float()
        keys = x.clone().requires_grad_()
        optimizer = torch.optim.AdamW([keys], lr=params.lr, eps=1e-4)
        batches = -(-n // params.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, params.epochs * batches)
        rng = np.random.default_rng(self.seed)
        for epoch in range(params.epochs):
            report.progress(epoch, params.epochs, "epochs")
            total = 0.0
            for rows in np.array_split(rng.permutation(n), batches):
                index = torch.from_numpy(rows).to(device)
                affinities = torch.exp(-self._beta * (1 - x[index] @ keys.T))
                if not params.own_key:
                    affinities = affinities.scatter(1, index[:, None], 0.0)
                loss = functional.cross_entropy(untrained[index] + self._alpha * affinities @ values, labels[index])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
                total += loss.item() * len(rows)
            report.epoch(epoch=epoch + 1, loss=total / n)
        found: FloatArray = keys.detach().cpu().numpy()
        return found


def cache_scores(affinities: FloatArray, labels: NDArray[np.int64], n_classes: int, beta: float) -> FloatArray:
    """Return ``sum_i exp(-beta (1 - a_i)) [y_i = c]``, (n, n_classes), for affinities (n, n_keys)."""
    values = np.zeros((len(labels), n_classes), dtype=np.float32)
    values[np.arange(len(labels)), labels] = 1
    return np.asarray(np.exp(np.float32(beta) * (affinities - 1)) @ values)
