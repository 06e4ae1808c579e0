"""The ledger of published figures: its schema, and what is shipped."""

import csv
import importlib.util
import json
from pathlib import Path

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
    assert len(rows) == 421
    for row in rows:
        assert round(row.value, row.decimals) == row.value
        assert (1 < row.value < 100) if row.in_percent else (-1 < row.value < 1)


QUOTED = {  # source -> systems whose figures it takes from their papers, in a table with its own
    "X-CLIP (Ni et al. 2022), Table 4": {"DeViSE", "ALE", "SJE", "ESZSL", "DEM", "GCN", "ER-ZSAR"},
    "FROSTER repository README, Table 2": {
        "X-CLIP B/16",
        "ViFi-CLIP B/16",
        "Open-VCLIP B/16",
        "VPT B/16",
        "Text4Vis L/14",
        "Vita-CLIP B/16",
    },
}


def test_every_fact_is_carried_over(shared_data):
    facts = json.loads((shared_data.parent / "facts" / "published_results.json").read_text())["rows"]
    for fact in facts:
        fact["read_at_source"] &= fact["system"] not in QUOTED.get(fact["source"], ())
    shipped = {
        (r.system, r.dataset, r.protocol, r.metric, r.value, r.spread, r.source, r.read_at_source, r.transductive,
         r.auxiliary_data, r.features or "", r.class_vectors or "")
        for r in published_results()
    }  # fmt: skip
    keys = ("system", "dataset", "protocol", "metric", "value", "std", "source", "read_at_source", "transductive",
            "auxiliary_data", "features", "semantics")  # fmt: skip
    assert len(facts) == 173
    assert {tuple(fact[key] for key in keys) for fact in facts} <= shipped


def test_the_other_rows_are_those_that_were_read_in_readmes():
    path = Path(__file__).resolve().parents[2] / "tools" / "published_readmes.csv"
    with path.open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    shipped = {
        (
            r.system,
            r.dataset,
            r.protocol,
            r.metric,
            r.text,
            r.spread_text,
            r.source,
            "yes" if r.read_at_source else "no",
        )
        for r in published_results()
    }
    keys = ("system", "dataset", "protocol", "metric", "value", "std", "source", "read_at_source")
    assert {tuple(row[key] for key in keys) for row in read} <= shipped
    assert len(read) == len(published_results()) - 173


def test_a_printed_harmonic_mean_is_that_of_the_printed_means_to_one_tenth():
    found = {}
    for row in find(protocol="base-to-novel"):
        found.setdefault((row.system, row.dataset, row.source), {})[row.metric] = row.value
    assert len(found) == 46
    for figures in found.values():
        mean = 2 * figures["base"] * figures["novel"] / (figures["base"] + figures["novel"])
        assert figures["HM"] == pytest.approx(mean, abs=0.1)


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


def test_a_caveat_of_one_source_lies_on_no_row_of_another():
    # What is said of a protocol holds wherever it is used, what is said of a paper's table only there.
    of_protocols = (
        "The three test sets share 80", "All classes, no class split", "The README gives the mean", "One draw of the",
        "Mean over three draws", "A re-run by FROSTER's authors", "First trained on Kinetics-400",
    )  # fmt: skip
    sources = {}
    for row in published_results():
        for caveat in row.caveats:
            sources.setdefault(caveat, set()).add(row.source.partition(", quoting")[0].partition(", citing")[0])
    shared = {caveat: found for caveat, found in sources.items() if len(found) > 1}
    assert {caveat for caveat in shared if not caveat.startswith(of_protocols)} == {
        "Copied table: per-video or per-class accuracy is not said and may differ between rows.",
        "The released code keeps the checkpoint with the best test accuracy.",
        "The released code keeps the epoch of the inner classifier that is best on the unseen test videos: selection "
        "on the test.",
    }  # both tables of one work
    assert all(
        source.startswith("comparison table of Estevam")
        for caveat, found in shared.items() if not caveat.startswith(of_protocols) for source in found
    )  # fmt: skip
    x_clip = {caveat for row in find(source="X-CLIP (Ni") for caveat in row.caveats}
    assert len(x_clip) == 1
    assert x_clip.pop().startswith(of_protocols[0])


def test_a_caveat_that_names_a_table_or_dataset_lies_on_its_rows_only():
    on = lambda text: {(r.system, r.dataset, r.protocol) for r in published_results() for c in r.caveats if text in c}  # noqa: E731
    assert on("list of comparisons is not given") == {
        ("Action2Vec", name, "vector-arithmetic") for name in ("ucf101", "kinetics400")
    }
    assert on("tested on 10 random halves") == {("E2E", name, "50/50") for name in ("hmdb51", "ucf101")}
    assert on("38.3 is published for UCF101") == {("CLSWGAN-OD", "ucf101", "50/50")}
    assert on("A released UCF101 definition") == {("ER-ZSAR", "ucf101", "50/50")}


def test_every_caveat_names_its_source_and_a_table_of_that_number_elsewhere_does_not_match():
    tool = build_published()
    assert all("source" in conditions for conditions, _ in tool.CAVEATS)
    row = {"source": "Another paper, Table 4", "dataset": "ucf101", "system": "Action2Vec", "protocol": "50/50"}
    assert not [caveat for conditions, caveat in tool.CAVEATS if tool.matches(row, conditions)]
    own = row | {"source": f"{tool.A2V}, Table 4"}
    assert len([caveat for conditions, caveat in tool.CAVEATS if tool.matches(own, conditions)]) == 2
    assert not tool.within(own | {"source": f"{tool.A2V}, Table 41"}, f"{tool.A2V}, Table 4")


def build_published():
    path = Path(__file__).resolve().parents[2] / "tools" / "build_published.py"
    spec = importlib.util.spec_from_file_location("build_published", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_that_a_table_takes_from_other_papers_are_quoted():
    rows = [row for source, systems in QUOTED.items() for row in find(source=source) if row.system in systems]
    assert len(rows) == 34
    assert all("quoted" in row.marks for row in rows)
    own = [row for source, systems in QUOTED.items() for row in find(source=source) if row.system not in systems]
    assert {row.system for row in own if "quoted" in row.marks} == set()
    assert {row.system for row in own} == {
        "X-CLIP B/16", "Frozen CLIP B/16", "ActionCLIP B/16", "FROSTER B/16", "AIM B/16", "ST-Adapter B/16",
    }  # fmt: skip


def test_the_ledger_says_of_a_quoted_row_that_it_was_not_read_at_its_source(zslbench):
    _, out, _ = zslbench("ledger", "--source", "X-CLIP", "--system", "DeViSE")
    assert "quoted" in out
    _, out, _ = zslbench("ledger", "DeViSE")
    assert "X-CLIP (Ni et al. 2022), Table 4 (quoted, not read at source)" in out


def test_filters_match_names_in_part_and_datasets_whole():
    assert {row.protocol for row in find(protocol="50/50")} == {"50/50", "xu-50/50, 30 splits"}
    assert {row.system for row in find(system="bike", dataset="HMDB51")} == {
        "BIKE ViT-L/14, 8 frames, full class", "BIKE ViT-L/14, 8 frames, half class", "BIKE ViT-L/14, 16 frames",
        "BIKE ViT-L/14-336, 16 frames",
    }  # fmt: skip
    with pytest.raises(NotFoundError, match="hmdb51; kinetics-zsar"):
        find(dataset="hmdb")


def test_a_bad_row_names_its_collection_and_place():
    with pytest.raises(ZslbenchError, match="row 1 of the published figures 'mine' is not valid .source"):
        read_rows([ROW, {**ROW, "source": ""}], "mine")
