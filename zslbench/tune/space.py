"""The space that a search covers: ranges and choices that a method declares, less what is set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Protocol, get_args

from pydantic import BaseModel

from zslbench.errors import ZslbenchError
from zslbench.method import Method, MethodParams
from zslbench.ranges import Choices, Range, declared
from zslbench.registry import STEPS, get_method, parse_label
from zslbench.run.experiment import resolve_method
from zslbench.run.variants import check_targets, given_settings, steps_of, value_text, values_of

_DIGITS = 3  # of a searched number, so that commands are short


class _Suggests(Protocol):
    """The part of an Optuna trial that chooses values."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int: ...
    def suggest_categorical(self, name: str, choices: list[str]) -> str: ...


@dataclass(frozen=True)
class Axis:
    """A parameter that is searched.

    Attributes
    ----------
    target, parameter
        As in ``--set TARGET.PARAMETER=VALUE``.
    values
        A range or choices.
    whole
        Whether only whole numbers are allowed.

    Examples
    --------
    >>> Axis("ridge", "alpha", Range(0.01, 100, log=True)).key
    'ridge.alpha'
    """

    target: str
    parameter: str
    values: Range | Choices
    whole: bool = False

    @property
    def key(self) -> str:
        """The name in ``--set``."""
        return f"{self.target}.{self.parameter}"

    def suggest(self, trial: _Suggests) -> Any:
        """Return the value of a trial; numbers have three digits, so that a printed value is the one that ran."""
        if isinstance(self.values, Choices):
            by_text = {value_text(value): value for value in self.values.values}
            return by_text[trial.suggest_categorical(self.key, list(by_text))]
        low, high, log = self.values.low, self.values.high, self.values.log
        if self.whole:
            return trial.suggest_int(self.key, int(low), int(high), log=log)
        short = float(f"{trial.suggest_float(self.key, low, high, log=log):.{_DIGITS}g}")
        return float(min(max(short, low), high))  # an end of the range may have more digits


