"""Checks of saved models and of embeddings."""

from __future__ import annotations

import numpy as np

from zslbench.method import Method
from zslbench.testing._check import CheckSkipped, Subject, check, require, require_same
from zslbench.videos import Videos


@check
def check_saving(subject: Subject) -> None:
    """Score the same after ``state()`` was written to a file and given to ``restore()`` of a new instance.

    ``state()`` returns everything that ``fit()`` learnt, as arrays of numbers by name; put single numbers into arrays
    too. ``restore()`` is called on an instance that was never fitted. Without the two a method cannot be saved.
    """
    import safetensors.numpy

    task = subject.task()
    method = subject.fit(task)
    try:
        state = method.state()
    except NotImplementedError:
        raise CheckSkipped("it cannot be saved: it defines no state() and restore()") from None
    require(isinstance(state, dict), f"state() returned {type(state).__name__}, not a dict of arrays.")
    wrong = [name for name, array in state.items() if not isinstance(array, np.ndarray) or array.dtype.hasobject]
    require(not wrong, f"state() holds {wrong}, which are no arrays of numbers.")
    written = safetensors.numpy.save({name: np.asarray(array, order="C") for name, array in state.items()})
    # In a store of their own, as a saved model meets videos: what a store computes in one piece rounds otherwise.
    test = Videos.from_arrays([task.test.sequence(i) for i in range(len(task.test))], tokens=task.test.tokens)
    before = method.score(test, task.test_classes)
    restored = subject.new()
    restored.restore(safetensors.numpy.load(written))
    after = restored.score(test, task.test_classes)
    require_same(after, before, "a restored instance scores otherwise than the one that was saved")


@check
def check_embed(subject: Subject) -> None:
    """Embed videos among class vectors, where the method offers it: finite, (n_videos, d), in the space of ``place()``.

    The semantic tests, the pictures and ``zslbench embed`` rest on it. ``place(vectors)`` says where class vectors lie
    in that space; override it where this is not where they come from.
    """
    if subject.method.embed is Method.embed:
        raise CheckSkipped("it embeds no videos: it defines no embed()")
    task = subject.task()
    method = subject.fit(task)
    try:
        found = np.asarray(method.embed(task.test))
    except NotImplementedError:
        raise CheckSkipped("it embeds no videos: embed() raises NotImplementedError") from None
    n = len(task.test)
    require(found.ndim == 2 and len(found) == n, f"embed() returned shape {found.shape} for {n} videos, not ({n}, d).")
    require(np.isfinite(found).all(), "embed() returned values that are not finite.")
    placed = np.asarray(method.place(task.test_classes.vectors))
    shape = (len(task.test_classes), found.shape[1])
    require(placed.shape == shape, f"place() puts class vectors into shape {placed.shape}; embed() wants {shape}.")
    require(np.isfinite(placed).all(), "place() returned values that are not finite.")
