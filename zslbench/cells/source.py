"""Digest a method's source, so that old results never count as those of changed code."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import linecache
import textwrap
from abc import ABC
from functools import cache
from pathlib import Path

from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.method import Method


@cache
def source_digest(method: type[Method]) -> str:
    """Return a digest of the code that a method runs: the modules of its class and of its base classes.

    Every module of their packages that these import counts too. Imports inside functions count, because methods keep
    their heavy parts there. Of the harness, only the numerical parts that methods are built on count. Comments,
    docstrings and formatting do not count. Of a class that was defined in a notebook or script, only the class counts.

    Raises
    ------
    ZslbenchError
        The source of such a class is nowhere.
    """
    classes = _classes(method)
    found = _sources({cls.__module__ for cls in classes if not _in_no_module(cls)})
    found |= {f"{cls.__module__}.{cls.__qualname__}": _class_tree(cls) for cls in classes if _in_no_module(cls)}
    return digest({name: code_text(tree) for name, tree in sorted(found.items())})


def is_interactive(method: type[Method]) -> bool:
    """Return whether a part of a method was defined in a notebook, a script or a console.

    Then :func:`source_digest` cannot cover the functions outside the class that it calls.
    """
    return any(map(_in_no_module, _classes(method)))


def _classes(method: type[Method]) -> list[type]:
    classes = [cls for cls in method.__mro__ if issubclass(cls, Method)] + [c for p in method.parts for c in p.__mro__]
    return [cls for cls in classes if cls not in (Method, ABC, object)]


@cache
def _in_no_module(cls: type) -> bool:
    try:
        # A class that type() made of functions has the module of its metaclass.
        return cls.__module__ in ("__main__", "abc", "builtins") or importlib.util.find_spec(cls.__module__) is None
    except (ImportError, ValueError):  # its module was never imported from a file
        return True


def _class_tree(cls: type) -> ast.AST:
    """Return the definition of a class in a notebook, a script or a console.

    A notebook's class has no file, but its functions know the lines of their notebook's cell.
    """
    for member in vars(cls).values():
        function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "__func__", member))
        if not inspect.isfunction(function):
            continue
        code = function.__code__
        with contextlib.suppress(SyntaxError):
            for node in ast.walk(ast.parse("".join(linecache.getlines(code.co_filename)))):
                if (
                    isinstance(node, ast.ClassDef)
                    and node.name == cls.__name__
                    and node.lineno <= code.co_firstlineno <= (node.end_lineno or 0)
                ):
                    return node
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError) as error:
        raise ZslbenchError(
            f"the source of the class {cls.__name__} is nowhere, so its results could not be distinguished from those "
            f"of other code; define it in a notebook's cell, a script or a module."
        ) from error


_NUMERICS = ("zslbench.kernels", "zslbench.regression")


def _sources(modules: set[str]) -> dict[str, ast.AST]:
    packages = {module.partition(".")[0] for module in modules} - {"zslbench"}
    found: dict[str, ast.AST] = {}
    waiting = sorted(modules)
    while waiting:
        name = waiting.pop()
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            spec = None  # `from package.module import attribute` also offers package.module.attribute
        if name in found or spec is None or not spec.origin or not spec.origin.endswith(".py"):
            continue
        found[name] = ast.parse(Path(spec.origin).read_bytes())  # bytes: the parser knows the file's encoding
        for node in ast.walk(found[name]):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), spec.parent)
                names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
            else:
                continue
            waiting += [n for n in names if n.partition(".")[0] in packages or n in _NUMERICS]
    return found


def code_text(tree: ast.AST) -> str:
    """Write a syntax tree as text that is the same in all versions of Python, without statements that do nothing.

    ``ast.dump`` and ``ast.unparse`` differ between versions, which add fields, and quote and bracket differently. A new
    field is empty in old code, so empty fields are left out here.
    """
    written: list[str] = []
    waiting: list[object] = [tree]  # the next item comes last; recursion would fail on long chains of `+` or `elif`
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.Constant):  # its other field, the u of u"text", has no effect
            written.append(f"{type(item.value).__name__}:{item.value!a}")
        elif isinstance(item, ast.AST):
            written.append(f"{type(item).__name__}(")
            waiting.append(_Mark(")"))
            for name, value in reversed(list(ast.iter_fields(item))):
                kept = [v for v in value if not _does_nothing(v)] if isinstance(value, list) else value
                if kept or isinstance(kept, ast.AST):
                    waiting += [kept, _Mark(name)]
        elif isinstance(item, list):
            written.append("[")
            waiting += [_Mark("]"), *reversed(item)]
        else:
            written.append(item if isinstance(item, _Mark) else f"{item!a}")
    return " ".join(written)


class _Mark(str):
    """The name of a field or the end of a node; it is written without quotes, unlike names in the code."""


def _does_nothing(node: object) -> bool:
    """Return whether a statement is ``pass`` or only a string, such as the docstring of a function or attribute."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    return isinstance(node, ast.Pass)
