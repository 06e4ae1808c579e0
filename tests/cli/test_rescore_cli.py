"""``zslbench results rescore`` as a user types it."""

import csv
import io

import pytest
from tiny import make_features


@pytest.fixture
def results(zslbench, tmp_path):
    make_features(dim=384, noise=3.0)
    line = ["run", "--method", "nearest-text", "--dataset", "hmdb51", "--features", "tiny", "--protocol", "gzsl"]
    line += ["--splits", "12", "--keep-scores", "--no-track", "--results", tmp_path / "runs"]
    assert zslbench(*line)[0] == 0
    return tmp_path / "runs"


def test_the_usual_protocols_stand_side_by_side_within_80_columns(zslbench, results):
    code, out, _ = zslbench("results", "rescore", "--results", results, "--explain")
    lines = out.split("\n\n")[1].splitlines()
    assert code == 0
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line.split()[1:3] for line in lines[3:]}
    assert (rows["all"], rows["xu-50/50"], rows["truze-v1"]) == (["51", "306"], ["25", "150"], ["22", "132"])
    assert "xu-50/50 50 (sd " in out
    assert "neither a standard error nor an interval" in out


def test_names_can_be_repeated_or_separated_by_commas(zslbench, results):
    options = ["--protocols", "all,xu-50/50", "--protocols", "all", "--format", "csv"]
    code, out, _ = zslbench("results", "rescore", "--results", results, *options)
    assert code == 0
    assert [row["protocol"] for row in csv.DictReader(io.StringIO(out))] == ["all", "xu-50/50"]


def test_out_writes_the_file(zslbench, results, tmp_path):
    code, out, err = zslbench("results", "rescore", "--results", results, "--out", tmp_path / "table.md")
    assert (code, out) == (0, "")
    assert "written to" in err
    assert "| all " in (tmp_path / "table.md").read_text()


def test_a_protocol_that_cannot_be_read_is_a_mistake_with_its_reason(zslbench, tmp_path):
    make_features()
    line = ["run", "--method", "eszsl", "--dataset", "hmdb51", "--features", "tiny", "--splits", "1", "--keep-scores"]
    assert zslbench(*line, "--no-track", "--results", tmp_path / "runs")[0] == 0
    code, _, err = zslbench("results", "rescore", "--results", tmp_path / "runs", "--protocols", "all")
    assert code == 2
    assert "eszsl cannot be read as all: a class is not among the unseen ones of its cells" in err


def test_an_unknown_protocol_is_a_mistake(zslbench, results):
    code, _, err = zslbench("results", "rescore", "--results", results, "--protocols", "xu-50")
    assert code == 2
    assert "hmdb51 cannot be read as 'xu-50'. Did you mean" in err
