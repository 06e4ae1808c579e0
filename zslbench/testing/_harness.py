"""A picture of the harness's code in memory, to see what a method replaced, and to put it back."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import NamedTuple

_PACKAGES = ("zslbench", "zslbench_methods", "zslbench_datasets")
_FOUNDATIONS = ("builtins", "io", "os", "json", "time", "hashlib", "numpy")


class _Held(NamedTuple):
    """What an attribute of a module, class or function was."""

    prefix: str
    owner: ModuleType | type | FunctionType
    attribute: str
    value: object

    @property
    def name(self) -> str:
        return f"{self.prefix}.{self.attribute}"

    @property
    def now(self) -> object:
        """What it is now; the class itself if it is gone."""
        if isinstance(self.owner, FunctionType):
            return getattr(self.owner, self.attribute)
        return vars(self.owner).get(self.attribute, _Held)


def harness_parts() -> list[_Held]:
    """Return the attributes of modules and classes, and the code of functions."""
    found: list[_Held] = []
    for name, module in list(sys.modules.items()):
        if name in _FOUNDATIONS:
            found += _parts(name, module)
        elif name.partition(".")[0] in _PACKAGES:
            found += _parts(name, module)
            for own in [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == name]:
                found += _parts(f"{name}.{own.__qualname__}", own)
    return found


def _parts(prefix: str, owner: ModuleType | type) -> Iterator[_Held]:
    for name, value in list(vars(owner).items()):
        # Modules appear when they are imported; names such as __abstractmethods__ belong to Python.
        constant = not callable(value) and (name.startswith("__") or prefix in _FOUNDATIONS)  # time.tzname, for example
        if isinstance(value, ModuleType) or constant:
            continue
        yield _Held(prefix, owner, name, value)
        function = getattr(value, "__func__", value)  # of a class or static method
        if isinstance(function, FunctionType):
            for part in ("__code__", "__defaults__"):
                yield _Held(f"{prefix}.{name}", function, part, getattr(function, part))


def foreign(package: str) -> list[str]:
    """Return the names of the harness's parts that stand for something of another package."""
    return [held.name for held in harness_parts() if _root(getattr(held.value, "__module__", "")) == package]


def _root(module: object) -> str:
    return str(module).partition(".")[0]


def replaced(before: Iterable[_Held]) -> list[str]:
    """Return the names of the parts that are other ones now, and put the earlier ones back."""
    changed = [held for held in before if held.now is not held.value]
    for held in changed:
        setattr(held.owner, held.attribute, held.value)
    return [held.name for held in changed]