@dataclass(frozen=True)
class Space:
    """What a search of a method may change, and what it keeps.

    Attributes
    ----------
    label
        The method's name with its preset.
    fixed
        Method or step -> parameter -> value, of the settings with one value.
    axes
        The parameters that are searched.
    notices
        Choices that are left out, with reasons.

    Examples
    --------
    >>> space = Space.of("pooled-krr", {"pooled-krr": {"kernel": "rbf", "bandwidth": "0.5,1,2"}})
    >>> space.axes[0]
    Axis(target='pooled-krr', parameter='bandwidth', values=Choices(values=(0.5, 1, 2)), whole=False)
    """

    label: str
    fixed: dict[str, dict[str, Any]]
    axes: tuple[Axis, ...]
    notices: tuple[str, ...] = ()

    @classmethod
    def of(cls, label: str, settings: Mapping[str, Mapping[str, Any]]) -> Space:
        """Return the space of a method: what its settings with several values name, and what it declares.

        Parameters of the preset, and those that are set to one value, stay as they are.

        Raises
        ------
        ZslbenchError
            A name is unknown, a value is wrong, or there is nothing to search.
        """
        check_targets([label], settings)
        fixed: dict[str, dict[str, Any]] = {}
        axes, taken = [], set()
        for target, model, parameter, given in given_settings(label, settings):
            taken.add((_place(label, target), parameter))
            values = values_of(model, target, parameter, given)
            if len(values) == 1:
                fixed.setdefault(target, {})[parameter] = values[0]
            elif len({value_text(value) for value in values}) < len(values):
                raise ZslbenchError(f"--set {target}.{parameter} has a value twice; leave one of them out.")
            else:
                axes.append(Axis(target, parameter, Choices(*values)))
        resolve_method(label, fixed)  # a wrong setting is an error before anything else
        axes += [axis for axis in _declared(label) if (axis.target, axis.parameter) not in taken]
        space, found, notices = cls(label, fixed, ()), [], []
        for axis in axes:
            narrow, left_out = space.within_budget(axis)
            notices += left_out
            if not isinstance(narrow.values, Choices) or len(narrow.values.values) > 1:
                found.append(narrow)
        if not found:
            raise ZslbenchError(
                f"{label} has nothing to search; give several values, as in --set {_place(label, label)}.PARAMETER="
                f"1,2,3, or declare ranges in its Params (docs/plugins.md)."
            )
        return cls(label, fixed, tuple(found), tuple(notices))

    @cached_property
    def _budget(self) -> frozenset[Any]:
        method, params = self._resolved({})
        return method(params).budget

    def params(self, values: Mapping[str, Any]) -> MethodParams:
        """Return all parameters with these values, by the keys of the axes.

        Raises
        ------
        ZslbenchError
            The method refuses this combination, or needs a wider information budget with it.
        """
        method, params = self._resolved(values)
        if wider := sorted(method(params).budget - self._budget):
            raise ZslbenchError(f"{self.label} needs the budget {' + '.join(wider)} with these values; set them.")
        return params

    def points(self, most: int) -> list[dict[str, str]]:
        """Return every point of the space, as texts by the keys of the axes; none if they are more than ``most``."""
        texts = [[value_text(v) for v in axis.values.values] for axis in self.axes if isinstance(axis.values, Choices)]
        if len(texts) < len(self.axes) or prod(map(len, texts)) > most:
            return []
        return [dict(zip((axis.key for axis in self.axes), point, strict=True)) for point in product(*texts)]

    def within_budget(self, axis: Axis) -> tuple[Axis, list[str]]:
        """Return an axis without the choices that widen the method's information budget, and a notice for each."""
        if not isinstance(axis.values, Choices):
            return axis, []
        kept, notices = [], []
        for value in axis.values.values:
            if more := self._wider({axis.key: value}):
                notices.append(
                    f"{axis.key}={value_text(value)} is not searched, since it needs the budget {' + '.join(more)}; "
                    f"set it to search with it."
                )
            else:
                kept.append(value)
        return replace(axis, values=Choices(*kept)), notices

    def _wider(self, values: Mapping[str, Any]) -> list[str]:
        try:
            method, params = self._resolved(values)
        except ZslbenchError:  # not with the other defaults: the trials will tell
            return []
        return sorted(method(params).budget - self._budget)

    def _resolved(self, values: Mapping[str, Any]) -> tuple[type[Method], MethodParams]:
        settings = {target: dict(given) for target, given in self.fixed.items()}
        for key, value in values.items():
            target, _, parameter = key.rpartition(".")
            settings.setdefault(target, {})[parameter] = value
        return resolve_method(self.label, settings)

    def settings(self, values: Mapping[str, Any]) -> list[str]:
        """Return what is fixed and these values as ``--set`` takes them."""
        fixed = {f"{target}.{name}": value for target, given in self.fixed.items() for name, value in given.items()}
        return [f"{key}={value_text(value)}" for key, value in (fixed | dict(values)).items()]


def _place(label: str, target: str) -> str:
    """Return the name that a method's own parameters are searched under, or the step's."""
    name, _ = parse_label(label)
    own = name.split("+")[0]
    return own if target in (own, name, label) else target


def _declared(label: str) -> Iterator[Axis]:
    """Yield the axes that a method and its steps declare, without the parameters that the preset sets."""
    name, preset = parse_label(label)
    own = _place(label, label)
    of_preset = get_method(name).presets[preset] if preset else {}
    models: dict[str, type[BaseModel]] = {own: get_method(own).Params}
    models |= {step: STEPS.get(step).Params for step in steps_of(label)}
    for target, model in models.items():
        for parameter, values in declared(model).items():
            if target != own or parameter not in of_preset:
                yield Axis(target, parameter, values, _is_whole(model, parameter))


def _is_whole(model: type[BaseModel], parameter: str) -> bool:
    annotation = model.model_fields[parameter].annotation
    kinds = get_args(annotation) or (annotation,)
    return int in kinds and float not in kinds
