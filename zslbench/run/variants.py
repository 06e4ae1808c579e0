"""Turn settings with several values for a parameter into variants of a method: a grid over all such parameters.

A value is taken as it stands if the parameter accepts it. Otherwise each item of a list, or each part of a text between
commas, is a value of its own. So a list is one value for a parameter that takes lists; a list of lists makes variants.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from pydantic import BaseModel, ValidationError

from zslbench.cells.rows import registered_defaults
from zslbench.digests import canonical_json
from zslbench.errors import ZslbenchError, takes, validated
from zslbench.method import Budget, Method, MethodParams
from zslbench.registry import STEPS, get_method, parse_label
from zslbench.run.experiment import read_value, resolve_method


@dataclass(frozen=True)
class Variant:
    """A method with one combination of the values that were set.

    Attributes
    ----------
    label
        The method's name with its preset.
    chosen
        Parameter -> value, for the parameters that have several values; those of steps as ``step.parameter``.

    Examples
    --------
    >>> [variant.text for variant in variants("ridge", {"ridge": {"alpha": "0.1,1", "unit_features": False}})]
    ['alpha=0.1', 'alpha=1']
    """

    label: str
    method: type[Method]
    params: MethodParams
    chosen: dict[str, Any]

    @cached_property
    def budget(self) -> frozenset[Budget]:
        """The information that the method may use with these parameters."""
        return self.method(self.params).budget

    @cached_property
    def trains(self) -> bool:
        """Whether the method needs training videos with these parameters."""
        return self.method(self.params).trains

    @property
    def text(self) -> str:
        """The chosen values, as in ``alpha=0.1, kernel=rbf``; empty if there are no other variants."""
        return _named(self.chosen)

    @property
    def full_text(self) -> str:
        """The chosen values and all others that are not defaults, for a method whose defaults nobody can look up later.

        >>> [variant.full_text for variant in variants("ridge", {"ridge": {"alpha": 2, "unit_features": True}})]
        ['alpha=2.0']
        """
        usual = registered_defaults(self.label) or {}
        values = self.params.model_dump(mode="json")
        return _named({name: v for name, v in values.items() if name not in usual or usual[name] != v} | self.chosen)


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value_text(value)}" for name, value in values.items())


def variants(label: str, settings: Mapping[str, Mapping[str, Any]]) -> list[Variant]:
    """Return a method's variants in the order of the grid: the values of the last parameter change fastest.

    Raises
    ------
    ZslbenchError
        A name is unknown, or a value is wrong or occurs twice.
    """
    axes = [
        [(target, parameter, value) for value in values_of(model, target, parameter, given)]
        for target, model, parameter, given in given_settings(label, settings)
    ]
    several = {axis[0][:2] for axis in axes if len(axis) > 1}
    own = parse_label(label)[0].split("+")[0]
    found = []
    for point in product(*axes):
        single: dict[str, dict[str, Any]] = {}
        for target, parameter, value in point:
            single.setdefault(target, {})[parameter] = value
        chosen = {
            (f"{target}.{parameter}" if target in steps_of(label) else parameter): value
            for target, parameter, value in point
            if (target, parameter) in several
        }
        found.append(Variant(label, *resolve_method(label, single), chosen))
    _check_distinct(own, found)
    return found


def check_targets(labels: Sequence[str], settings: Mapping[str, object]) -> None:
    """Refuse settings of a method or step that is not among the labels.

    Raises
    ------
    ZslbenchError
        There is one.
    """
    names = {*labels, *(parse_label(label)[0] for label in labels)}
    names |= {part for name in list(names) for part in parse_label(name)[0].split("+")}
    for target in settings:
        if target not in names:
            raise ZslbenchError(
                f"--set names {target!r}, which is no method of this run; name one of {', '.join(sorted(names))}."
            )


def values_of(model: type[BaseModel], title: str, name: str, given: Any) -> list[Any]:
    """Return the values that a setting stands for: itself, or its items if only these are accepted.

    Raises
    ------
    ZslbenchError
        The parameter accepts neither the setting nor one of its items, or there are no items.
    """
    items = given if isinstance(given, list) else _parts(given) if isinstance(given, str) and "," in given else None
    if items is None or name not in model.model_fields or accepts(model, name, given):
        return [given]
    if not items:
        raise ZslbenchError(f"{title}.{name} is an empty list; it takes {takes(model.model_fields[name])}.")
    for item in items:
        if not accepts(model, name, item):
            validated(model, {name: item}, title)
    return items


def value_text(value: Any) -> str:
    """Return a value as ``--set`` reads it.

    >>> value_text(0.5), value_text("rbf"), value_text("1"), value_text(None)
    ('0.5', 'rbf', '"1"', 'null')
    """
    plain = isinstance(value, str) and "," not in value and read_value(value) == value
    return value if plain else canonical_json(value)


def accepts(model: type[BaseModel], name: str, value: Any) -> bool:
    """Return whether a parameter takes a value, whatever the other parameters are."""
    try:
        model.model_validate({name: value})
    except ValidationError as error:
        return not any(each["loc"][:1] == (name,) for each in error.errors())
    return True


def given_settings(
    label: str, settings: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, type[BaseModel], str, Any]]:
    """Yield target, model, parameter and value of each setting that holds for a method; a preset's own comes last."""
    name, _ = parse_label(label)
    method = get_method(name)
    found: dict[str, tuple[str, Any]] = {}
    for target in dict.fromkeys((name.split("+")[0], name, label)):
        found |= {parameter: (target, value) for parameter, value in settings.get(target, {}).items()}
    for parameter, (target, value) in found.items():
        yield target, method.Params, parameter, value
    for step in steps_of(label):
        for parameter, value in settings.get(step, {}).items():
            yield step, STEPS.get(step).Params, parameter, value


def steps_of(label: str) -> list[str]:
    """Return the steps of ``name:preset+step+step``."""
    return parse_label(label)[0].split("+")[1:]


def _parts(text: str) -> list[Any]:
    """Return the values between commas: JSON values, or words where one of them is no JSON."""
    try:
        found: list[Any] = json.loads(f"[{text}]")
        return found
    except ValueError:
        return [read_value(part) for part in text.split(",")]


def _check_distinct(own: str, found: list[Variant]) -> None:
    seen: dict[str, Variant] = {}
    for variant in found:
        same = seen.setdefault(canonical_json(variant.params.model_dump(mode="json")), variant)
        if same is not variant:
            raise ZslbenchError(
                f"--set {own}: {same.text} and {variant.text} are the same parameters; leave one of them out."
            )
