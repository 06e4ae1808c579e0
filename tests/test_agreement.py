"""Published figures beside measured rows: which row stands for which system, and what the block says."""

import json

import pytest
from fakes import fake_record, fake_store

from zslbench.agreement import published_beside
from zslbench.leaderboard import build_rows


def beside(**cell):
    board = build_rows([fake_record("eszsl", **cell)], defaults=lambda label: {})
    return {(each.published.source, each.published.system): each for each in published_beside(board)}


def eszsl(found):
    (each,) = [each for (_, system), each in found.items() if system == "ESZSL"]
    return each


def test_a_row_stands_for_the_system_of_its_method_on_splits_of_the_same_ratio():
    each = eszsl(beside(family="random-50/50"))
    assert each.row.method == "eszsl"
    assert each.outcome.measured == pytest.approx(50.0)
    assert (each.published.text, each.outcome.status) == ("18.5", "differs")


def test_chosen_parameters_stand_for_no_published_system():
    each = eszsl(beside(family="random-50/50", params={"gamma": 3.0}))
    assert each.row is None
    assert "no row of eszsl" in each.outcome.why


def test_simulated_features_reproduce_nothing():
    each = eszsl(beside(family="random-50/50", simulated=True))
    assert each.outcome.status == "not run"
    assert "simulated" in each.outcome.why


def test_only_published_figures_on_the_same_kind_of_splits_are_shown():
    protocols = {each.published.protocol for each in beside(family="truze-v1").values()}
    assert protocols == {"truze-v1"}
    assert not beside(family="random-70/30")
    assert not beside(protocol="gzsl", unseen=(True, False, True))


def test_the_leaderboard_shows_published_figures_apart_and_never_ranks_them(zslbench, tmp_path):
    results = fake_store(tmp_path / "runs", [fake_record("eszsl"), fake_record("ridge")]).root
    code, out, _ = zslbench("leaderboard", "--results", results, "--published")
    measured, _, published = out.partition("PUBLISHED, NOT MEASURED HERE")
    assert code == 0
    assert "Action2Vec" not in measured
    assert "Action2Vec, dual loss + attention" in published
    assert "zslbench ledger" in published
    _, out, _ = zslbench("leaderboard", "--results", results, "--published", "--format", "json")
    assert {row["system"] for row in json.loads(out)["published"]} >= {"ESZSL", "MTE"}
    code, _, err = zslbench("leaderboard", "--results", results, "--published", "--format", "latex")
    assert (code, "zslbench ledger" in err) == (2, True)
