"""Checks of scores: what they must depend on, and what they must not."""

from __future__ import annotations

import random

import numpy as np

from zslbench.method import Budget
from zslbench.testing._check import CheckSkipped, Subject, check, require, require_same
from zslbench.videos import Videos

_MANY = 200  # videos per class of a large batch


@check
def check_scores(subject: Subject) -> None:
    """Return finite floating-point numbers, one row per video and one column per class.

    Look at the last line of ``score()``: the shape is ``(len(videos), len(classes))``, and higher is better.
    """
    task = subject.task()
    scores = subject.fit(task).score(task.test, task.test_classes)
    require(isinstance(scores, np.ndarray), f"score() returned {type(scores).__name__}, not a numpy array.")
    shape = (len(task.test), len(task.test_classes))
    require(scores.shape == shape, f"score() returned shape {scores.shape}; (n_videos, n_classes) is {shape}.")
    require(np.issubdtype(scores.dtype, np.floating), f"score() returned {scores.dtype}, not floating-point numbers.")
    require(np.isfinite(scores).all(), f"{np.count_nonzero(~np.isfinite(scores))} scores are not finite.")


@check
def check_determinism(subject: Subject) -> None:
    """Return the same scores in two fits with the same seed.

    Draw random numbers from ``numpy.random.default_rng(self.seed)`` or inside ``with zslbench.torch_seed(self.seed)``.
    Do not use the global generators elsewhere, nor the time, ``hash()`` of a text or the order of a set.
    """
    task = subject.task()
    first = subject.scores(task, seed=1)
    np.random.random()  # noqa: NPY002  (a method that draws from the global generators must meet another state)
    random.random()  # noqa: S311
    second = subject.scores(subject.task(), seed=1)
    require_same(second, first, "two fits with the same seed give different scores", 1e-6)


@check
def check_class_order(subject: Subject) -> None:
    """Permute the columns of the scores if the classes are permuted.

    The order of classes has no meaning. ``score()`` must use the ``classes.vectors`` and ``classes.names`` of its
    argument, not positions from an earlier call.
    """
    task, method = subject.fitted()
    order = np.random.default_rng(0).permutation(len(task.test_classes))
    whole = method.score(task.test, task.test_classes)
    mixed = method.score(task.test, task.test_classes.take(order))
    require_same(mixed, whole[:, order], "scores do not follow their classes when these are permuted")


@check
def check_video_order(subject: Subject) -> None:
    """Permute the rows of the scores if the test videos are permuted.

    Look for state that changes from one video to the next, and for results put at the wrong ``batch.index``.
    """
    task, method = subject.fitted()
    order = np.random.default_rng(0).permutation(len(task.test))
    whole = method.score(task.test, task.test_classes)
    mixed = method.score(task.test.take(order), task.test_classes)
    require_same(mixed, whole[order], "scores do not follow their videos when these are permuted")


def _company_counts(subject: Subject) -> None:
    if Budget.UNSEEN_VIDEOS in subject.new().budget:
        raise CheckSkipped("the budget declares unseen-videos: the other videos may count")


@check
def check_batch_size(subject: Subject) -> None:
    """Return the same scores for videos one at a time and all together.

    A video's score must not depend on the other test videos. Look for statistics over them: batch normalisation in
    training mode, centring, hubness corrections. Methods that do this on purpose declare ``Budget.UNSEEN_VIDEOS``.
    """
    _company_counts(subject)
    task, method = subject.fitted()
    whole = method.score(task.test, task.test_classes)
    single = np.concatenate([method.score(task.test.take([i]), task.test_classes) for i in range(len(task.test))])
    require_same(single, whole, "videos scored one at a time get other scores than videos scored together")


@check
def check_large_batches(subject: Subject) -> None:
    """Return the same scores for 1,000 videos together, in another order, and in parts.

    Look for clusters, neighbours or statistics of the whole batch that is scored, and for state that one call of
    ``score()`` leaves to the next. Methods that look at the test videos declare ``Budget.UNSEEN_VIDEOS``, and get them
    as ``target.videos``.
    """
    _company_counts(subject)
    task = subject.task(per_class=(6,) * 8 + (_MANY,) * 5)
    method, n = subject.fit(task), len(task.test)
    whole = method.score(task.test, task.test_classes)
    order = np.random.default_rng(0).permutation(n)
    parts = [method.score(task.test.take(part), task.test_classes) for part in np.split(order, [n // 10, n // 2])]
    require_same(np.concatenate(parts), whole[order], "videos scored in parts get other scores than all together")
    require_same(method.score(task.test, task.test_classes), whole, "scores change when videos are scored again")


@check
def check_padding(subject: Subject) -> None:
    """Return the same score for a short video together with long ones and together with short ones.

    Batches are ragged: ``batch.frames`` has ``batch.lengths[i]`` frames of video i and no padding. A method that pads
    must mask its padding. Look at means, softmaxes and last states.
    """
    _company_counts(subject)
    task, method = subject.fitted()
    rng = np.random.default_rng(0)
    short, long = ([rng.random((n, task.train.dim)) for _ in range(5)] for n in (3, 40))
    together = Videos.from_arrays([short[0], *long[1:]])
    alike = Videos.from_arrays(short)
    scores = [method.score(videos, task.test_classes)[:1] for videos in (together, alike)]
    require_same(scores[0], scores[1], "a video of 3 frames gets another score together with videos of 40 frames")


@check
def check_class_company(subject: Subject) -> None:
    """Return the same score for a class with any other candidate classes.

    Look for a softmax, a mean or a neighbourhood over ``classes`` in ``score()``. Methods that do this on purpose
    declare ``Budget.UNSEEN_VIDEOS``, or this check in ``expected_failed_checks``.
    """
    _company_counts(subject)
    task, method = subject.fitted()
    some = np.array([3, 1])
    whole = method.score(task.test, task.test_classes)
    fewer = method.score(task.test, task.test_classes.take(some))
    require_same(fewer, whole[:, some], "a class's score changes with the other candidate classes")


@check
def check_class_counts(subject: Subject) -> None:
    """Work with one unseen class and with 200.

    Look for a size fixed at training, a ``squeeze()`` that loses an axis of length 1, and top-k or neighbour counts
    above the number of classes.
    """
    for n in (1, 200):
        task = subject.task(n_unseen=n, per_class=(6,) * 8 + (1,) * n)
        scores = subject.scores(task)
        require(scores.shape == (n, n), f"with {n} unseen classes score() returned {scores.shape}, not {(n, n)}.")
        require(np.isfinite(scores).all(), f"with {n} unseen classes scores are not finite.")
