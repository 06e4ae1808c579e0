"""An overlap that nobody can know is a state of its own, and every table that shows overlap shows it."""

import json

import pytest
from audited import features_with, record
from fakes import fake_record
from tiny import make_features

from zslbench.audit.audit import audit_features, audit_records, marks
from zslbench.audit.trust import trusted_features
from zslbench.cells.rows import group_cells
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.label_sets import find_label_set, is_unknown, overlap_unknown, with_captions
from zslbench.embeddings.card import _feature_rows

NOTE = "[W3]: overlap unknown: the training data of the extractor cannot be checked"


def plain(text):
    """Return a text without the line breaks of a narrow console."""
    return " ".join(text.split())


def test_unknown_is_the_name_of_no_label_set():
    assert is_unknown("Unknown")
    assert find_label_set("unknown") is None


def test_an_audit_of_unknown_data_says_what_it_means_and_does_not_ask_for_a_name():
    features = features_with(trained_on=["unknown"])
    (found,) = [each for each in audit_features(features) if each.code == "W3"]
    assert found.title.startswith("overlap unknown")
    assert found.evidence == (
        "declared as unknown: the extractor may have seen every class, and no list can show which",
    )
    assert "neither shown to be zero-shot nor shown not to be" in found.remedy
    assert "--trained-on" not in found.remedy
    assert any("nobody can list what the extractor was trained on" in said for said in trusted_features(features))


def test_unknown_data_beside_a_listed_dataset_keep_the_findings_of_both():
    features = features_with(trained_on=["sports1m", "unknown"])
    found = audit_records([record(features, unseen=("fencing", "golf", "pour"))])
    assert {"L1", "W3"} <= {each.code for each in found}
    said = trusted_features(features)
    assert any("trained on sports1m, and on data that nobody can list" in each for each in said)
    assert not any("nothing else" in each for each in said)


@pytest.mark.parametrize("trained_on", [(), ("unknown",), ("clip",), ("our-videos",), ("nothing", "unknown")])
def test_a_row_whose_overlap_is_unknown_has_the_mark(trained_on):
    records = [record(features_with(trained_on=list(trained_on)))]
    assert overlap_unknown(trained_on)
    assert list(marks(records).values()) == [("W3",)]


@pytest.mark.parametrize("trained_on", [("nothing",), ("sports1m",), ("imagenet", "Kinetics-400")])
def test_a_row_whose_overlap_is_known_has_no_such_mark(trained_on):
    records = [record(features_with(trained_on=list(trained_on)), unseen=("pour", "talk"))]
    assert not overlap_unknown(trained_on)
    assert "W3" not in {code for codes in marks(records).values() for code in codes}


def test_simulated_features_and_ones_that_are_not_here_have_no_mark():
    simulated = record(features_with(name="made", simulated=True, trained_on=[]), simulated=True)
    elsewhere = fake_record(features="elsewhere")
    assert len(group_cells([simulated, elsewhere])) == 2
    assert "W3" not in {code for codes in marks([simulated, elsewhere]).values() for code in codes}


def test_fine_tuning_does_not_undo_the_training_on_captions_and_other_data_are_what_is_declared():
    assert with_captions(["kinetics400"], ["web-captions"]) == ("kinetics400", "web-captions")
    assert with_captions(["kinetics400", "unknown"], ["web-captions"]) == ("kinetics400", "unknown", "web-captions")
    assert with_captions(["kinetics400"], ["unknown"]) == ("kinetics400",)
    assert with_captions(["nothing"], ["web-captions"]) == ("nothing",)


@pytest.fixture
def results(zslbench, tmp_path, monkeypatch):
    """Return the results of a method on features of unknown training data."""
    monkeypatch.setenv("COLUMNS", "80")
    make_features(dim=384, noise=3.0, trained_on=("unknown",))
    line = ["run", "--method", "nearest-text", "--dataset", "hmdb51", "--features", "tiny", "--protocol", "gzsl"]
    code, out, err = zslbench(*line, "--splits", 3, "--keep-scores", "--no-track", "--results", tmp_path / "runs")
    assert code == 0, err
    assert "nearest-text [W3]" in out
    return tmp_path / "runs"


