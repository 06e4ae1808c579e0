"""A rerun that fails leaves the finished result where it is."""

import json

import pytest
from tiny import make_features

from zslbench.cells.store import Record, Store

RUN = ("run", "--method", "ridge", "--dataset", "hmdb51", "--splits", "1", "--rerun", "all")


@pytest.fixture
def finished(zslbench, tmp_path):
    """Return a command that runs a finished cell again, its store, and the cell's directory as it is now."""
    make_features(per_class=3)
    again = (*RUN, "--results", tmp_path / "runs", "--no-track")
    assert zslbench(*again)[0] == 0
    store = Store(tmp_path / "runs")
    (record,) = store.records()
    return again, store, record


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def fail(monkeypatch):
    def evaluate(cell, report):
        raise MemoryError("too large today")

    monkeypatch.setattr("zslbench.run.runner.evaluate", evaluate)


def test_a_failed_rerun_keeps_the_finished_cell_and_says_where_its_error_is(zslbench, finished, monkeypatch):
    again, store, record = finished
    before = files(store.folder(record))
    with monkeypatch.context() as patched:
        fail(patched)
        code, out, err = zslbench(*again)
    assert code == 1
    assert (
        "1 of 1 cells failed now and keep the figures that they had (reasons: "
        f"{store.reruns.path(record.cell.id)}/traceback.txt)" in err
    )
    assert "have no figures" not in err
    assert files(store.folder(record)) == before
    assert store.records() == [record]
    assert f"{100 * record.result.metrics['top1']:.1f}" in out
    error = json.loads((store.reruns.path(record.cell.id) / "error.json").read_text())
    assert (error["message"], "MemoryError: too large today" in error["traceback"]) == ("too large today", True)
    assert zslbench("results", "verify", "--results", store.root)[0] == 0
    assert zslbench(*again)[0] == 0
    assert not store.reruns.path(record.cell.id).exists()


@pytest.mark.slow
def test_a_failed_rerun_changes_nothing_in_mlflow(zslbench, finished, monkeypatch):
    projected = []
    monkeypatch.setattr("zslbench.tracking.projection.Tracker.project", lambda self, record: projected.append(record))
    again, _, record = finished
    fail(monkeypatch)
    assert zslbench(*[part for part in again if part != "--no-track"])[0] == 1
    assert projected == [record]  # which MLflow did not have


def test_a_failed_or_damaged_cell_is_replaced_by_a_failure(zslbench, finished, monkeypatch):
    again, store, record = finished
    (store.folder(record) / "cell.json").write_text("")
    fail(monkeypatch)
    for _ in range(2):
        code, _, err = zslbench(*again)
        assert (code, "1 of 1 cells have no figures" in err) == (1, True)
        assert isinstance(found := store.find(record.cell.id), Record)
        assert found.result.failure.message == "too large today"
    assert not store.reruns.root.exists()
