"""What ``zslbench methods NAME`` prints: one method, its parameters and presets, and what it may see."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, get_args

from pydantic import BaseModel

from zslbench.cli._output import echo
from zslbench.errors import takes
from zslbench.method import Budget, Method
from zslbench.ranges import declared
from zslbench.registry import METHODS, STEPS
from zslbench.tables.document import Document, Section
from zslbench.tables.widths import filled
from zslbench.tables.writer import columns

_READS = {"pooled": "the mean feature of each video", "sequences": "the features of each frame"}
_SEES = {
    Budget.CLASS_VECTORS: "vectors of the seen classes when it trains, and of the tested classes when it scores",
    Budget.CLASS_TEXTS: "descriptions of these classes",
    Budget.ATTRIBUTES: "attributes of these classes",
    Budget.UNSEEN_NAMES: "names and vectors of the tested classes when it trains",
    Budget.UNSEEN_VIDEOS: "all test videos together, without labels (transductive)",
    Budget.AUXILIARY_VIDEOS: "labelled videos of another dataset (run --auxiliary)",
    Budget.VISION_LANGUAGE: "features of a model that was trained on images or videos with texts, such as CLIP",
    Budget.ORACLE: "labels of the test, so its figures are an upper bound and no result",
}
_SECTION = re.compile(r"^(?:Attributes|Parameters)\n-+\n(.*?)(?=\n+[A-Z][A-Za-z ]+\n---|\Z)", re.DOTALL | re.MULTILINE)


def show_method(method: type[Method]) -> None:
    """Print what is known of a method without running it."""
    info = method.info
    mark = "[reconstruction] " if info.reconstruction else ""
    _say(f"{info.name} (version {info.version}): {mark}{info.summary}")
    if info.citation:
        _say(f"Source: {info.citation}")
    echo(f"Reads {_READS[info.wants]} ({info.wants}).")
    own, *steps = info.name.split("+")
    _say("What it may see, besides the labelled videos of the seen classes if it trains:")
    for each in sorted(info.budget, key=list(Budget).index):
        _say(f"{_SEES[each]} ({each})", "  * ", "    ")
    if METHODS.get(own).info.tower:
        _say("the text tower that made the class vectors, and the class names as that got them", "  * ", "    ")
    if not info.budget:
        echo("  * nothing")
    if METHODS.get(own).budget is not Method.budget:
        echo("Some parameters change this.")
    params = METHODS.get(own).Params
    for name, model in ((own, params), *((step, STEPS.get(step).Params) for step in steps)):
        if model.model_fields:
            echo(f"\nParameters (--set {name}.PARAMETER=VALUE):")
            _show_parameters(model)
    if method.presets:
        echo("\nPresets, as differences from the defaults:")
    for preset, values in method.presets.items():
        defaults = {name: field.get_default() for name, field in params.model_fields.items()}
        changed = [f"{name}={_value(value)}" for name, value in values.items() if defaults.get(name) != value]
        _say(f"{own}:{preset}: {', '.join(changed) or 'none'}", "  ", "      ")


def explained(model: type[BaseModel]) -> Mapping[str, str]:
    """Return parameter -> what its class says about it: pydantic's description, or the entry of a numpy docstring.

    Parameters that share an entry have the same text. A parameter that nothing explains is left out.

    Examples
    --------
    >>> explained(METHODS.get("conse").Params)["max_iterations"]
    'Most iterations of L-BFGS.'
    """
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        section = _SECTION.search(inspect.cleandoc(vars(cls).get("__doc__") or ""))
        for entry in re.split(r"\n(?=\S)", section.group(1)) if section else ():
            names, _, text = entry.partition("\n")
            found |= dict.fromkeys(re.split(r",\s*", names.partition(" :")[0]), _plain(text))
    found |= {name: field.description for name, field in model.model_fields.items() if field.description}
    return {name: text for name, text in found.items() if name in model.model_fields and text}


def method_document(method: type[Method]) -> Document:
    """Return the parameters of a method, and for programs all that is known of it."""
    info = method.info
    own, *steps = info.name.split("+")
    facts = [
        {"parameter": f"{name}.{n}", "takes": takes(field), "default": field.get_default(),
         "searched_by_tune": str(declared(model).get(n, "")), "meaning": explained(model).get(n, "")}
        for name, model in ((own, METHODS.get(own).Params), *((step, STEPS.get(step).Params) for step in steps))
        for n, field in model.model_fields.items()
    ]  # fmt: skip
    record = {
        "name": info.name, "version": info.version, "summary": info.summary, "reconstruction": info.reconstruction,
        "citation": info.citation, "reads": info.wants, "budget": sorted(info.budget), "parameters": facts,
        "presets": method.presets,
    }  # fmt: skip
    shown = columns(("parameter", "takes", "default", "searched by tune", "meaning"))
    section = Section(shown, [tuple(each.values()) for each in facts], f"{info.name}: {info.summary}", key=info.name)
    return Document(f"zslbench methods {info.name}", [section], facts=facts, record=record)


def _show_parameters(model: type[BaseModel]) -> None:
    texts = explained(model)
    for text, together in groupby(_lines(model), key=lambda each: texts.get(each[0])):
        for _, line in together:
            _say(line, "  ", "    ")
        if text:
            _say(text, " " * 6, " " * 6)


def _lines(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the name of each parameter, and a line with all but its explanation."""
    searched = declared(model)
    for name, field in model.model_fields.items():
        line = f"{name}: {takes(field)}"
        line += "; required" if field.is_required() else f"; default {_value(field.get_default())}"
        if name in searched:
            every = (False, True) if field.annotation is bool else get_args(field.annotation)
            whole = getattr(searched[name], "values", None) == every
            line += "; searched by tune" if whole else f"; tune searches {searched[name]}"
        yield name, line


def _plain(text: str) -> str:
    """Return a docstring's text on one line, without the marks of reStructuredText."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", " ".join(text.split()))
    return text.replace("``None``", "null").replace("``", "")


def _value(value: Any) -> str:
    """Return a value as ``--set`` takes it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _say(text: str, first: str = "", rest: str = "  ") -> None:
    echo(filled(text, first, rest))
