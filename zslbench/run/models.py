"""Save and load models: the state of a method as safetensors, and a card with its provenance.

``<results>/models/<id>/`` contains ``model.safetensors`` (the method's state, and the class vectors of its split) and
``model.json`` (the card). Pickle is never used, because loading it could run code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.cells.cell import Cell
from zslbench.cells.source import source_digest
from zslbench.cells.store import MODEL_CARD, Store
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.digests import digest, file_sha256
from zslbench.errors import NotFoundError, ZslbenchError, problem
from zslbench.features.feature_set import Manifest
from zslbench.features.transforms import Projection
from zslbench.files import new_directory, read_json, reading
from zslbench.method import Classes, Method
from zslbench.registry import get_method
from zslbench.run.inputs import cached_features, describe_classes, seen_features
from zslbench.semantics.class_vectors import open_semantics, text_vectors
from zslbench.version import __version__

_SCHEMA_VERSION = 1
CARD, ARRAYS = MODEL_CARD, "model.safetensors"
_STATE, _PCA, _CLASSES = "state/", "pca/", "classes"


class TrainedOn(BaseModel):
    """The feature set that a model was trained on; other features must have ``dim`` values, before its PCA, too.

    Examples
    --------
    >>> TrainedOn(title="ucf101@c3d", kind="pooled", dim=4096, extractor="c3d-fc6", trained_on=("sports1m",)).dim
    4096
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    kind: Literal["pooled", "sequences"]
    dim: int
    extractor: str
    trained_on: tuple[str, ...]


class ModelCard(BaseModel):
    """The provenance of a model.

    Attributes
    ----------
    cell
        The cell of the model: method, parameters, class vectors, split, and all their digests.
    all_classes
        Whether it was trained on every class of the feature set instead of the seen classes of the cell's split.
    seed
        The method's seed, derived from the cell's.
    seen, unseen
        The classes that it was trained on, under the names that the method was given, and those that the cell tests on.
    trains
        Whether it learnt anything from the seen classes. ``nearest-text`` does not.
    fortran
        Names of the state's arrays in column order. The order is kept, because the last bits of products depend on it.
    digests
        File -> SHA-256.

    Examples
    --------
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.run.experiment import make_experiment
    >>> from zslbench.run.plan import make_plan
    >>> experiment = make_experiment({"method": "ridge", "dataset": "hmdb51", "splits": "1"})
    >>> (cell,) = make_plan(experiment, simulate=lambda dataset: simulate(dataset, videos_per_class=3)).cells
    >>> features = TrainedOn(title="hmdb51@simulated", kind="sequences", dim=128, extractor="x", trained_on=())
    >>> ModelCard(cell=cell, seed=1, seen=("run",), unseen=("wave",), features=features).title
    'ridge trained on hmdb51@simulated, xu-50/50 #0 [simulated]'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = _SCHEMA_VERSION
    cell: Cell
    all_classes: bool = False
    seed: int
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    trains: bool = True
    features: TrainedOn
    zslbench: str = __version__
    fortran: tuple[str, ...] = ()
    digests: dict[str, str] = {}

    @property
    def id(self) -> str:
        """The cell's id, or :func:`all_classes_id` of the cell."""
        return all_classes_id(self.cell) if self.all_classes else self.cell.id

    @property
    def seen_dataset(self) -> str:
        """The dataset of the seen classes."""
        return self.cell.dataset if self.all_classes else self.cell.seen_dataset or self.cell.dataset

    @property
    def trained(self) -> tuple[str, ...]:
        """The classes that it was trained on, under their names in :attr:`seen_dataset`; none if it does not train."""
        mark = f" ({self.seen_dataset})"  # gzsl across datasets calls them archery (kinetics400)
        return tuple(name.removesuffix(mark) for name in self.seen) if self.trains else ()

    @property
    def title(self) -> str:
        """One line: ``action2vec trained on ucf101@vgg16, xu-50/50 #0``."""
        where = f"all {len(self.seen)} classes" if self.all_classes else f"{self.cell.family} #{self.cell.split}"
        where += " [simulated]" if self.cell.simulated else ""
        auxiliary = f" with {self.cell.auxiliary.title}" if self.cell.auxiliary else ""
        done = "trained" if self.trains else "(not trained)"
        return f"{self.cell.label}{self.cell.control_mark} {done} on {self.features.title}{auxiliary}, {where}"


