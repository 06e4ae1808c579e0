"""What all tests share: a data root of their own, and the real data where it is at hand."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

# One thread per worker, set before numpy and torch are imported: on small arrays more threads only spin.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["HF_HUB_OFFLINE"] = "1"  # a misspelt folder must not become a question to the hub
os.environ.pop("COLUMNS", None)  # xdist sets it: as in a pipe, tables are whole where a test says no width

# The same examples every time: a failure is the change's, and comes back. No deadline per example: on a busy machine it
# fails at random, and the limit per test below holds anyway.
settings.register_profile("zslbench", derandomize=True, deadline=None)
settings.load_profile("zslbench")

ROOT = Path(__file__).parents[1]
OF_PROCESSES = {
    "--inline", "--strict", "--workers", "--scheduler", "--scheduler-file", "--cluster", "--timeout", "--memory-limit",
}  # fmt: skip
SECONDS = 5  # the longest that a test may take that is not marked slow


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Fail a test that takes long and is not marked slow: without this the default run would grow back."""
    report = yield
    bound = SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # others' work slows a test down
    if call.when == "call" and report.passed and call.duration > bound and not item.get_closest_marker("slow"):
        report.outcome = "failed"
        report.longrepr = f"it took {call.duration:.1f} s: over {bound:.1f} s, so mark it slow or make it faster"
    return report


def pytest_collection_finish(session):
    """Load in each worker what is large, so that its seconds count for no test."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        import mlflow  # noqa: F401
        import torch._inductor.config  # noqa: F401
        from hypothesis import strategies

        strategies.characters(codec="utf-8", exclude_categories=["Cs"]).validate()  # makes the table of categories
    gc.freeze()  # what is loaded by now stays: a full garbage collection of it takes most of a second


@pytest.fixture(autouse=True)
def data_root(tmp_path, monkeypatch):
    """Every test has its own empty data root; none touches the user's."""
    root = tmp_path / "data-root"
    monkeypatch.setenv("ZSLBENCH_DATA_ROOT", str(root))
    return root


@pytest.fixture(autouse=True)
def encoder_of_texts(monkeypatch):
    """The encoder of minilm is not on this machine, unless a test overrides this: to load it takes seconds."""
    monkeypatch.setattr("zslbench.semantics.encoder.model_folder", lambda card: None)


@pytest.fixture(autouse=True)
def processor():
    """Methods compute on the processor, also where there is a GPU: figures in tests hold for it."""
    from zslbench.compute import computing_on

    with computing_on("cpu"):
        yield


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data."""
    folder = Path(os.environ.get("ZSLBENCH_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no real data: set ZSLBENCH_SHARED_DATA, or put it into shared/data beside the project")
    return folder


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory):
    """MLflow's database without a run. A copy in a results folder spares a test all of MLflow's migrations."""
    from zslbench.cells.store import Store
    from zslbench.tracking.tracker import DATABASE, Tracker

    root = tmp_path_factory.mktemp("mlflow")
    Tracker(Store(root))
    return root / DATABASE


@pytest.fixture
def zslbench(capsys):
    """Run the command line in this process: ``zslbench("features", "list")`` -> (exit code, stdout, stderr).

    Cells of ``run`` need no process of their own either, unless an option asks for one: starting it takes a second.
    What a ``run`` leaves is verified; ``run.damaged = True`` says that the results folder holds damage on purpose.
    """
    from zslbench.cli import main

    def run(*args):
        args = [str(arg) for arg in args]
        alone = args[:1] == ["run"] and not OF_PROCESSES.intersection(args)
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([*args, "--inline"] if alone else args)
        said = capsys.readouterr()
        if args[:1] == ["run"] and "--results" in args and not run.damaged:
            _verified(Path(args[args.index("--results") + 1]))
        return stopped.value.code, *said

    run.damaged = False
    return run


def _verified(results):
    """Assert that ``zslbench results verify`` finds nothing wrong in a results folder, if there is one."""
    from zslbench.cells.store import Store
    from zslbench.proof.verify import verify

    if results.is_dir():
        assert not verify(Store(results)).defects


@pytest.fixture
def csv(tmp_path):
    """The table of the toy dataset's six videos."""
    from toy_features import write_csv

    return write_csv(tmp_path / "videos.csv")
