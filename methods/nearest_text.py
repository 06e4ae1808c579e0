"""The nearest class text: features and class vectors of one space are compared, and nothing is learnt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.kernels import normalised
from zslbench.method import Budget, Classes, Method, MethodInfo, Report, SeenVideos, Target, Videos


class NearestText(Method):
    """``score = cos(mean_t x_t, s)`` with frames x_t and class vectors s of one joint space of vision and language.

    Only the number of values can be compared here. The user must see to it that both come from the two halves of one
    model, or from one encoder of captions and class names. What such a model was trained on is a matter of the feature
    set, which declares it; the method itself reads class vectors and nothing else.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(dim=10)
    >>> method = NearestText()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="nearest-text",
        summary="Cosine between a video's mean feature and a class vector of the same space, without training.",
        citation="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021",
    )
    test_task: ClassVar[Mapping[str, Any]] = {"dim": 10}  # as many as the made-up class vectors have

    @property
    def trains(self) -> bool:
        """Never."""
        return False

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Look at nothing but the number of values of features and class vectors.

        Raises
        ------
        ZslbenchError
            They differ, so that the two lie in different spaces.
        """
        require_joint(self.info.name, seen, classes)
        self._dim = seen.dim

    def embed(self, videos: Videos) -> NDArray[np.floating[Any]]:
        """Return mean-pooled features of unit length, (n, d)."""
        pooled = videos.pooled()
        if pooled.shape[1] != self._dim:
            raise ZslbenchError(
                f"{self.info.name} was fitted on features of {self._dim} values, not {pooled.shape[1]}."
            )
        return normalised(pooled)

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the cosines, (n_videos, n_classes)."""
        return self.embed(videos) @ normalised(classes.vectors).T

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the number of values of a feature, all that is known of the fit."""
        return {"dim": np.array(self._dim)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take it back."""
        self._dim = int(state["dim"])


class ClipZeroShot(NearestText):
    """:class:`NearestText` on the two halves of one model of vision and language, ranked with what rests on such.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(dim=10, budget=ClipZeroShot.info.budget)
    >>> method = ClipZeroShot()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="clip-zero-shot",
        summary="Cosine between a video's mean frame and a class's prompts, both of one CLIP, without training.",
        citation=NearestText.info.citation,
        budget=frozenset({Budget.CLASS_VECTORS, Budget.VISION_LANGUAGE}),
    )


def require_joint(name: str, videos: Videos, classes: Classes) -> None:
    """Raise where features and class vectors cannot be of one space.

    Raises
    ------
    ZslbenchError
        They have different numbers of values.
    """
    if videos.dim != classes.vectors.shape[1]:
        raise ZslbenchError(
            f"{name} compares features with class vectors of one space, but features have {videos.dim} values and "
            f"class vectors {classes.vectors.shape[1]}; choose --features and --semantics of one model, or a method "
            f"that learns a map, such as ridge."
        )