@dataclass(frozen=True)
class SavedModel:
    """A fitted method that can score videos.

    Attributes
    ----------
    classes
        The seen classes of :attr:`card`, then the unseen ones, with their class vectors from training.
    notices
        Notes for the user, such as that the method's code has changed.
    projection
        The PCA of its features, which is also applied to the features that it is given.

    Examples
    --------
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.run.experiment import make_experiment
    >>> from zslbench.run.plan import make_plan
    >>> from zslbench.run.runner import fitted_model
    >>> experiment = make_experiment({"method": "ridge", "dataset": "hmdb51", "splits": "1"})
    >>> (cell,) = make_plan(experiment, simulate=lambda dataset: simulate(dataset, videos_per_class=3)).cells
    >>> model = fitted_model(cell, Store(Path("runs")))
    >>> model.classes_of(["Brush Hair", "juggling balls"]).names
    ('brush_hair', 'juggling balls')
    """

    card: ModelCard
    method: Method
    folder: Path
    classes: Classes
    notices: tuple[str, ...] = ()
    projection: Projection | None = None

    def check_features(self, manifest: Manifest) -> list[str]:
        """Return notes for the user about features for the model.

        Raises
        ------
        ZslbenchError
            Their dimension is not that of the training features.
        """
        ours, title = self.card.features, f"{manifest.dataset}@{manifest.name}"
        dim = manifest.input_dim if self.projection else manifest.dim
        if dim != ours.dim:
            raise ZslbenchError(
                f"{title} has {dim} values per frame, but the model was trained on {ours.dim} of "
                f"{ours.extractor} ({ours.title}); use features of that extractor."
            )
        told = []
        if manifest.extractor != ours.extractor:
            told.append(f"{title} is from {manifest.extractor!r}, but the model was trained on {ours.extractor!r}.")
        if manifest.kind != ours.kind and self.method.info.wants == "sequences":
            told.append(f"{title} is {manifest.kind}, but the model was trained on {ours.kind}.")
        return told

    def classes_of(self, names: Sequence[str] | None = None, dataset: Dataset | None = None) -> Classes:
        """Return any classes, with vectors from the model's source.

        Parameters
        ----------
        names
            Names of classes of the model's split or of ``dataset`` (case and spaces do not matter), or any words. By
            default all classes of ``dataset``, or the trained ones if the method scores no others.
        dataset
            The dataset of the names; by default the model's.

        Raises
        ------
        ZslbenchError
            There is no name, the method cannot score one, or the source has no vector for one (see
            :func:`zslbench.semantics.class_vectors.text_vectors`).
        """
        dataset = dataset or get_dataset(self.card.cell.dataset)
        only_trained = self.method.info.scores == "trained"
        if names is None:
            names = self.card.seen if only_trained else dataset.classes
        spec, known = self.card.cell.semantics, dict(zip(self.classes.names, self.classes.vectors, strict=True))
        wanted = list(dict.fromkeys(name if name in known else dataset.find_class(name) or name for name in names))
        if not wanted:
            raise ZslbenchError("no class is named; name at least one, such as 'playing violin'.")
        missing = [name for name in wanted if name not in known]
        if only_trained and missing:
            raise ZslbenchError(
                f"{self.method.info.name} scores only the {len(known)} classes that it was trained on, and "
                f"{missing[0]!r} is none of them; name some of these, or use a model of ridge, which scores any class."
            )
        own = [name for name in missing if name in dataset.label_of]
        words = [name for name in missing if name not in dataset.label_of]
        if own:
            known |= dict(zip(own, open_semantics(spec, dataset, own).vectors, strict=True))
        if words:
            known |= dict(zip(words, text_vectors(spec, dataset, words), strict=True))
        found = describe_classes(self.card.cell, dataset.name, wanted, np.stack([known[name] for name in wanted]))
        same = dataset.name == self.card.seen_dataset
        given = dict(zip(self.card.trained, self.card.seen, strict=False)) if same else {}  # as it knows its classes
        return replace(found, names=tuple(given.get(name, name) for name in found.names))


