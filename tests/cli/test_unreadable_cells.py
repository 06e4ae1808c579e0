"""A stored cell that cannot be read is named by every verb, and ``run`` runs it again."""

import shutil

import pytest
from tiny import make_features

from zslbench.cells.store import Store

RUN = ("run", "--method", "random", "--method", "ridge", "--dataset", "hmdb51", "--features", "tiny")


@pytest.fixture
def damaged(zslbench, tmp_path, empty_mlflow):
    """Return the results folder and the id of a cell whose ``cell.json`` is empty; there is no index."""
    make_features()
    code, _, _ = zslbench(*RUN, "--splits", "2", "--no-track", "--results", tmp_path / "runs")
    assert code == 0
    store = Store(tmp_path / "runs")
    cell_id = store.records()[0].cell.id
    (store.path(cell_id) / "cell.json").write_text("")
    (store.root / "index.sqlite").unlink()
    shutil.copy(empty_mlflow, store.root)
    return store.root, cell_id


@pytest.mark.parametrize(
    "verb",
    [["leaderboard"], ["compare"], ["report"], ["audit"], pytest.param(["track", "sync"], marks=pytest.mark.slow)],
)
def test_every_verb_that_reads_results_names_it(zslbench, damaged, verb):
    results, cell_id = damaged
    code, _, err = zslbench(*verb, "--results", results)
    assert code == 0
    assert f"1 cell cannot be read: {cell_id}, cell.json does not match SHA256SUMS" in err


def test_run_names_it_and_runs_it_again(zslbench, damaged):
    results, cell_id = damaged
    again = (*RUN, "--splits", "2", "--no-track", "--results", results)
    zslbench.damaged = True
    _, _, err = zslbench(*again, "--rerun", "never")
    zslbench.damaged = False
    assert f"1 cell cannot be read: {cell_id}, " in err
    assert "--rerun missing runs it again" in err
    code, _, err = zslbench(*again)
    assert code == 0
    assert f"1 cell cannot be read: {cell_id}, " in err
    assert "(it runs again; 'zslbench results verify' tells more)" in err
    assert "4 cells: 3 kept from before, 1 to run" in err
    assert len(Store(results).records()) == 4
    assert "cannot be read" not in zslbench(*again)[2]


def test_a_store_of_damaged_cells_alone_names_them_before_it_says_that_nothing_is_stored(zslbench, damaged):
    results, _ = damaged
    for path in (results / "cells").iterdir():
        (path / "result.json").write_text("{")
    code, _, err = zslbench("leaderboard", "--results", results)
    assert code == 2
    assert "4 cells cannot be read: " in err
    assert "no result is stored" in err
