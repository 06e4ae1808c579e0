"""Use zslbench from Python: ``import zslbench as zb``, then ``zb.run(...)``, ``zb.load(...)``, ``zb.results(...)``.

The command line is a layer over the same functions, so that both make the same cells and read the same folders.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

from zslbench.cells.cell import Cell, Control, KeptScores, State
from zslbench.cells.store import Store
from zslbench.compute import RunDevice, computing_on, current_offer
from zslbench.datasets.catalog import dataset_names, get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.features.feature_set import SIMULATED, FeatureSet
from zslbench.method import Method
from zslbench.protocols.protocol import Protocol
from zslbench.registry import METHODS, get_method
from zslbench.run.engine import CellError
from zslbench.run.execution import Execution, Rerun, announcements, cells_to_run, check_execution, prepared
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import Plan, make_plan
from zslbench.run.queue import CellQueue
from zslbench.run.sources import imported_features, named_features
from zslbench.run.watcher import RunWatcher
from zslbench.stored import RESULTS_FOLDER, Results
from zslbench.tables.progress import progress as shown_progress
from zslbench.tables.progress import tell

__all__ = ["Results", "datasets", "load", "results", "run"]

MethodLike: TypeAlias = str | type[Method] | Method
Names: TypeAlias = str | Sequence[str]
_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


def datasets() -> Mapping[str, Dataset]:
    """Return name -> dataset of all datasets: those of packages, and your own.

    Examples
    --------
    >>> import zslbench as zb
    >>> "ucf101" in zb.datasets(), len(zb.datasets()["ucf101"].classes)
    (True, 101)
    """
    return _Datasets()


class _Datasets(Mapping[str, Dataset]):
    """The datasets by name; each is read when it is looked up."""

    def __getitem__(self, name: str) -> Dataset:
        try:
            return get_dataset(name)
        except NotFoundError as error:
            raise KeyError(str(error)) from error

    def __iter__(self) -> Iterator[str]:
        return iter(dataset_names())

    def __len__(self) -> int:
        return len(dataset_names())

    def __repr__(self) -> str:
        return f"<datasets {', '.join(self)}>"


def load(dataset: str | Dataset, features: str | None = None, *, progress: bool = True) -> FeatureSet:
    """Return a feature set, memory-mapped; without a name, the dataset's only imported one.

    Parameters
    ----------
    features
        Its name; ``simulated`` for simulated features, which are made if they do not exist yet.
    progress
        Whether to show the progress if simulated features are made.

    Raises
    ------
    NotFoundError
        There is no such dataset or feature set.
    ZslbenchError
        No name was given, and the dataset has several feature sets.

    Examples
    --------
    >>> import zslbench as zb
    >>> videos = zb.load("hmdb51", "simulated", progress=False)
    >>> videos.title, len(videos.covered)
    ('hmdb51@simulated', 51)
    """
    found = get_dataset(dataset) if isinstance(dataset, str) else dataset
    names = [features] if features else imported_features(found)
    if not names:
        raise NotFoundError(
            f"{found.name} has no feature set; import one with 'zslbench features import {found.name} NAME --features "
            f"FILE --videos VIDEOS.csv', or load simulated ones: load({found.name!r}, {SIMULATED!r})."
        )
    if len(names) > 1:
        raise ZslbenchError(f"{found.name} has several feature sets; name one of {', '.join(names)}.")
    return named_features(found, names[0], lambda dataset: simulated(dataset, shown=progress))


def simulated(dataset: Dataset, *, shown: bool = True) -> FeatureSet:
    """Return the simulated features of a dataset; show progress if they are made."""
    from zslbench.features.simulated import simulate

    with shown_progress(f"simulating features of {dataset.display_name} (once)", "classes", shown=shown) as show:
        return simulate(dataset, progress=show)


def results(folder: str | PathLike[str] = RESULTS_FOLDER) -> Results:
    """Open a results folder, or a bundle ``FILE.zip``, which is verified first.

    Examples
    --------
    >>> import zslbench as zb
    >>> Store(Path("runs")).prepare()
    >>> len(zb.results("runs").cells)
    0
    """
    return Results(folder)


def _says_arguments(function: Callable[_Given, _Found]) -> Callable[_Given, _Found]:
    """Return a function whose errors name its arguments, not the options of the command line: ``splits=``."""
    # One message serves both callers: the options are rewritten where the caller is a program.
    names = {name.replace("_", "-"): name for name in inspect.signature(function).parameters}
    names |= {"seed": "seeds", "method": "methods"}
    del names["set"]  # its value is another one here: a mapping
    option = re.compile(rf"--({'|'.join(names)})(?![\w-])(:?)")

    @functools.wraps(function)
    def called(*args: _Given.args, **given: _Given.kwargs) -> _Found:
        try:
            return function(*args, **given)
        except ZslbenchError as error:
            error.args = (option.sub(lambda found: names[found[1]] + (found[2] or "="), str(error)), *error.args[1:])
            raise

    return called


@_says_arguments
def run(
    methods: MethodLike | Sequence[MethodLike],
    dataset: str | Dataset | Sequence[str],
    features: str | FeatureSet | Sequence[str] | None = None,
    *,
    semantics: Names = (),
    protocol: Protocol | Sequence[Protocol] = "zsl",
    family: str | None = None,
    train: str | None = None,
    train_classes: str | None = None,
    without_overlap: bool = False,
    shots: int | None = None,
    splits: int | str | None = None,
    seeds: int | Sequence[int] = (0,),
    texts: str | None = None,
    attributes: str | None = None,
    auxiliary: str | None = None,
    control: Control | Sequence[Control] = (),
    calibrate: bool = True,
    keep_scores: bool | KeptScores = False,
    set: Mapping[str, Mapping[str, Any]] | None = None,
    results: str | PathLike[str] = RESULTS_FOLDER,
    rerun: Rerun = "missing",
    save_model: bool = False,
    errors: Literal["keep", "raise"] = "keep",
    progress: bool = True,
    device: RunDevice = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    timeout: float | None = None,
    memory_limit: str | None = None,
    track: bool = False,
    tracking_uri: str | None = None,
) -> Results:
    """Run methods on feature sets, keep every result, and return the results of these cells.

    As ``zslbench run`` does, only missing cells run, and a method that fails does not stop the others.

    Parameters
    ----------
    methods
        Names as on the command line (``"ridge"``, ``"action2vec:paper"``, ``"ridge+nrm"``), classes, or instances,
        whose parameters are taken. A class without a package is a local method: it runs in this process, and its rows
        are marked ``[local]``.
    dataset, features
        Names, or a dataset and a feature set themselves. Without features, the dataset's only imported set, or the
        simulated one if it has none.
    semantics, protocol, family, train, train_classes, without_overlap, shots, texts, attributes, auxiliary, control, \
