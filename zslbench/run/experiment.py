"""Read and check an experiment: the settings of a run, from options of the command line or a TOML file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from zslbench.cells.cell import Control, KeptScores
from zslbench.datasets.catalog import dataset_name
from zslbench.errors import ZslbenchError, suggest, validated
from zslbench.files import check_depth, read_toml
from zslbench.method import Method, MethodParams
from zslbench.protocols.protocol import Protocol
from zslbench.registry import STEPS, get_method, parse_label
from zslbench.steps import field_of


class Experiment(BaseModel):
    """The settings of a run, the same in options of the command line and in a TOML file.

    Attributes
    ----------
    method
        Names, with an optional preset after a colon: ``action2vec:paper``.
    features
        Names of feature sets, or of ensembles of them, such as ``a+b``. If empty, the dataset's only imported one, or
        the simulated one if none is imported.
    semantics
        Sources of class vectors; without any, those of the features' own model, or ``minilm``.
    family
        A split family; ``None`` for the protocol's usual one (:mod:`zslbench.run.families`).
    train
        The dataset whose classes are trained on; ``None`` for the tested one.
    train_classes
        A text file of the classes of ``train`` to train on, one per line; ``None`` for all.
    without_overlap
        Whether test classes that have the name of a training class are left out; needs ``train``.
    shots
        Labelled videos per class in ``few-shot`` and ``base-to-novel``; ``None`` for 16 (8 of simulated features).
    splits
        ``5``, ``0:10``, ``3,7`` or ``all``; ``None`` for a few, as a first trial.
    texts
        Name of the class texts that methods with the budget ``class-texts`` read.
    attributes
        Name of the attributes that methods with the budget ``attributes`` read; ``None`` derives them from the texts.
    auxiliary
        ``DATASET@FEATURES`` with more training videos; without ``@``, its features of the same name.
    control
        Each cell runs also with its videos changed in each of these ways (:mod:`zslbench.run.controls`).
    calibrate
        Whether ``gzsl`` chooses a calibration factor, for which every method is fitted a second time.
    keep_scores
        ``float32`` or ``float16`` to keep all scores of each cell in that type; ``True`` means ``float32``.
    set
        Method (or method:preset) -> parameter -> value, or several values (:mod:`zslbench.run.variants`).

    Examples
    --------
    >>> experiment = Experiment(method="ridge", dataset=("hmdb51", "ucf101"), splits=5)
    >>> experiment.method, experiment.splits, experiment.protocol
    (('ridge',), '5', ('zsl',))
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: tuple[str, ...]
    dataset: tuple[str, ...]
    features: tuple[str, ...] = ()
    semantics: tuple[str, ...] = ()
    protocol: tuple[Protocol, ...] = ("zsl",)
    family: str | None = None
    train: str | None = None
    train_classes: str | None = None
    without_overlap: bool = False
    shots: int | None = Field(default=None, ge=1)
    splits: str | None = None
    seed: tuple[int, ...] = (0,)
    texts: str | None = None
    attributes: str | None = None
    auxiliary: str | None = None
    control: tuple[Control, ...] = ()
    calibrate: bool = True
    keep_scores: KeptScores | None = None
    set: dict[str, dict[str, Any]] = {}

    @field_validator("method", "dataset", "features", "semantics", "protocol", "control", "seed", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int) else value

    @field_validator("dataset", mode="after")
    @classmethod
    def _as_named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(dataset_name, value))

    @field_validator("train", "auxiliary", mode="after")
    @classmethod
    def _as_named_elsewhere(cls, value: str | None) -> str | None:
        name, at, features = (value or "").partition("@")
        return value and dataset_name(name) + at + features

    @field_validator("keep_scores", mode="before")
    @classmethod
    def _as_type(cls, value: Any) -> Any:
        return {True: "float32", False: None}.get(value, value) if isinstance(value, bool) else value

    @field_validator("splits", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


def read_experiment(path: Path) -> dict[str, Any]:
    """Return the settings of a TOML experiment file.

    Raises
    ------
    ZslbenchError
        The file does not exist, is not TOML, or has unknown keys.
    """
    settings = read_toml(path)
    for key in settings:
        if key not in Experiment.model_fields:
            raise ZslbenchError(f"{path} has an unknown key {key!r}.{suggest(key, Experiment.model_fields)}")
    return settings


def make_experiment(settings: Mapping[str, Any]) -> Experiment:
    """Return a validated experiment.

    Raises
    ------
    ZslbenchError
        A setting is missing or of the wrong type.
    """
    try:
        return Experiment.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        name, *inner = (str(part) for part in first["loc"])
        if first["type"] == "dict_type":
            place = ".".join(["set", *inner])
            raise ZslbenchError(
                f"{place} must be a table of parameters, not {first['input']!r}; write [set.METHOD] and "
                f"PARAMETER = VALUE, or --set METHOD.PARAMETER=VALUE."
            ) from error
        if first["type"] == "literal_error":
            known = re.findall("'(.*?)'", first["ctx"]["expected"])
            hint = suggest(str(first["input"]), known)
            raise ZslbenchError(f"--{name}: {first['input']!r} is not known.{hint}") from error
        raise ZslbenchError(f"--{name}: {first['msg']} (got {first['input']!r}).") from error


def parse_settings(texts: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return method -> parameter -> value from texts such as ``action2vec.epochs=20``; ``null`` becomes ``None``.

    Raises
    ------
    ZslbenchError
        A text has another form, or two texts set the same parameter.
    """
    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        method, dot, parameter = target.rpartition(".")
        if not (equals and dot and method and parameter):
            raise ZslbenchError(f"--set {text!r} is not understood; write METHOD.PARAMETER=VALUE.")
        values = settings.setdefault(method, {})
        if parameter in values:
            raise ZslbenchError(
                f"--set {target} occurs twice; leave one out, or write --set {target}=A,B to run a variant for each."
            )
        values[parameter] = read_value(value)
    return settings


def read_value(text: str) -> Any:
    """Return the value of a JSON text; any other text is a plain word."""
    try:
        return check_depth(json.loads(text))
    except (ValueError, RecursionError):
        return text


def resolve_method(label: str, settings: Mapping[str, Mapping[str, Any]]) -> tuple[type[Method], MethodParams]:
    """Return the method of ``name``, ``name:preset`` or ``name:preset+step``, and its validated parameters.

    Raises
    ------
    ZslbenchError
        The method, the preset or a parameter is unknown (with suggestions), or a value has a wrong type or range.
    """
    name, preset = parse_label(label)
    method = get_method(name)
    if preset and preset not in method.presets:
        raise ZslbenchError(f"{name} has no preset {preset!r}.{suggest(preset, method.presets)}")
    own, *steps = name.split("+")
    values = dict(method.presets[preset]) if preset else {}
    for target in dict.fromkeys((own, name, label)):
        values |= settings.get(target, {})
    for step in map(STEPS.get, steps):
        given = settings.get(step.info.name, {})
        validated(step.Params, given, step.info.name)
        values |= {field_of(step): {**given, **values.get(field_of(step), {})}}
    if "device" in values and "device" not in method.Params.model_fields:
        raise ZslbenchError(
            f"{name} has no parameter 'device': the device is an option of the run; give --device cpu, cuda or mps."
        )
    return method, validated(method.Params, values, name)
