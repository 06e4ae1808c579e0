"""Run one cell and store it, however it ends. All engines share this."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import platform
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zslbench.cells.cell import Cell, Failure, Result, State
from zslbench.cells.checked import read_checked
from zslbench.cells.store import NO_MODEL, NO_MODEL_SAYS, Store
from zslbench.compute import computing_on, current_offer
from zslbench.errors import ZslbenchError
from zslbench.method import Report
from zslbench.registry import installed_method
from zslbench.run.ensemble import why_no_model
from zslbench.run.evaluate import Outcome, evaluate, fit_on_all_classes
from zslbench.run.models import SavedModel, all_classes_id, describe, load_model, save_model
from zslbench.version import __version__

_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "pandas", "pyarrow", "gensim", "mlflow", "distributed")
_SAMPLE_SECONDS = 0.05
_LONGEST = 10_000  # characters of a text that a method makes


def run_cell(
    cell: Cell, store: Store, report: Report, *, stoppable: bool = True,
    on_error: Callable[[BaseException], object] = lambda error: None,
) -> Result:  # fmt: skip
    """Evaluate a cell in this process, and write its directory; whatever the method raises becomes a failed result.

    Parameters
    ----------
    on_error
        Called with what the method raised, before the cell is stored.
    stoppable
        Whether Ctrl-C reaches this process. If not, only the method itself can raise KeyboardInterrupt.
    """
    started = time.time()
    predictions = scores = None
    training: tuple[tuple[str, str], ...] = ()
    with _captured_log() as log, PeakMemory() as memory, computing_on(current_offer().wanted) as offer:
        logging.getLogger("zslbench").info("%s", cell.title)
        try:
            outcome = evaluate(cell, report)
            result, predictions, training = outcome.result, outcome.predictions, outcome.training
            scores = outcome.scores if store.keep_scores else None
            if store.keep_models:
                result = _keep_model(cell, outcome, store)
        except BaseException as error:  # SystemExit, or a class of the method's own, must not end the run either
            if stoppable and isinstance(error, KeyboardInterrupt):
                raise
            on_error(error)
            result = _failed(error, report, started, _place(error, cell))
    verdict = read_checked(cell.method_digest)
    known = {"peak_mb": memory.peak_mb, "checked": verdict and verdict.model_dump(mode="json")}
    result = result.model_copy(update=_storable(result) | known)
    store.write(
        cell, result, environment=environment() | {"device": offer.name}, log=log.getvalue(), predictions=predictions,
        scores=scores, training=training,
    )  # fmt: skip
    return result


def fitted_model(cell: Cell, store: Store, *, everything: bool = False, report: Report | None = None) -> SavedModel:
    """Return the saved model of a cell; if there is none, run the cell and save its model.

    Of several commands that ask for one model, one trains it and the others wait.

    Parameters
    ----------
    everything
        Whether to train on all videos of every class of the feature set; such a model has its own id.
    report
        Receiver of the progress.

    Raises
    ------
    ZslbenchError
        The cell failed, its features are an ensemble, or its method cannot be saved.
    """
    if why := why_no_model(cell):
        raise ZslbenchError(f"{why}.")
    model_id = all_classes_id(cell) if everything else cell.id
    if not store.has_model(model_id):
        store.locks.mkdir(parents=True, exist_ok=True)
        with store.lock(model_id):
            if not store.has_model(model_id):  # another command has not trained it meanwhile
                (_fit_on_all if everything else _fit)(cell, store, report or Report())
    return load_model(store.model_path(model_id))


def _fit_on_all(cell: Cell, store: Store, report: Report) -> None:
    method, classes, projection = fit_on_all_classes(cell, report)
    try:
        save_model(store.model_path(all_classes_id(cell)), method, *describe(cell, method, classes), projection)
    except NotImplementedError as error:
        raise ZslbenchError(f"{error}; choose another method.") from error


def _fit(cell: Cell, store: Store, report: Report) -> None:
    result = run_cell(cell, Store(store.root, keep_models=True), report)
    if result.state is not State.DONE:
        reason = result.failure.message.splitlines()[0] if result.failure and result.failure.message else ""
        where = store.error_path(cell.id)
        raise ZslbenchError(f"{cell.title} {result.state.value}: {reason}; the full error is in {where}.")
    if not store.has_model(cell.id):
        raise ZslbenchError(f"{cell.title}: {result.warnings[-1]}; choose another method.")


def _keep_model(cell: Cell, outcome: Outcome, store: Store) -> Result:
    """Save the model and return the result; if saving fails, add a warning and keep the result."""
    result = outcome.result
    notes: dict[str, float | str] = {}
    try:
        if why := why_no_model(cell):
            raise NotImplementedError(why)
        card, vectors = describe(cell, outcome.method, outcome.seen, outcome.unseen)
        save_model(store.model_path(cell.id), outcome.method, card, vectors, outcome.projection)
        return result
    except NotImplementedError as error:
        notes[NO_MODEL] = reason = str(error)
    except Exception as error:
        logging.getLogger("zslbench").exception("no model is kept")
        reason = f"{type(error).__name__}: {error}"
    warnings = [*result.warnings, f"{NO_MODEL_SAYS}: {reason}"]
    return result.model_copy(update={"warnings": warnings, "notes": result.notes | notes})


def _place(error: BaseException, cell: Cell) -> str:
    """Return file, line and function of the innermost frame in the method's own packages; empty if there is none."""
    method = installed_method(cell.method)
    classes = (*method.__mro__, *method.parts) if method else ()
    packages = {each.__module__.partition(".")[0] for each in classes} - {"zslbench", "builtins", "abc"}
    frames = [
        (frame.f_code, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] in packages
    ]
    return storable_text("{0.co_filename}:{1}, in {0.co_name}".format(*frames[-1])) if frames else ""


