"""Say which methods cannot run in a protocol, and why."""

from __future__ import annotations

from zslbench.method import Budget, Method

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
