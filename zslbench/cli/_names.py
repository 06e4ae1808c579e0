"""Names on the command line: what they mean, and how a shell completes them.

Completion reads folders and entry points. It opens no feature set, and writes nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


class Name(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """A name of something that is known on this machine; any other text is left to the command.

    Parameters
    ----------
    known
        Function from the context, with the parameters before this one, to names.
    read
        Function from what was typed to what the command gets.
    """

    name = "text"

    def __init__(self, known: Callable[[click.Context], Iterable[str]], read: Callable[[str], str] = str) -> None:
        self._known, self._read = known, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self._read(value) if isinstance(value, str) else value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in sorted(set(self._known(ctx))) if name.startswith(incomplete)]


class Choice(click.Choice):  # type: ignore[type-arg]
    """One of several words, in any case; a misspelt one gets the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            from zslbench.errors import suggest

            self.fail(f"{value!r} is not known.{suggest(str(value), map(str, self.choices))}", param, ctx)


class NumberRange(click.FloatRange):
    """A number in a range; ``nan`` is in none, and click lets it through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not in the range {self._describe_range()}.", param, ctx)
        return number


def with_names(command: click.Command) -> None:
    """Let the parameters of a command, and of its own verbs, know the names and numbers that they take."""
    for param in command.params:
        if type(param.type) is click.Choice:
            param.type = Choice(param.type.choices, case_sensitive=False)
        elif type(param.type) is click.FloatRange:
            kind = param.type
            param.type = NumberRange(kind.min, kind.max, min_open=kind.min_open, max_open=kind.max_open)
        elif param.type is click.STRING:
            param.type = _NAMES.get(param.name or "", param.type)
    for verb in getattr(command, "commands", {}).values():
        with_names(verb)


def _datasets(ctx: click.Context) -> list[str]:
    from zslbench.datasets.catalog import dataset_names

    return dataset_names()


def _read_dataset(text: str) -> str:
    """Return a text such as ``UCF-101`` or ``UCF-101@vgg16`` with the dataset's own name."""
    from zslbench.datasets.catalog import dataset_name

    name, at, features = text.partition("@")
    return dataset_name(name) + at + features


def _chosen_datasets(ctx: click.Context) -> list[str]:
    chosen = ctx.params.get("dataset") or ()
    return [chosen] if isinstance(chosen, str) else list(chosen)


def _features(ctx: click.Context) -> list[str]:
    from zslbench.features.catalog import list_features

    chosen = _chosen_datasets(ctx)
    return [name for dataset, name in list_features() if not chosen or dataset in chosen]


def _methods(ctx: click.Context) -> list[str]:
    from zslbench.registry import METHODS

    return METHODS.names()


def _semantics(ctx: click.Context) -> list[str]:
    from zslbench.datasets.catalog import get_dataset
    from zslbench.semantics.store import list_semantics

    shipped = [name for dataset in _chosen_datasets(ctx) or ["hmdb51"] for name in get_dataset(dataset).vectors]
    return [*shipped, *(each.name for each in list_semantics())]


def _families(ctx: click.Context) -> list[str]:
    from zslbench.datasets.catalog import get_dataset

    return [name for dataset in _chosen_datasets(ctx) for name in get_dataset(dataset).family_names]


def _cells(ctx: click.Context) -> list[str]:
    results = Path(ctx.params.get("results") or os.environ.get("ZSLBENCH_RESULTS") or "results/runs")
    return [folder.name for folder in (results / "cells").glob("[!.]*")]


_DATASET = Name(_datasets, _read_dataset)
METHOD = Name(_methods)
FEATURES = Name(_features)
SEMANTICS = Name(_semantics)
_NAMES: dict[str, Name] = {
    "dataset": _DATASET, "train": _DATASET, "auxiliary": _DATASET, "against": _DATASET, "features_only": _DATASET,
    "method": METHOD, "methods": METHOD, "features": FEATURES, "semantics": SEMANTICS,
    "family": Name(_families), "cell": Name(_cells), "cells": Name(_cells),
}  # fmt: skip
