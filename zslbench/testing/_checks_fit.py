"""Checks of fitting: unusual data, repeated fits, and inputs that a fit must not change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.method import Report, Validation
from zslbench.testing._check import CheckFailed, CheckSkipped, Subject, check, require, require_same
from zslbench.videos import storage


def _require_finite(subject: Subject, what: str, **how: Any) -> None:
    scores = subject.scores(subject.task(**how))
    bad = np.count_nonzero(~np.isfinite(scores))
    require(not bad, f"{bad} of {scores.size} scores are not finite with {what}.")


@check
def check_lone_videos(subject: Subject) -> None:
    """Fit if one seen class, or every seen class, has only a single video.

    Look for variances over one video, for training and validation videos of the same class, and for folds without
    videos.
    """
    # 13 classes: 8 seen ones, then 5 unseen ones.
    _require_finite(subject, "one seen class of a single video", per_class=(1,) + (6,) * 12)
    _require_finite(subject, "a single video in every seen class", per_class=(1,) * 8 + (6,) * 5)


@check
def check_pooled_features(subject: Subject) -> None:
    """Work on a pooled feature set, in which every video has one frame.

    A method that wants sequences is also run on these, with a notice. Look for differences between frames and for
    segments longer than the video.
    """
    _require_finite(subject, "one frame per video", lengths=(1, 1))


@check
def check_large_features(subject: Subject) -> None:
    """Return finite scores for float16 features up to 60,000, near the largest float16 number.

    Frames arrive as float32. Do not convert them back to float16. Look for squares, exponentials and products of
    features that were not scaled.
    """

    def large(frames: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(frames * (60_000 / frames.max()))

    _require_finite(subject, "float16 features up to 60,000", frames=large, dtype=np.float16)


@check
def check_constant_features(subject: Subject) -> None:
    """Return finite scores if all videos are equal, and if all features are zero.

    Look for divisions by a standard deviation, a norm, a distance or a bandwidth that may be zero.
    """
    _require_finite(subject, "constant features", frames=np.ones_like)
    _require_finite(subject, "features that are all zero", frames=np.zeros_like)


@check
def check_refit(subject: Subject) -> None:
    """Forget an earlier fit: a second fit gives the same scores as the fit of a new instance.

    Look for attributes that ``fit()`` extends instead of setting, and for a random generator made in ``__init__``.
    """
    task, other = subject.task(), subject.task(seed=5)
    method = subject.fit(other)
    method.fit(task.train, task.seen_classes, subject.target(task), Report())
    again = method.score(task.test, task.test_classes)
    require_same(again, subject.scores(task), "an instance that was fitted before gives other scores than a new one")


@check
def check_score_before_fit(subject: Subject) -> None:
    """Raise an exception if ``score()`` is called before ``fit()``.

    Scores of an unfitted method would look like results. Store what ``fit()`` learns in attributes that do not exist
    before.
    """
    task = subject.task()
    try:
        subject.new().score(task.test, task.test_classes)
    except Exception:  # any exception passes
        return
    raise CheckFailed("score() of an instance that was never fitted returns scores; it must raise an exception.")


@check
def check_untrained(subject: Subject) -> None:
    """Return the same scores after a fit on no video and no class, if ``trains`` is false.

    Such a method needs no seen features in any protocol. Look for means over ``seen`` and ``classes``, and for choices
    made on them. If a parameter makes the method use them, override the ``trains`` property.
    """
    task, method = subject.task(), subject.new()
    require(isinstance(method.trains, bool), f"trains is {method.trains!r}; it must be True or False.")
    if method.trains:
        raise CheckSkipped("it trains")
    nothing = np.arange(0)
    method.fit(task.train.take(nothing), task.seen_classes.take(nothing), subject.target(task), Report())
    scores = method.score(task.test, task.test_classes)
    require_same(scores, subject.scores(task), "trains is false, but scores change with the seen videos and classes")


@check
def check_validation_classes(subject: Subject) -> None:
    """Fit if the split family has validation classes, and the method asks for them.

    Their labels are indices into ``self.validation.classes``, not into the seen classes. They differ from split to
    split in number, and most families have none: then ``self.validation`` is ``None``.
    """
    task, other, method = subject.task(), subject.task(seed=7, n_unseen=3, per_class=(6,) * 11), subject.new()
    new = replace(other.test_classes, names=tuple(f"validation {name}" for name in other.test_classes.names))
    method.validation = Validation(other.train.take(np.flatnonzero(other.train.labels < 3)), new)
    method.fit(task.train, task.seen_classes, subject.target(task), Report())
    if not method.reads_validation:
        raise CheckSkipped("it does not read self.validation with these parameters")
    scores = method.score(task.test, task.test_classes)
    require(np.isfinite(scores).all(), "scores are not finite after a choice on validation classes.")


@check
def check_trained_classes(subject: Subject) -> None:
    """Raise a ``ZslbenchError`` for a class that was not fitted, if ``info.scores`` is ``trained``.

    Scores of such a class would look like results. Look classes up by their names, and name the one that is missing.
    """
    if not subject.knows_test:
        raise CheckSkipped("info.scores is 'any': it scores classes that it has never seen")
    task, method = subject.fitted()
    strange = replace(task.test_classes, names=("an action of another world", *task.test_classes.names[1:]))
    try:
        method.score(task.test, strange)
    except ZslbenchError as error:
        require(strange.names[0] in str(error), f"the error does not name the class that is missing: {error}")
        return
    raise CheckFailed("score() returns scores of a class that was never fitted; raise a ZslbenchError that names it.")


@check
def check_inputs_unchanged(subject: Subject) -> None:
    """Do not change the videos, labels and class vectors.

    Other methods and splits share them. Look for ``+=``, ``/=``, ``sort()``, ``out=`` and
    ``torch.from_numpy(...).add_(...)`` on arguments; make a copy first.
    """
    task = subject.task()
    store = storage(task.train).store

    def contents() -> dict[str, NDArray[Any]]:
        return {
            "frames": store.frames,
            "the mean-pooled features": store.pooled(),
            "seen.labels": task.train.labels,
            "seen.lengths": task.train.lengths,
            "videos.lengths": task.test.lengths,
            "the seen classes' vectors": task.seen_classes.vectors,
            "the test classes' vectors": task.test_classes.vectors,
        }

    before = {what: array.copy() for what, array in contents().items()}
    subject.scores(task)
    changed = [what for what, array in contents().items() if not np.array_equal(array, before[what])]
    require(not changed, f"fit() or score() changed {', '.join(changed)}; make a copy first.")
