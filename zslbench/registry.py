"""Names to plugins, by entry points; each plugin is loaded when it is first needed.

Built-in plugins are found in the same way as all others. Two plugins with the same name are an error for that name
only. A plugin that cannot be imported is listed with the reason, and the others work.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.method import Method
from zslbench.steps import Step, compose


@dataclass(frozen=True)
class Listed:
    """One name of a registry: the plugin, or the problem with it.

    Examples
    --------
    >>> ridge = next(each for each in METHODS if each.name == "ridge")
    >>> ridge.plugin.info.name, ridge.problem
    ('ridge', None)
    """

    name: str
    distribution: str
    plugin: Any = None
    problem: str | None = None


class Registry:
    """The plugins of one entry-point group.

    Parameters
    ----------
    group
        Entry-point group, such as ``zslbench.methods``.
    noun
        The word for one plugin in messages.
    base
        The class that plugins must inherit from; ``None`` if they are functions.

    Examples
    --------
    >>> "ridge" in METHODS.names(), METHODS.get("ridge").__name__
    (True, 'Ridge')
    """

    def __init__(self, group: str, noun: str, base: type | None = None) -> None:
        self.group = group
        self.noun = noun
        self._base: Any = base
        self._local: dict[str, Any] = {}

    @property
    def _points(self) -> Mapping[str, Sequence[EntryPoint]]:
        return _entry_points(self.group, tuple((folder, _changed(folder)) for folder in sys.path))

    def names(self) -> list[str]:
        """Return every registered name, sorted, without loading anything."""
        return sorted({*self._points, *self._local})

    @contextmanager
    def offering(self, plugins: Mapping[str, Any]) -> Iterator[None]:
        """Offer plugins of this process, which have no package, beside the installed ones, within a block.

        Raises
        ------
        ZslbenchError
            A name is that of an installed plugin, cannot stand in a label, or the plugin is not what the group asks
            for.

        Examples
        --------
        >>> from zslbench.method import MethodInfo
        >>> class Mine(METHODS.get("ridge")):
        ...     info = MethodInfo(name="mine", summary="My ridge regression.")
        >>> with METHODS.offering({"mine": Mine}):
        ...     get_method("mine") is Mine, METHODS.is_local("mine")
        (True, True)
        >>> METHODS.is_local("mine")
        False
        """
        for name, plugin in plugins.items():
            if name in self._points:
                raise ZslbenchError(
                    f"an installed {self.noun} is called {name!r}, too; give yours another name in its info, or name "
                    f"the installed one by its text, {name!r}."
                )
            if set(name) & set("+:@ "):
                raise ZslbenchError(f"the {self.noun} {name!r} has one of '+:@ ' in its name; give it another name.")
            if problem := self._unfit(name, plugin):
                raise ZslbenchError(f"the local {self.noun} {name!r} {problem}.")
        before, self._local = self._local, {**self._local, **plugins}
        try:
            yield
        finally:
            self._local = before

    def is_local(self, name: str) -> bool:
        """Return whether a name is that of a plugin of this process, which has no package."""
        return name in self._local

    def get(self, name: str) -> Any:
        """Return the plugin called ``name``.

        Raises
        ------
        NotFoundError
            No plugin has that name; the message contains the nearest names.
        ZslbenchError
            Two plugins claim the name, it cannot be imported, or it is not what the group asks for.
        """
        if name in self._local:
            return self._local[name]
        points = self._points.get(name)
        if not points:
            raise NotFoundError(f"no {self.noun} is called {name!r}.{suggest(name, self.names())}")
        if len(points) > 1:
            claims = " and ".join(f"{point.value} ({_distribution(point)})" for point in points)
            raise ZslbenchError(f"two plugins claim the {self.noun} {name!r}: {claims}; uninstall one of them.")
        try:
            plugin = points[0].load()
        except Exception as error:  # importing foreign code can raise anything
            raise ZslbenchError(
                f"the {self.noun} {name!r} ({points[0].value} of {_distribution(points[0])}) cannot be imported: "
                f"{type(error).__name__}: {error}; fix or uninstall that package."
            ) from error
        problem = self._unfit(name, plugin)
        if problem:
            raise ZslbenchError(f"the {self.noun} {name!r} ({points[0].value}) {problem}.")
        return plugin

    def _unfit(self, name: str, plugin: Any) -> str | None:
        if self._base is None:
            return None if callable(plugin) else "is not a function that returns a Dataset"
        if not (isinstance(plugin, type) and issubclass(plugin, self._base)):
            return f"is not a subclass of {self._base.__module__}.{self._base.__name__}"
        if not hasattr(plugin, "info"):
            return f"has no `info = {self._base.__name__}Info(...)`"
        return None if plugin.info.name == name else f"calls itself {plugin.info.name!r} in its info"

    def __iter__(self) -> Iterator[Listed]:
        for name, points in sorted(self._points.items()):
            try:
                yield Listed(name, _distribution(points[0]), plugin=self.get(name))
            except ZslbenchError as error:
                yield Listed(name, _distribution(points[0]), problem=str(error))


@lru_cache(maxsize=16)  # all installed packages are read for it: 20 ms per lookup of one method
def _entry_points(group: str, path: tuple[tuple[str, int], ...]) -> Mapping[str, Sequence[EntryPoint]]:
    """Return name -> entry points; ``path`` is where packages are looked for, with the time of its last change."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        known = found.setdefault(point.name, [])
        # An editable install beside a wheel of the same project lists every entry point twice: no conflict.
        if all(point.value != other.value for other in known):
            known.append(point)
    return found


def _changed(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown package"


METHODS = Registry("zslbench.methods", "method", Method)
DATASETS = Registry("zslbench.datasets", "dataset")
STEPS = Registry("zslbench.steps", "step", Step)


def get_method(name: str) -> type[Method]:
    """Return the method class called ``name``, with steps if it is ``name+step+step``.

    Raises
    ------
    NotFoundError
        There is no such method or step.
    ZslbenchError
        As in :meth:`Registry.get`, or a step occurs twice.
    """
    own, *steps = name.split("+")
    plugin: type[Method] = METHODS.get(own)
    for step in steps:
        plugin = compose(plugin, STEPS.get(step))
    return plugin


def installed_method(name: str) -> type[Method] | None:
    """Return the method class as :func:`get_method` does, or ``None`` if it cannot be loaded here."""
    try:
        return get_method(name)
    except ZslbenchError:
        return None


def parse_label(label: str) -> tuple[str, str]:
    """Return (``name+step``, ``preset``) for ``name:preset+step``; the preset may be empty."""
    own, plus, steps = label.partition("+")
    name, _, preset = own.partition(":")
    return name + plus + steps, preset
