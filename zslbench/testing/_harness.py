"""A picture of the harness's code in memory, to see what a method replaced, and to put it back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FunctionType, ModuleType
from typing import NamedTuple

_PACKAGES = ("zslbench", "zslbench_methods", "zslbench_datasets")
_FOUNDATIONS = ("builtins", "io", "os", "json", "time", "hashlib", "numpy")


class _Held(NamedTuple):
    """Something that was found under a name, and how to put it back."""

    value: object
    put_back: Callable[[], None]


def harness_parts() -> dict[str, _Held]:
    """Return name -> what it stands for: attributes of modules and classes, and the code of functions."""
    found: dict[str, _Held] = {}
    for name, module in list(sys.modules.items()):
        if name in _FOUNDATIONS:
            _add(found, name, module)
        elif name.partition(".")[0] in _PACKAGES:
            _add(found, name, module)
            for own in [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == name]:
                _add(found, f"{name}.{own.__qualname__}", own)
    return found


def _add(found: dict[str, _Held], prefix: str, owner: ModuleType | type) -> None:
    for name, value in list(vars(owner).items()):
        # Modules appear when they are imported; names such as __abstractmethods__ belong to Python.
        constant = not callable(value) and (name.startswith("__") or prefix in _FOUNDATIONS)  # time.tzname, for example
        if isinstance(value, ModuleType) or constant:
            continue
        found[f"{prefix}.{name}"] = _Held(value, partial(setattr, owner, name, value))
        function = getattr(value, "__func__", value)  # of a class or static method
        if isinstance(function, FunctionType):
            for part in ("__code__", "__defaults__"):
                held = getattr(function, part)
                found[f"{prefix}.{name}.{part}"] = _Held(held, partial(setattr, function, part, held))


def foreign(package: str) -> list[str]:
    """Return the names of the harness's parts that stand for something of another package."""
    return [name for name, held in harness_parts().items() if _root(getattr(held.value, "__module__", "")) == package]


def _root(module: object) -> str:
    return str(module).partition(".")[0]


def replaced(before: dict[str, _Held]) -> list[str]:
    """Return the names of the parts that are other ones now, and put the earlier ones back."""
    now = harness_parts()
    changed = [name for name, held in before.items() if name not in now or now[name].value is not held.value]
    for name in changed:
        before[name].put_back()
    return changed