def test_the_leaderboard_marks_the_row_within_80_columns_and_explains_the_mark(zslbench, results):
    _, out, _ = zslbench("leaderboard", "--results", results)
    assert "nearest-text [W3] " in out
    assert NOTE in plain(out)
    assert max(map(len, out.splitlines())) <= 80
    _, out, _ = zslbench("leaderboard", "--results", results, "--format", "json")
    (row,) = json.loads(out)["rows"]
    assert (row["leaks"], row["overlap_unknown"]) == ([], True)


def test_scores_that_are_read_as_other_protocols_keep_the_mark(zslbench, results):
    _, out, _ = zslbench("results", "rescore", "--results", results)
    assert "nearest-text [W3]" in out
    assert NOTE in plain(out)


def test_why_marks_its_row_and_explains_the_mark(zslbench, results):
    line = ["why", "bike-vit-l-14-8-frames-half@hmdb51", "nearest-text", "--results", results]
    code, out, err = zslbench(*line)
    assert code == 0, err
    (row,) = [line for line in out.splitlines() if line.startswith("here: ")]
    assert row.startswith("here:      nearest-text ")
    assert row.endswith(" [W3]")
    assert NOTE in plain(out)
    assert NOTE in plain(zslbench(*line, "--format", "markdown")[1]).replace("\\", "")


@pytest.mark.slow
def test_report_and_appendix_show_it(zslbench, results, tmp_path):
    for out in ("report.html", "appendix.tex"):
        code, _, err = zslbench("report", "--results", results, "--out", tmp_path / out)
        assert code == 0, err
    html, tex = ((tmp_path / name).read_text() for name in ("report.html", "appendix.tex"))
    assert "nearest-text [W3]" in html
    assert NOTE in html.replace("&#39;", "'")
    assert "trained on unknown (overlap unknown)" in plain(tex)


@pytest.mark.slow
def test_the_site_shows_it(zslbench, results, tmp_path):
    code, _, err = zslbench("site", tmp_path / "site", "--results", results)
    assert code == 0, err
    assert "nearest-text [W3]" in (tmp_path / "site" / "index.html").read_text()


def test_strict_runs_and_says_that_it_cannot_check_it(zslbench, results, tmp_path):
    line = ["run", "--method", "random", "--dataset", "hmdb51", "--features", "tiny", "--splits", 1, "--strict"]
    code, _, err = zslbench(*line, "--no-track", "--results", tmp_path / "strict")
    assert code == 0, err
    assert "--strict cannot check this: W3 overlap unknown" in plain(err)


def test_the_list_of_feature_sets_and_the_description_of_one_show_it(zslbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    make_features(name="mixed", trained_on=("kinetics400", "unknown"))
    make_features(name="known", trained_on=("kinetics400",))
    _, out, _ = zslbench("features", "list")
    assert out.count("[W3]") == 2  # one row, and what it means
    assert NOTE in plain(out)
    _, out, _ = zslbench("features", "list", "--format", "json")
    assert [each["overlap_unknown"] for each in json.loads(out)] == [False, True]
    _, out, _ = zslbench("features", "show", "hmdb51", "mixed")
    assert "kinetics400, unknown; overlap with unseen classes unknown (W3)" in plain(out)
    _, out, _ = zslbench("features", "show", "hmdb51", "known")
    assert "W3" not in out


def test_the_card_of_embeddings_says_it():
    rows = {"title": "hmdb51@x", "videos": 3, "extractor": "x", "digest": "0", "extractor_trained_on": ["unknown"]}
    assert dict(_feature_rows(rows))["extractor"] == "x, trained on unknown (overlap unknown)"


@pytest.mark.parametrize("spec", ["shipped", "minilm-definition"])
def test_shipped_texts_were_written_by_a_language_model_whether_read_or_embedded(spec):
    features = features_with(trained_on=["nothing"])
    texts = {"texts": "shipped"} if spec == "shipped" else {"semantics": spec}
    (found,) = [each for each in audit_records([record(features, **texts)]) if each.code == "W21"]
    assert found.concerns == f"{get_dataset('hmdb51').name}, class texts shipped"
    assert "not recorded" in found.evidence[0]
    assert "W21" not in {each.code for each in audit_records([record(features)])}
