"""The digest of a method's source: results of changed code are never taken for the new code's."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

from zslbench.digests import digest
from zslbench.method import Method


@cache
def source_digest(method: type[Method]) -> str:
    """Return a digest of the source that a method runs: the modules of its class and of the classes it inherits from.

    Every module of their packages that these import counts too, in functions as well: that is where methods keep their
    heavy parts. Of the harness, only the numerical parts that methods are built on count.
    """
    classes = [cls for cls in method.__mro__ if issubclass(cls, Method)] + [c for p in method.parts for c in p.__mro__]
    modules = {cls.__module__ for cls in classes if cls is not Method and cls.__module__ not in ("abc", "builtins")}
    return digest({name: path.read_text(encoding="utf-8") for name, path in sorted(_sources(modules).items())})


_NUMERICS = ("zslbench.kernels", "zslbench.regression")


def _sources(modules: set[str]) -> dict[str, Path]:
    packages = {module.partition(".")[0] for module in modules} - {"zslbench"}
    found: dict[str, Path] = {}
    waiting = sorted(modules)
    while waiting:
        name = waiting.pop()
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            spec = None  # `from package.module import attribute` also offers package.module.attribute
        if name in found or spec is None or not spec.origin or not spec.origin.endswith(".py"):
            continue
        found[name] = Path(spec.origin)
        for node in ast.walk(ast.parse(found[name].read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = _absolute(node, name, is_package=found[name].name == "__init__.py")
                names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
            else:
                continue
            waiting += [n for n in names if n.partition(".")[0] in packages or n in _NUMERICS]
    return found


def _absolute(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parent = module if is_package else module.rpartition(".")[0]
    for _ in range(node.level - 1):
        parent = parent.rpartition(".")[0]
    return f"{parent}.{node.module}" if node.module else parent
