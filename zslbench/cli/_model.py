"""Options that choose a model, trained if it does not exist yet, and the features that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from zslbench.api import simulated
from zslbench.cells.cell import Cell
from zslbench.cells.store import Store
from zslbench.cli._console import DEVICE, RESULTS, add_options, check_device
from zslbench.cli._output import echo
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.embeddings.class_embeddings import EMBEDDING_METHODS, ClassEmbeddings, from_method, from_vectors
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet
from zslbench.method import Report
from zslbench.run.experiment import make_experiment, parse_settings
from zslbench.run.models import SavedModel, find_model, load_model, read_card
from zslbench.run.plan import make_plan
from zslbench.run.sources import named_features
from zslbench.tables.progress import progress

# The options that :func:`chosen_model` and :func:`chosen_inputs` read.
model_options = add_options((
    click.option("--method", help="Method, or METHOD:PRESET; trained and saved unless its model exists."),
    click.option("--dataset", help="Dataset."),
    click.option("--features", help="Feature set. [default: the dataset's only one, or the model's]"),
    click.option("--semantics", default="minilm", help="Class vectors, or NAME:key=value,..."),
    click.option("--family", help="Split family. [default: as in 'zslbench run']"),
    click.option("--split", type=click.IntRange(min=0), default=0, help="Split, from 0."),
    click.option("--seed", type=int, default=0, help="Base seed."),
    click.option(
        "--set", "settings", multiple=True, metavar="METHOD.PARAMETER=VALUE", help="Set a parameter. Repeatable."
    ),
    click.option("--all-classes", is_flag=True, help="Train on every class of the feature set instead of a split."),
    RESULTS,
    DEVICE,
    click.option("--model", metavar="MODEL", help="A saved model instead of --method: its folder, or its id."),
))  # fmt: skip


def chosen_model(options: Mapping[str, Any]) -> SavedModel:
    """Return the model that the options name; with ``--method``, train and save it if it does not exist yet.

    Raises
    ------
    ZslbenchError
        No model or two models are named, the method does not embed videos (checked before training), or training
        failed.
    """
    from zslbench.registry import get_method

    if options["model"]:
        if options["method"]:
            raise ZslbenchError("--model and --method both name a model; leave one of them out.")
        return named_model(options["model"], options["results"])
    cell, store = _cell(options), Store(options["results"])
    if not get_method(cell.method).embeds():
        raise ZslbenchError(f"{cell.method} does not embed videos; {EMBEDDING_METHODS}.")
    store.prepare()
    return told(trained(cell, store, everything=options["all_classes"]))


def trained(cell: Cell, store: Store, *, everything: bool) -> SavedModel:
    """Return the model of a cell, or of all its classes; show progress if it is trained."""
    from zslbench.run.runner import fitted_model

    check_device()
    with progress(f"training {cell.title}{', on all classes' * everything}", "%") as show:
        return fitted_model(cell, store, everything=everything, report=ShownReport(show))


def chosen_inputs(options: Mapping[str, Any]) -> tuple[Dataset, FeatureSet | None]:
    """Return the dataset, and the features if the options name features, a method or a model (by default its own).

    Raises
    ------
    ZslbenchError
        The options name no dataset.
    """
    if options["model"]:
        card = read_card(find_model(Store(options["results"]), options["model"]))
        features = features_for(card.cell, options["dataset"], options["features"])
    elif options["method"]:
        features = features_for(_cell(options), None, None)
    else:
        if not options["dataset"]:
            raise ZslbenchError("name a --dataset ('zslbench datasets' lists them), or a saved model with --model.")
        dataset = get_dataset(options["dataset"])
        return dataset, named_features(dataset, options["features"], simulated) if options["features"] else None
    return features.dataset, features


def chosen_embeddings(
    options: Mapping[str, Any], dataset: Dataset, features: FeatureSet | None
) -> tuple[ClassEmbeddings, str, SavedModel | None]:
    """Return class embeddings of the method or model, else plain class vectors; their source, and the model."""
    if features is None or not (options["method"] or options["model"]):
        return from_vectors(options["semantics"], dataset), options["semantics"], None
    model = chosen_model(options)
    return from_method(model, check_features(model, features)), model.card.cell.semantics, model


def named_model(name: str, results: Path) -> SavedModel:
    """Return the saved model of a folder, or of an id in the results folder."""
    check_device()
    return told(load_model(find_model(Store(results), name)))


def told(model: SavedModel) -> SavedModel:
    """Print the model's title and notices on stderr."""
    echo(f"{model.card.title} ({model.folder})", err=True)
    for notice in model.notices:
        echo(f"note: {notice}", err=True)
    return model


def features_for(cell: Cell, dataset: str | None, name: str | None) -> FeatureSet:
    """Return the named feature set, by default the cell's."""
    return named_features(get_dataset(dataset or cell.dataset), name or cell.features, simulated)


def check_features(model: SavedModel, features: FeatureSet) -> FeatureSet:
    """Return the features after a check that the model can read them; print the notices on stderr."""
    for notice in model.check_features(features.manifest):
        echo(f"note: {notice}", err=True)
    return features


def _cell(options: Mapping[str, Any]) -> Cell:
    for name in ("method", "dataset"):
        if not options[name]:
            raise ZslbenchError(f"name a --{name} ('zslbench {name}s' lists them), or a saved model with --model.")
    names = ("method", "dataset", "features", "semantics", "family", "seed")
    settings = {name: options[name] for name in names if options[name] not in (None, "")}
    split = options["split"]
    grid = settings | {"splits": f"{split}:{split + 1}", "set": parse_settings(options["settings"])}
    cell, *others = make_plan(make_experiment(grid), simulate=simulated, tested=False).cells
    if others:
        raise ZslbenchError(f"--set makes {1 + len(others)} variants of {cell.label}, but this verb takes one model.")
    return cell


class ShownReport(Report):
    """A report that shows its progress in a bar, in per cent."""

    def __init__(self, show: Callable[[int, int], None]) -> None:
        super().__init__()
        self._show = show

    def progress(self, done: float, total: float, what: str = "") -> None:
        self._show(round(100 * done / max(total, 1e-9)), 100)
