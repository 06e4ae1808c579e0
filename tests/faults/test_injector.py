"""The injector notices whatever a broken reader of the store does, and blames a reader that works of nothing."""

import random

import pytest
from fakes import fake_record, fake_store
from faults.damaged import read
from faults.inject import table
from faults.judge import FAULTS, Verdict
from faults.world import World

from zslbench.cells.store import Record, Store

WHOLE = Store.scan


def lost(store):
    records, unreadable = WHOLE(store)
    return records[1:], unreadable


def duplicate(store):
    records, unreadable = WHOLE(store)
    return [*records, records[0]], unreadable


def silent(store):
    records, unreadable = WHOLE(store)
    result = records[0].result
    changed = result.model_copy(update={"metrics": result.metrics | {"top1": 0.9}})
    return [Record(records[0].cell, changed), *records[1:]], unreadable


def traceback(store):
    raise RuntimeError("a mistake in the reader")


@pytest.fixture
def world(tmp_path):
    """Return cells of methods that did not run, and what the verbs print of them."""
    records = [fake_record(method, split, top1=(8, split, 2)) for method in ("ridge", "sae") for split in range(2)]
    fake_store(tmp_path / "pristine" / "runs", records)
    (tmp_path / "pristine" / "data").mkdir()
    made = World(tmp_path / "pristine", tmp_path / "place")
    assert judged(made).wrong == {}
    return made


def judged(world):
    verdict = Verdict("none")
    read(world, verdict, random.Random(0), set(), forged=False)
    return verdict


@pytest.mark.parametrize("broken", [lost, duplicate, silent, traceback], ids=FAULTS)
def test_a_broken_reader_is_noticed(world, monkeypatch, broken):
    if broken is traceback:
        monkeypatch.setattr(World, "look", lambda self: list(self.before.items()))
    monkeypatch.setattr(Store, "scan", broken)
    wrong = judged(world).wrong
    assert broken.__name__ in wrong
    assert wrong.keys() <= {broken.__name__, "silent"}  # another table is another figure


def test_a_damaged_cell_is_blamed_only_if_a_verb_leaves_it_out_without_a_word(world, monkeypatch):
    (world.runs / "cells" / min(world.before) / "cell.json").write_text("")
    assert judged(world).wrong == {}
    monkeypatch.setattr("zslbench.cli.leaderboard.tell_unreadable", lambda *_: None)
    assert "silent" in judged(world).wrong


def test_the_table_counts_each_fault_once_in_its_column():
    good, bad = Verdict("flip", named=True), Verdict("flip", named=True)
    bad.blame("lost", "one")
    bad.blame("lost", "another")
    bad.blame("traceback", "one")
    assert table([good, bad]).splitlines()[-1] == "| all | 2 | 2 | 1 | 0 | 0 | 1 |"