def all_classes_id(cell: Cell) -> str:
    """Return the id of the model that a cell's method learns from every class of its feature set."""
    return digest([cell.id, "all classes"])


def describe(
    cell: Cell, method: Method, seen: Classes, unseen: Classes | None = None
) -> tuple[ModelCard, NDArray[np.float32]]:
    """Return the card of a method that was fitted for a cell, and the vectors of its seen and unseen classes.

    Without ``unseen``, the model is that of all classes.
    """
    whole = unseen is None  # trained on every class of the feature set
    features = cached_features(cell.dataset, cell.features, cell.features_digest) if whole else seen_features(cell)
    if features is None:
        raise ZslbenchError(f"{cell.label} was not trained, so there is no model of it; leave out --save-model.")
    manifest = features.manifest
    kept = manifest.model_dump(include={"kind", "extractor", "trained_on"})
    trained_on = TrainedOn(title=features.title, dim=manifest.input_dim, **kept)
    card = ModelCard(
        cell=cell, all_classes=whole, seed=method.seed, seen=seen.names, unseen=() if unseen is None else unseen.names,
        trains=method.trains, features=trained_on,
    )  # fmt: skip
    return card, seen.vectors if unseen is None else np.concatenate([seen.vectors, unseen.vectors])


def save_model(
    folder: Path, method: Method, card: ModelCard, vectors: NDArray[np.float32], projection: Projection | None = None
) -> SavedModel:
    """Write a fitted method's folder, completely or not at all; replace an earlier one.

    Parameters
    ----------
    vectors
        (n_seen + n_unseen, d), the class vectors of the card's seen and unseen classes.
    projection
        The PCA of the features, if the feature set is derived.

    Raises
    ------
    NotImplementedError
        The method defines no state, or the state of this fit is not arrays.
    TypeError
        Its state is not a mapping of names to arrays of numbers.
    """
    from safetensors.numpy import save_file

    state = _checked(method)
    fortran = tuple(name for name, array in state.items() if array.flags.f_contiguous and not array.flags.c_contiguous)
    # safetensors stores row order only; the transpose of an array in column order is in row order.
    arrays = {_STATE + name: array.T if name in fortran else array for name, array in state.items()}
    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    arrays |= {_PCA + name: array for name, array in projection.arrays().items()} if projection else {}
    with new_directory(folder, replace=True) as work:
        save_file(arrays | {_CLASSES: np.ascontiguousarray(vectors)}, work / ARRAYS)
        card = card.model_copy(update={"fortran": fortran, "digests": {ARRAYS: file_sha256(work / ARRAYS)}})
        (work / CARD).write_text(card.model_dump_json(indent=1), encoding="utf-8")
    return SavedModel(card, method, folder, Classes(card.seen + card.unseen, vectors), projection=projection)


def _checked(method: Method) -> dict[str, NDArray[Any]]:
    state = method.state()
    name = method.info.name
    if not isinstance(state, Mapping):
        raise TypeError(f"state() of {name} returned {type(state).__name__}; return a mapping of names to arrays")
    for key, array in state.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"state()[{key!r}] of {name} is {kind}; it must be a numpy array of numbers")
    return dict(state)