def _failed(error: BaseException, report: Report, started: float, where: str) -> Result:
    try:
        message = str(error)
    except BaseException as worse:
        message = f"its message cannot be read: str() raised {type(worse).__name__}"
    return Result(
        state=State.OUT_OF_MEMORY if isinstance(error, MemoryError) else State.FAILED,
        started=started,
        finished=time.time(),
        failure=Failure(
            type=storable_text(type(error).__name__),
            message=storable_text(message),
            traceback=storable_text("".join(traceback.format_exception(error)), most=10 * _LONGEST),
            where=where,
        ),
        **_storable(report),
    )


def storable_text(text: str, most: int = _LONGEST) -> str:
    """Return a method's text as files and databases can hold it: no lone surrogates, no NUL, and not endless."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} [... {len(text) - 2 * half:,} characters] {text[-half:]}"


def _storable(said: Report | Result) -> dict[str, Any]:
    return {
        "epochs": [{storable_text(name): value for name, value in epoch.items()} for epoch in said.epochs],
        "warnings": [storable_text(sentence) for sentence in said.warnings],
        "notes": {
            storable_text(name): storable_text(value) if isinstance(value, str) else value
            for name, value in said.notes.items()
        },
    }


@contextlib.contextmanager
def _captured_log() -> Iterator[io.StringIO]:
    text = io.StringIO()
    logging.getLogger("zslbench").setLevel(logging.INFO)
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()  # so that messages of libraries are kept too
    root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield text
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)


class PeakMemory:
    """The greatest resident memory of this process inside a ``with`` block, sampled 20 times per second.

    Parameters
    ----------
    tell
        Called with each new greatest value, in bytes, from the sampling thread.

    Examples
    --------
    >>> with PeakMemory() as memory:
    ...     block = bytearray(1 << 20)
    >>> memory.peak_mb > 1
    True
    """

    def __init__(self, tell: Callable[[int], None] = lambda rss: None) -> None:
        self._tell = tell

    def __enter__(self) -> PeakMemory:
        import psutil

        self._process = psutil.Process()
        self._stop = threading.Event()
        self._peak = 0
        self._sample()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _sample(self) -> None:
        rss = self._process.memory_info().rss
        if rss > self._peak:
            self._peak = rss
            self._tell(rss)

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self._sample()

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    @property
    def peak_mb(self) -> float:
        """The greatest value so far, in MiB."""
        return self._peak / 2**20


@cache
def environment() -> dict[str, Any]:
    """Return versions, git commit and hardware, which each cell records."""
    return {
        "zslbench": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "git": _git(),
        "command": sys.argv,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _git() -> dict[str, Any] | None:
    """Return the commit of the running source, if it is a checkout."""
    here = Path(__file__).parent

    def ask(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603, S607
        return done.stdout.strip()

    try:
        ask("ls-files", "--error-unmatch", str(Path(__file__)))  # a wheel can be installed inside another checkout
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
