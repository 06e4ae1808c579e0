"""Each cell is given to one run at a time."""

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from fakes import fake_record
from plugins import install_hostile
from tiny import make_features

from zslbench.cells.store import Store
from zslbench.run.queue import CellQueue


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "runs")
    store.prepare()
    return store


RECORDS = [fake_record("ridge", i) for i in range(3)]
CELLS = [record.cell for record in RECORDS]


def test_a_cell_that_another_run_holds_is_passed_over_and_waits(store):
    one, other = CellQueue(CELLS, store), CellQueue(CELLS, store)
    first, second = one.take(), other.take()
    assert (first.cell, second.cell) == (CELLS[0], CELLS[1])
    third = one.take()
    assert third.cell == CELLS[2]
    assert (one.take(), len(one)) == (None, 1)
    second.release(stored=False)
    assert one.take().cell == CELLS[1]


def test_what_another_run_has_stored_since_the_question_is_taken_as_it_is(store):
    one, other = CellQueue(CELLS[:1], store), CellQueue(CELLS[:1], store)
    claim = one.take()
    store.write(claim.cell, RECORDS[0].result)
    claim.release(stored=True)
    taken = other.take()
    assert taken.record.result == RECORDS[0].result
    taken.release(stored=True)
    assert list(store.locks.iterdir()) == []


def test_a_cell_that_was_stored_before_the_question_runs_again(store):
    store.write(CELLS[0], RECORDS[0].result)
    assert CellQueue(CELLS[:1], store).take().record is None


def test_what_is_stored_between_looking_and_choosing_is_not_computed_again(store):
    def wanted(cell):
        missing = store.state(cell.id) is None
        store.write(cell, RECORDS[0].result)
        return missing

    assert CellQueue(CELLS[:1], store, wanted).take().record is not None


def test_a_killed_process_frees_its_cell(store):
    code = (
        "import sys; from pathlib import Path; from zslbench.cells.store import Store\n"
        "lock = Store(Path(sys.argv[1])).lock(sys.argv[2]); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    line = [sys.executable, "-c", code, store.root, CELLS[0].id]
    child = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    queue = CellQueue(CELLS[:1], store)
    assert queue.take() is None
    child.kill()
    child.communicate()
    assert queue.take().cell == CELLS[0]


def test_the_methods_of_a_queue_can_be_brought_together(store):
    cells = [fake_record(method, i).cell for i in range(2) for method in ("ridge", "eszsl")]
    queue = CellQueue(cells, store)
    queue.by_method()
    assert [(cell.method, cell.split) for cell in queue] == [("ridge", 0), ("ridge", 1), ("eszsl", 0), ("eszsl", 1)]


def start(tmp_path, *options):
    line = [sys.executable, "-m", "zslbench", "run", "--dataset", "hmdb51", "--results", tmp_path / "runs", *options]
    env = os.environ | {"PYTHONPATH": str(tmp_path / "plugins")}
    return subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def side_by_side(tmp_path, splits, *options):
    """Run one command per item of ``splits`` at once; return their errors' texts."""
    fits = tmp_path / "fits"
    fits.write_text("")
    settings = ("--method", "good", "--set", f"good.note={fits}", "--set", "good.seconds=0.05", *options)
    children = [start(tmp_path, *settings, "--splits", text) for text in splits]
    errors = [child.communicate(timeout=300)[1] for child in children]
    assert [child.returncode for child in children] == [0] * len(children), errors
    return errors


@pytest.mark.slow
def test_two_runs_at_once_compute_each_cell_once(tmp_path):
    make_features(per_class=3)
    install_hostile(tmp_path / "plugins")
    errors = side_by_side(tmp_path, ["6", "6"], "--no-track", "--inline")
    assert len((tmp_path / "fits").read_text().split()) == 6
    computed = sum(
        "computed by another run" not in line for text in errors for line in text.splitlines() if "[" in line
    )
    assert computed == 6
    assert len(Store(tmp_path / "runs").records()) == 6


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_runs_at_once_on_a_fresh_folder_lose_and_repeat_nothing(tmp_path):
    """Twenty rounds with the same and with different cells, each with a fresh database of MLflow."""
    make_features(per_class=3)
    install_hostile(tmp_path / "plugins")
    rounds = int(os.environ.get("ZSLBENCH_TEST_ROUNDS", "20"))
    for i in range(rounds):
        results = tmp_path / f"runs{i}"
        splits = [["3", "3", "3"], ["3", "1:4", "2:5"], ["0:2", "2:4", "4:6"]][i % 3]
        options = ("--results", str(results), *(["--workers", "1"] if i == rounds - 1 else []))
        errors = side_by_side(tmp_path, splits, *options)
        records = Store(results).records()
        wanted = {"3": {0, 1, 2}, "1:4": {1, 2, 3}, "2:5": {2, 3, 4}, "0:2": {0, 1}, "2:4": {2, 3}, "4:6": {4, 5}}
        cells = set().union(*(wanted[text] for text in splits))
        assert Counter(record.cell.split for record in records) == Counter(cells)
        assert len((tmp_path / "fits").read_text().split()) == len(cells)
        assert not any("Traceback" in text or "MLflow cannot be reached" in text for text in errors), errors
        assert [path.name for path in Store(results).locks.iterdir()] == ["mlflow"]
        assert in_mlflow(results) == (len(cells), len(cells), 1, float(len(cells)), 1)


def in_mlflow(results: Path):
    """Return the numbers of child runs, of cells, of parents, the parent's number of splits, and of leaderboards."""
    with sqlite3.connect(results / "mlflow.db") as connection:
        tags = "FROM tags JOIN runs USING (run_uuid) WHERE lifecycle_stage = 'active' AND status = 'FINISHED' AND key ="
        children = connection.execute(f"SELECT count(*), count(DISTINCT value) {tags} 'zslbench.cell_id'").fetchone()
        (parents,) = connection.execute(f"SELECT count(*) {tags} 'zslbench.parent'").fetchone()
        (splits,) = connection.execute("SELECT value FROM latest_metrics WHERE key = 'n_splits'").fetchone()
        (boards,) = connection.execute(f"SELECT count(*) {tags} 'zslbench.leaderboard'").fetchone()
        return (*children, parents, splits, boards)