def load_model(folder: Path) -> SavedModel:
    """Load a saved model, ready to score, without executing anything from its folder.

    Raises
    ------
    NotFoundError
        There is no model, or its method is not installed.
    ZslbenchError
        It is damaged, has another format, or the method cannot restore it.
    """
    card = read_card(folder)
    arrays = _read_arrays(folder, card)
    try:
        method_class = get_method(card.cell.method)
    except NotFoundError as error:
        then = "Make a package of it, and train it again" if card.cell.local else "Install its package"
        raise NotFoundError(f"the model {folder} needs its method: {error} {then}.") from error
    state = {name.removeprefix(_STATE): array for name, array in arrays.items() if name.startswith(_STATE)}
    # order="K" keeps the column order of transposed arrays.
    state = {name: np.array(array.T if name in card.fortran else array, order="K") for name, array in state.items()}
    try:
        # Before --device, "device" was a parameter of trained methods.
        former = {"device"} - method_class.Params.model_fields.keys()
        params = {name: value for name, value in card.cell.params.items() if name not in former}
        method = method_class(params, seed=card.seed)
        method.restore(state)
    except (NotImplementedError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ZslbenchError(
            f"the installed {card.cell.method} cannot restore the model {folder} ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''}); train it again, or install "
            f"the version that saved it."
        ) from error
    changed = source_digest(method_class) != card.cell.method_digest
    notice = f"the code of {card.cell.method} changed after {folder.name[:12]} was trained, so figures may differ."
    classes = Classes(card.seen + card.unseen, np.array(arrays[_CLASSES]))
    pca = {name.removeprefix(_PCA): array for name, array in arrays.items() if name.startswith(_PCA)}
    return SavedModel(card, method, folder, classes, (notice,) if changed else (), Projection(**pca) if pca else None)


def read_card(folder: Path) -> ModelCard:
    """Return the card of a saved model (see :func:`load_model` for what it raises)."""
    try:
        record = read_json(folder / CARD)
        version = record["schema_version"]
    except NotFoundError as error:
        raise NotFoundError(f"{folder} has no saved model; 'zslbench run --save-model' saves one per cell.") from error
    except (ZslbenchError, KeyError, TypeError) as error:
        raise _damaged(folder, f"{CARD} cannot be read") from error
    if version != _SCHEMA_VERSION:
        raise ZslbenchError(
            f"{folder} has format {version}, but this zslbench ({__version__}) reads {_SCHEMA_VERSION}; "
            f"install the zslbench that wrote it, or train it again."
        )
    try:
        return ModelCard.model_validate(record)
    except ValidationError as error:
        raise _damaged(folder, f"{CARD}: {problem(error, 'all')}") from error


def check_model(folder: Path) -> None:
    """Check all files of a saved model, without its method (see :func:`load_model` for what it raises)."""
    _read_arrays(folder, read_card(folder))


def _read_arrays(folder: Path, card: ModelCard) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load_file

    path = folder / ARRAYS
    if not path.is_file():
        raise _damaged(folder, f"{ARRAYS} is missing")
    if file_sha256(path) != card.digests.get(ARRAYS):
        raise _damaged(folder, f"{ARRAYS} does not match its checksum")
    with reading(path, f"delete the folder {folder} and train the model again"):
        arrays: dict[str, NDArray[Any]] = load_file(path)
    if len(arrays.get(_CLASSES, ())) != len(card.seen) + len(card.unseen):
        raise _damaged(folder, "the numbers of class vectors and classes differ")
    return arrays


def _damaged(folder: Path, reason: str) -> ZslbenchError:
    return ZslbenchError(f"the model {folder} is damaged: {reason}; delete the folder and train it again.")


def find_model(store: Store, name: str) -> Path:
    """Return the folder of a model that is named by its folder, its cell's id or the beginning of the id.

    Raises
    ------
    NotFoundError
        No model matches, or several do.
    """
    if (Path(name) / CARD).is_file():
        return Path(name)
    found = sorted(path.parent for path in store.models.glob(f"[!.]*/{CARD}") if path.parent.name.startswith(name))
    found = found if name else []
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFoundError(f"{len(found)} models in {store.models} begin with {name!r}; give more of the id.")
    raise NotFoundError(
        f"{name!r} is neither a folder of a saved model nor the beginning of an id in {store.models}; "
        f"'zslbench run --save-model' saves models."
    )