calibrate, keep_scores, set
        The settings of :class:`zslbench.run.experiment.Experiment`.
    splits
        ``5`` (the first five), ``"0:10"``, ``"3,7"`` or ``"all"``; ``None`` for a few, as a first trial.
    seeds
        Base seeds.
    results
        The results folder.
    rerun
        Which cells to run: ``never`` (none), ``missing`` (those without a result), ``failed``, or ``all``. Cells of a
        class that was defined in a notebook or script always count as missing.
    save_model
        Whether to save the model of each cell.
    errors
        ``keep`` stores a failure as a result; ``raise`` also raises what the first failing method raised. The cells
        then run in this process.
    progress
        Whether to show bars (on a terminal or in a notebook), notes and failures.
    device
        Where methods compute with torch.
    workers, scheduler
        Run cells on that many local processes, or on those of a Dask scheduler.
    timeout, memory_limit
        Seconds per cell, and memory of its process, as in ``"4GiB"``.
    track, tracking_uri
        Whether to copy results into MLflow, and its server; by default ``mlflow.db`` in the results folder.

    Raises
    ------
    ZslbenchError
        A setting or an input is unknown, missing or does not match the others; nothing has run then.

    Examples
    --------
    >>> import zslbench as zb
    >>> found = zb.run(["ridge", "random"], "hmdb51", "simulated", splits=1, results="runs", progress=False)
    >>> found.leaderboard()["method"].tolist()
    ['ridge [simulated]', 'random [simulated]']
    """
    if errors not in ("keep", "raise"):
        raise ZslbenchError(f"errors={errors!r} is unknown; give 'keep' or 'raise'.")
    if rerun not in ("never", "missing", "failed", "all"):
        raise ZslbenchError(f"rerun={rerun!r} is unknown; give 'never', 'missing', 'failed' or 'all'.")
    chosen = _Chosen.of([methods] if isinstance(methods, str | type | Method) else methods)
    settings: dict[str, Any] = {
        "dataset": dataset.name if isinstance(dataset, Dataset) else dataset,
        "features": features.manifest.name if isinstance(features, FeatureSet) else features or (),
        "semantics": semantics, "protocol": protocol, "family": family, "train": train, "train_classes": train_classes,
        "without_overlap": without_overlap, "shots": shots, "splits": splits, "seed": seeds, "texts": texts,
        "attributes": attributes, "auxiliary": auxiliary, "control": control, "calibrate": calibrate,
        "keep_scores": keep_scores,
    }  # fmt: skip
    execution = Execution(
        workers=workers, scheduler=scheduler, timeout=timeout, memory_limit=memory_limit, track=track,
        tracking_uri=tracking_uri, stops=errors == "raise",
    )  # fmt: skip
    failed: BaseException | None = None
    with METHODS.offering(chosen.local), computing_on(device):
        if missing := current_offer().missing:
            raise ZslbenchError(missing)
        plan, kept = chosen.plan(settings, set or {}, shown=progress)
        check_execution(plan.cells, execution)
        store = Store(Path(results), keep_models=save_model, keep_scores=kept)
        store.prepare()
        todo = cells_to_run(plan.cells, store, rerun)
        for line in announcements(plan, todo) if progress else ():
            tell(line)
        try:
            run_cells(plan, todo, execution, shown=progress)
        except CellError as stopped:
            failed = stopped.error
    if failed is not None:
        raise failed  # outside the block above, so that nothing is added to the method's own exception
    return Results(store.root, cells=plan.cells)


@dataclass(frozen=True)
class _Chosen:
    """The methods of a run: labels, labels with the parameters of an instance, and classes without a package."""

    labels: list[str]
    instances: list[tuple[str, dict[str, Any]]]
    local: dict[str, type[Method]]

    @classmethod
    def of(cls, methods: Sequence[MethodLike]) -> _Chosen:
        chosen = cls([], [], {})
        for each in methods:
            if isinstance(each, str):
                chosen.labels.append(each)
            elif isinstance(each, Method):
                chosen.instances.append((chosen._named(type(each)), each.params.model_dump(mode="json")))
            elif isinstance(each, type) and issubclass(each, Method):
                chosen.labels.append(chosen._named(each))
            else:
                raise ZslbenchError(
                    f"{each!r} is no method; give a name, such as 'ridge', or a subclass of zslbench.Method or an "
                    f"instance of one."
                )
        return chosen

    def _named(self, method: type[Method]) -> str:
        """Return the name of a class; it is local unless it is the class that is installed under that name."""
        if not hasattr(method, "info"):
            raise ZslbenchError(f"{method.__name__} has no `info = MethodInfo(...)`; add it, with the method's name.")
        name = method.info.name
        try:
            if get_method(name) is method:
                return name
        except ZslbenchError:
            pass
        if self.local.setdefault(name, method) is not method:
            raise ZslbenchError(f"two of the classes are called {name!r} in their info; give one another name.")
        return name

    def plan(
        self, settings: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]], *, shown: bool
    ) -> tuple[Plan, KeptScores | None]:
        """Return the cells of all methods, the splits outermost, and the type of the scores to keep."""
        wanted = [(tuple(self.labels), values)] if self.labels or not self.instances else []
        if values and not wanted:
            raise ZslbenchError("an instance has its parameters already; leave out set, or give the class.")
        wanted += [((name,), {name: params}) for name, params in self.instances]
        found = Plan()
        for labels, given in wanted:
            if not labels:
                raise ZslbenchError("methods is empty; name at least one method.")
            experiment = make_experiment({**settings, "method": labels, "set": {k: dict(v) for k, v in given.items()}})
            part = make_plan(experiment, simulate=lambda dataset: simulated(dataset, shown=shown))
            found.cells += part.cells
            found.notices += part.notices
            found.simulated |= part.simulated
        distinct: dict[str, Cell] = {}
        for cell in sorted(found.cells, key=lambda cell: cell.split):
            distinct.setdefault(cell.id, cell)
        found.cells = list(distinct.values())
        return found, experiment.keep_scores


def run_cells(plan: Plan, queue: CellQueue, execution: Execution, *, shown: bool = True) -> int:
    """Run the cells that wait, and return how many failed; copy what MLflow lacks of the plan.

    Raises
    ------
    CellError
        A cell failed, and the run stops at failures.
    """
    from zslbench.tracking.projection import projection

    def say(line: str) -> None:
        if shown:
            tell(line)

    total, store = len(queue), queue.store
    with (
        prepared(queue, execution) as engine,
        projection(plan.cells, queue, execution.tracking_uri, wanted=execution.track, say=say) as project,
    ):
        watcher = RunWatcher(total, store, project, shown=shown)
        try:
            with watcher:
                engine(watcher)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(
                f"{len(watcher.results)} of {total} cells are kept in {store.root}; give the same command again to "
                "continue."
            ) from error
    if watcher.others:
        say(f"{watcher.others} of {total} cells were computed by another run.")
    failed = [cell for cell, result in watcher.results if result.state is not State.DONE]
    kept = [cell for cell in failed if store.state(cell.id) is State.DONE]
    lost = [cell for cell in failed if cell not in kept]
    if kept:
        reasons = _reasons(store, kept)
        say(f"{len(kept)} of {total} cells failed now and keep the figures that they had (reasons: {reasons}).")
    if lost:
        reasons = _reasons(store, lost)
        say(f"{len(lost)} of {total} cells have no figures (reasons: {reasons}); the same command runs them again.")
    return len(failed)


def _reasons(store: Store, failed: Sequence[Cell]) -> str:
    more = f" and of {len(failed) - 1} more" if len(failed) > 1 else ""
    return f"{store.error_path(failed[0].id)}{more}"
