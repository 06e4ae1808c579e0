"""``zslbench why`` as a user meets it."""

import json

import pytest
from fakes import fake_record, fake_store
from tiny import make_features, plan

from zslbench.cells.store import Store
from zslbench.method import Report
from zslbench.run.runner import run_cell


@pytest.fixture
def results(tmp_path):
    records = [fake_record("ridge", split=i) for i in range(5)]
    records += [fake_record("ridge", semantics="glove", semantics_digest="glove", split=i) for i in range(5)]
    fake_store(tmp_path / "runs", records)
    return tmp_path / "runs"


def test_the_table_has_eighty_columns_and_ends_with_what_is_known(zslbench, results):
    code, out, err = zslbench(
        "why", "bike-vit-l-14-8-frames-half@hmdb51", "ridge", "--semantics", "minilm", "--results", results
    )
    assert code == 0, err
    table = out.partition("To measure the effect")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert "bike-vit-l-14-8-frames-half-class@hmdb51:e2e-half10, top1 61.37" in out
    assert "with other class" in out
    assert "no measure of the difference" in " ".join(out.split())


def test_json_has_the_same_for_a_program(zslbench, results):
    _, out, _ = zslbench(
        "why", "sync@hmdb51", "ridge", "--semantics", "glove", "--results", results, "--format", "json"
    )
    made = json.loads(out)
    assert made["published"]["key"] == "sync@hmdb51:truze-v1"
    assert {"protocol, splits", "method"} <= {each["what"] for each in made["differences"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sync@hmdb51", "ridge"), "2 rows are 'ridge' with these options"),
        (("sync@hmdb51", "rigde"), "Did you mean ridge"),
        (("sync@ucf101", "ridge"), "no result in"),
        (("synk@hmdb51:truze-v1", "ridge"), "Did you mean sync@hmdb51:truze-v1"),
        (("sync@hmdb51", "ridge", "--family", "truze-v1"), "no rows are 'ridge' with these options"),
    ],
)
def test_what_is_not_one_row_ends_with_one_sentence(zslbench, results, arguments, says):
    code, out, err = zslbench("why", *arguments, "--results", results)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_a_control_of_time_is_no_row_that_a_published_figure_differs_from(zslbench, tmp_path):
    records = [fake_record("ridge", split=i, control=control) for i in range(5) for control in (None, "reversed")]
    fake_store(tmp_path / "runs", records)
    code, out, err = zslbench("why", "sync@hmdb51:truze-v1", "ridge", "--results", tmp_path / "runs")
    assert code == 0, err
    assert "here:      ridge\n" in out
    assert zslbench("why", "sync@hmdb51:truze-v1", "ridge [reversed]", "--results", tmp_path / "runs")[0] == 2


def test_kept_scores_tell_the_effect_of_other_splits(zslbench, tmp_path):
    make_features(dim=384, per_class=2, pooled=True)
    kept = Store(tmp_path / "kept", keep_scores="float32")
    both = Store(tmp_path / "both")
    for family in ("all-classes", "truze-v1"):
        (cell,) = plan(method="nearest-text", family=family, splits="1")
        for store in (kept, both)[family == "truze-v1" :]:
            run_cell(cell, store, Report())
    measured, read = (why(zslbench, store.root) for store in (both, kept))
    assert measured["how"] == "your row on truze-v1, 1 of 1 splits"
    assert read["how"] == "your kept scores, read as truze-v1"
    assert read["points"] == pytest.approx(measured["points"])


def why(zslbench, results):
    options = ("--family", "all-classes", "--format", "json", "--results", results)
    code, out, err = zslbench("why", "sync@hmdb51:truze-v1", "nearest-text", *options)
    assert code == 0, err
    made = json.loads(out)
    assert made["to_run"] is None
    (splits,) = [each for each in made["differences"] if each["what"] == "protocol, splits"]
    return splits
