"""Checks of saved models and of embeddings."""

from __future__ import annotations

import numpy as np

from zslbench.method import Method
from zslbench.testing._check import CheckSkipped, Subject, check, require, require_same
from zslbench.videos import Videos


@check
def check_saving(subject: Subject) -> None:
    """Return the same scores after ``state()`` was written to a file and given to ``restore()`` of a new instance.

    ``state()`` returns everything that ``fit()`` learnt, as arrays of numbers by name; put single numbers into arrays,
    too. ``restore()`` is called on an instance that was never fitted. A method without these two cannot be saved.
    """
    import safetensors.numpy

    task, method = subject.fitted()
    try:
        state = method.state()
    except NotImplementedError:
        raise CheckSkipped("it cannot be saved: it defines no state() and restore()") from None
    require(isinstance(state, dict), f"state() returned {type(state).__name__}, not a dict of arrays.")
    wrong = [name for name, array in state.items() if not isinstance(array, np.ndarray) or array.dtype.hasobject]
    require(not wrong, f"state() contains {wrong}, which are no arrays of numbers.")
    # order="C": safetensors writes the memory as it is, and would mix up the axes of other arrays.
    written = safetensors.numpy.save({name: np.asarray(array, order="C") for name, array in state.items()})
    # In a store of their own, because a saved model scores other stores, and a whole store is rounded differently.
    test = Videos.from_arrays([task.test.sequence(i) for i in range(len(task.test))], tokens=task.test.tokens)
    before = method.score(test, task.test_classes)
    restored = subject.new()
    restored.restore(safetensors.numpy.load(written))
    after = restored.score(test, task.test_classes)
    require_same(after, before, "a restored instance gives other scores than the saved one")


@check
def check_embed(subject: Subject) -> None:
    """Return finite embeddings of videos, (n_videos, d), in the space of ``place()``, if the method has ``embed()``.

    The semantic tests, the pictures and ``zslbench embed`` need it. ``place(vectors)`` maps class vectors into the
    space of the embeddings. Override it if that is not the space of the class vectors.
    """
    if subject.method.embed is Method.embed:
        raise CheckSkipped("it does not embed videos: it defines no embed()")
    task, method = subject.fitted()
    try:
        found = np.asarray(method.embed(task.test))
    except NotImplementedError:
        raise CheckSkipped("it does not embed videos: embed() raises NotImplementedError") from None
    n = len(task.test)
    require(found.ndim == 2 and len(found) == n, f"embed() returned shape {found.shape} for {n} videos, not ({n}, d).")
    require(np.isfinite(found).all(), "embed() returned values that are not finite.")
    placed = np.asarray(method.place(task.test_classes.vectors))
    shape = (len(task.test_classes), found.shape[1])
    require(placed.shape == shape, f"place() returned shape {placed.shape}; embed() needs {shape}.")
    require(np.isfinite(placed).all(), "place() returned values that are not finite.")
