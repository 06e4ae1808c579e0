"""What rests on the importer's word is said on the first lines of an audit."""

import json
from pathlib import Path

import numpy as np
import pytest
from audited import features_with, record
from fakes import fake_store

from zslbench.audit.trust import trusted_features, trusted_records
from zslbench.datasets.split_files import write_imported
from zslbench.datasets.splits import Split, SplitFamily
from zslbench.semantics.importing import import_classes


@pytest.mark.parametrize(
    ("provenance", "says"),
    [
        ({"trained_on": ["sports1m"]}, "trained on sports1m and on nothing else; its weights are unknown"),
        ({"trained_on": []}, "nobody said what the extractor was trained on; its weights are unknown"),
        ({"trained_on": ["nothing"]}, "the extractor was trained on nothing; its weights are unknown"),
        ({"weights_digest": "0123456789abcdef"}, "its weights were 0123456789ab..."),
        ({"pca_fit": "seen"}, "hmdb51@tiny: its PCA was fitted on seen classes only"),
    ],
)  # fmt: skip
def test_the_declared_training_and_the_weights_are_taken_on_trust(provenance, says):
    features = features_with(**provenance)
    assert any(says in line for line in trusted_features(features))
    assert any(says in line for line in trusted_records([record(features)]))


def test_simulated_features_and_shipped_vectors_need_no_trust():
    assert trusted_records([record(features_with(simulated=True), simulated=True)]) == []


def test_imported_vectors_say_their_file_and_that_nobody_knows_what_they_are_made_from():
    import_classes("given", Path("given.npz"), {"hmdb51": (["run", "walk"], np.eye(2, dtype=np.float32))})
    lines = trusted_records([record(features_with(), semantics="given")])
    says = "finished class vectors, made from what is not recorded, from the file given.npz"
    assert f"class vectors given of hmdb51: {says}" in lines
    lines = trusted_records([record(features_with(name="b"), semantics="removed")])
    assert "class vectors removed of hmdb51: not here any more, so their source is unknown" in lines


def test_imported_splits_say_their_source():
    family = SplitFamily("mine", "hmdb51", (Split(("run",), ("walk",)),), "a web page")
    write_imported([family])
    lines = trusted_records([record(features_with(), family="mine")])
    assert "splits mine of hmdb51: imported or made here, from a web page" in lines


def test_official_lists_and_source_groups_are_named_where_gzsl_reads_them():
    features = features_with()
    assert not any("source groups" in line for line in trusted_records([record(features)]))
    assert "hmdb51@tiny: the source groups are right" in trusted_records([record(features, protocol="gzsl")])


def test_it_comes_first_within_80_columns_and_is_in_json_and_markdown(zslbench, tmp_path):
    fake_store(tmp_path / "runs", [record(features_with(name="leaking", trained_on=["sports1m"], pca_fit="all"))])
    _, out, _ = zslbench("audit", "--results", tmp_path / "runs", "--severity", "leak")
    lines = out.splitlines()
    assert lines[0] == "Taken on trust, because only the person who imported it knows:"
    assert lines[1].startswith("  hmdb51@leaking: the extractor was trained on sports1m")
    assert max(map(len, lines[:-1])) <= 80
    _, out, _ = zslbench("audit", "--results", tmp_path / "runs", "--format", "json")
    trusted = json.loads(out)["taken_on_trust"]
    assert any("its weights are unknown" in line for line in trusted)
    _, out, _ = zslbench("audit", "--results", tmp_path / "runs", "--format", "markdown")
    assert out.index("Taken on trust") < out.index("###")
    _, out, _ = zslbench("audit", "--features-only", "hmdb51@leaking")
    assert out.startswith("Taken on trust")


@pytest.mark.parametrize("family", ["k400->ucf101", "official-lists", "4-shot", "4-shot-published", "base-to-novel"])
def test_families_that_zslbench_makes_are_not_taken_on_trust(family):
    assert trusted_records([record(features_with(simulated=True), dataset="ucf101", family=family)]) == []
