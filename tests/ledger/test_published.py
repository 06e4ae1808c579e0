"""The ledger of published figures: its schema, and what is shipped."""

import json

import pytest
from pydantic import ValidationError

from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.ledger.published import Published, filter_results, published_problems, published_results, read_rows

ROW = {
    "system": "X", "dataset": "ucf101", "protocol": "50/50", "metric": "top1", "value": 22.1, "decimals": 2,
    "source": "A paper, table 1", "read_at_source": True,
}  # fmt: skip


def find(**filters):
    return filter_results(published_results(), **{name: [value] for name, value in filters.items()})


@pytest.mark.parametrize("source", ["", "  ", None])
def test_a_row_without_a_source_is_rejected(source):
    with pytest.raises(ValidationError, match="source"):
        Published.model_validate(ROW | {"source": source})


@pytest.mark.parametrize(
    "change", [{"colour": "red"}, {"value": float("nan")}, {"spread": 1.0}, {"spread_over": "splits"}, {"decimals": -1}]
)
def test_other_nonsense_is_rejected(change):
    Published.model_validate(ROW)
    with pytest.raises(ValidationError):
        Published.model_validate(ROW | change)


def test_a_figure_is_shown_as_printed_with_its_marks():
    row = Published.model_validate(
        ROW | {"spread": 1.0, "spread_over": "30 splits", "transductive": True, "read_at_source": False}
    )
    assert (row.text, row.spread_text) == ("22.10", "1.0")
    assert row.marks == ("transductive", "quoted")
    assert Published.model_validate(ROW).marks == ()


def test_everything_shipped_is_valid_and_in_the_right_order_of_magnitude():
    rows = published_results()
    assert published_problems() == ()
    assert len(rows) == 173
    for row in rows:
        assert round(row.value, row.decimals) == row.value
        assert (1 < row.value < 100) if row.in_percent else (-1 < row.value < 1)


def test_every_fact_is_carried_over(shared_data):
    facts = json.loads((shared_data.parent / "facts" / "published_results.json").read_text())["rows"]
    shipped = {
        (r.system, r.dataset, r.protocol, r.metric, r.value, r.spread, r.source, r.read_at_source, r.transductive,
         r.auxiliary_data, r.features or "", r.class_vectors or "")
        for r in published_results()
    }  # fmt: skip
    keys = ("system", "dataset", "protocol", "metric", "value", "std", "source", "read_at_source", "transductive",
            "auxiliary_data", "features", "semantics")  # fmt: skip
    assert shipped == {tuple(fact[key] for key in keys) for fact in facts}


@pytest.mark.parametrize(
    ("filters", "value", "caveat"),
    [
        ({"system": "SAV", "dataset": "hmdb51"}, 15.0, "not ECCV 2016"),
        ({"system": "Pooled C3D fc7", "dataset": "hmdb51", "protocol": "80/20"}, 8.77, "chance 4.0 / 10.0"),
        ({"system": "loss + attention", "dataset": "hmdb51", "protocol": "90/10"}, 60.24, "five unseen classes"),
        ({"system": "cosine loss only", "dataset": "ucf101", "protocol": "80/20"}, 36.39, "lies above the dual loss"),
        ({"system": "Single LSTM", "dataset": "kinetics400", "protocol": "90/10"}, 32.31, "above the stacked one"),
        ({"system": "Word2Vec", "dataset": "hmdb51"}, 0.2855, "02855"),
        ({"source": "Table 4", "dataset": "ucf101"}, 0.9875, "79/80"),
    ],
)
def test_the_audits_caveats_lie_on_the_rows_that_they_concern(filters, value, caveat):
    (row,) = find(**filters)
    assert row.value == value
    assert any(caveat in text for text in row.caveats)


def test_a_caveat_lies_on_no_other_row():
    rows = published_results()
    assert {r.dataset for r in rows for c in r.caveats if "Sports-1M" in c} == {"ucf101"}
    assert {(r.dataset, r.protocol) for r in rows for c in r.caveats if "five unseen" in c} == {("hmdb51", "90/10")}
    assert {r.protocol for r in rows for c in r.caveats if "above the stacked one" in c} == {"50/50", "90/10"}


def test_filters_match_names_in_part_and_datasets_whole():
    assert {row.protocol for row in find(protocol="50/50")} == {"50/50", "xu-50/50, 30 splits"}
    assert {row.system for row in find(system="bike", dataset="HMDB51")} == {
        "BIKE ViT-L/14, 8 frames, full class", "BIKE ViT-L/14, 8 frames, half class",
    }  # fmt: skip
    with pytest.raises(NotFoundError, match="hmdb51; kinetics-zsar"):
        find(dataset="hmdb")


def test_a_bad_row_names_its_collection_and_place():
    with pytest.raises(ZslbenchError, match="row 1 of the published figures 'mine' is not valid .source"):
        read_rows([ROW, {**ROW, "source": ""}], "mine")
