"""Say which methods cannot run in a protocol or on features, and why."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np

from zslbench.errors import ZslbenchError
from zslbench.method import Budget, Classes, Method, Report, SeenVideos, Target

_TRAINED_CLASSES = ("few-shot", "supervised")  # protocols that test the classes that were trained on, and no others


def why_unfit(method: Method, protocol: str) -> str | None:
    """Return the sentence that says why a method cannot run in a protocol; ``None`` if it can.

    Examples
    --------
    >>> from zslbench.registry import get_method
    >>> print(why_unfit(get_method("coco")(), "few-shot"))
    coco learns from the names of unseen classes, and few-shot has no unseen class; use --protocol zsl, gzsl or ...
    >>> why_unfit(get_method("ridge")(), "few-shot") is None
    True
    """
    name, only_trained = method.info.name, protocol in _TRAINED_CLASSES
    if method.info.scores == "trained" and not only_trained:
        return (
            f"{name} scores only the classes that it was trained on, and {protocol} tests others too; use --protocol "
            f"{' or '.join(_TRAINED_CLASSES)}."
        )
    if Budget.UNSEEN_NAMES in method.budget and only_trained:
        return (
            f"{name} learns from the names of unseen classes, and {protocol} has no unseen class; use --protocol zsl, "
            f"gzsl or base-to-novel."
        )
    return None


def why_apart(method: Method, dim: int, vectors_dim: int) -> str | None:
    """Return why a method cannot run on features and class vectors of these numbers of values; ``None`` if it can.

    Methods that train learn a map between the two, as a rule. Those that do not train, or that rest on a model of
    vision and language, are asked: they are fitted on no video.

    Examples
    --------
    >>> from zslbench.registry import get_method
    >>> print(why_apart(get_method("nearest-text")(), 4096, 384))
    nearest-text compares features with class vectors of one space, but features have 4096 values and class vectors ...
    >>> why_apart(get_method("ridge")(), 4096, 384) is None
    True
    """
    method = without_steps(method)
    asked = not method.trains or Budget.VISION_LANGUAGE in method.budget
    if dim == vectors_dim or not asked or (said := _refusal(method, dim, vectors_dim)) is None:
        return None
    return said if said != _refusal(method, dim, dim) else None  # else it objects to having no video


def compares(method: Method, dim: int) -> bool:
    """Return whether a method needs features and class vectors of one space: it refuses two numbers of values.

    Examples
    --------
    >>> from zslbench.registry import get_method
    >>> compares(get_method("nearest-text")(), 384), compares(get_method("ridge")(), 384)
    (True, False)
    """
    return why_apart(method, dim, dim + 1) is not None


def refuse_apart(methods: Iterable[Method], dim: int, vectors_dim: int) -> None:
    """Raise the sentence of :func:`why_apart` of the first method that has one.

    Raises
    ------
    ZslbenchError
        A method cannot run on features and class vectors of these numbers of values.
    """
    for method in methods:
        if said := why_apart(method, dim, vectors_dim):
            raise ZslbenchError(said)


def without_steps(method: Method) -> Method:
    """Return the method below the steps.

    Examples
    --------
    >>> from zslbench.registry import get_method
    >>> without_steps(get_method("ridge+csls+nrm")()).info.name
    'ridge'
    """
    while inner := next((part for part in vars(method).values() if isinstance(part, Method)), None):
        method = inner
    return method


def _refusal(method: Method, dim: int, vectors_dim: int) -> str | None:
    nobody = Classes((), np.zeros((0, vectors_dim), dtype=np.float32), (), np.zeros((0, 1), dtype=np.float32))
    seen = SeenVideos.from_arrays(np.zeros((1, dim), dtype=np.float32), labels=[0]).take(np.zeros(0, dtype=np.int64))
    target = Target(nobody, seen.unlabelled(), {})
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):  # means of no video
            warnings.simplefilter("ignore")
            type(method)(method.params).fit(seen, nobody, target, Report())
    except ZslbenchError as error:
        return str(error)
    except Exception:  # no video, no class: it may fail in any way
        return None
    return None
