"""What no method should lose to: random scores, and the most frequent class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from zslbench.digests import derive_seed
from zslbench.method import Budget, Classes, Method, MethodInfo, Report, SeenVideos, Target, Videos


class Random(Method):
    """Random scores: chance level, with its spread.

    The scores are a hash of the video's features, the class name and the seed. They depend neither on the order nor on
    the company of videos and classes.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = Random()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(name="random", summary="Random scores: the chance level.", budget=frozenset())
    expected_failed_checks: ClassVar[Mapping[str, str]] = {"score-before-fit": "it learns nothing"}

    @property
    def trains(self) -> bool:
        """Never."""
        return False

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Learn nothing."""

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.float64]:
        """Return scores that carry no information, (n_videos, n_classes)."""
        seeds = [derive_seed(self.seed, "random", name) for name in classes.names]
        directions = np.stack([np.random.default_rng(seed).normal(size=videos.dim) for seed in seeds])
        # The far digits of a random projection: uniform, and neighbours in feature space are no neighbours here.
        return np.mod(videos.pooled().astype(np.float64) @ directions.T * 1e4, 1.0)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return nothing: the seed is all there is."""
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take nothing back."""


class Majority(Method):
    """Always the most frequent test class: what a label prior alone would reach, with budget ``oracle``.

    Examples
    --------
    >>> from zslbench.method import Report, Target
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = Majority()
    >>> method.fit(task.train, task.seen_classes, Target(counts=dict.fromkeys(task.test_classes.names, 6)), Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="majority",
        summary="Always the most frequent test class (an oracle: it is told the class counts).",
        budget=frozenset({Budget.ORACLE}),
    )

    @property
    def trains(self) -> bool:
        """Never: the counts are of the test."""
        return False

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Keep the number of test videos of each class."""
        self._counts = dict(target.counts or {}) if target is not None else {}

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.float64]:
        """Return each class's number of test videos, the same for every video, (n_videos, n_classes)."""
        return np.tile([float(self._counts.get(name, 0)) for name in classes.names], (len(videos), 1))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the counts, as the UTF-8 bytes of their JSON: names are no numbers."""
        return {"counts": np.frombuffer(json.dumps(self._counts).encode(), dtype=np.uint8)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take the counts back."""
        self._counts = json.loads(state["counts"].tobytes())
