"""``zslbench site``: rows of folders and bundles with their commands and checks, written whole or not at all."""

import json
import shutil
import zipfile

import pytest
from tiny import make_features

from zslbench.cells._sums import write_sums

RUN = ("run", "--dataset", "hmdb51", "--features", "tiny", "--splits", 2, "--no-track")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder that has a results folder of ridge and a bundle of random."""
    from zslbench.cli import main

    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZSLBENCH_DATA_ROOT", str(root / "data"))
        make_features()
        for method, name in (("ridge", "runs"), ("random", "other")):
            with pytest.raises(SystemExit) as ended:
                main([*map(str, RUN), "--method", method, "--results", str(root / name), "--inline"])
            assert ended.value.code == 0
        with pytest.raises(SystemExit):
            main(["results", "export", str(root / "their-lab.zip"), "--results", str(root / "other")])
    return root


def rows(folder):
    return {row["method"]: row for row in json.loads((folder / "site.json").read_text(encoding="utf-8"))}


def test_rows_of_a_folder_and_a_bundle_are_ranked_together_with_command_and_checks(made, zslbench, tmp_path):
    paths = ("--results", made / "runs", "--results", made / "their-lab.zip")
    code, out, err = zslbench("site", tmp_path / "site", *paths)
    assert code == 0, err
    assert "2 rows of 2 sources" in out
    found = rows(tmp_path / "site")
    assert {name: row["source"] for name, row in found.items()} == {"ridge": "runs", "random": "their-lab"}
    assert all(row["verified"] for row in found.values())
    for row in found.values():
        page = (tmp_path / "site" / row["page"]).read_text(encoding="utf-8")
        assert row["commands"]
        assert all(cell in page for cell in row["cells"])
        assert "figures computed again from the predictions" in page
        assert all(code in page for code in row["audit"])
    assert "[imported" not in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_a_figure_that_was_edited_is_named_in_its_row(made, zslbench, tmp_path):
    runs = shutil.copytree(made / "runs", tmp_path / "edited")
    cell = next((runs / "cells").iterdir())
    predictions = cell / "predictions.parquet"
    other = next(path for path in (runs / "cells").iterdir() if path != cell)
    shutil.copy(other / "predictions.parquet", predictions)
    write_sums(cell)  # consistent checksums: only the figures disagree with the predictions
    assert zslbench("site", tmp_path / "site", "--results", runs)[0] == 0
    row = rows(tmp_path / "site")["ridge"]
    assert not row["verified"]
    assert "no: " in (tmp_path / "site" / row["page"]).read_text(encoding="utf-8")


def test_a_bundle_that_was_edited_is_refused_and_nothing_is_written(made, zslbench, tmp_path):
    with zipfile.ZipFile(made / "their-lab.zip") as good, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name) + b"x" * name.endswith("log.txt"))
    code, out, err = zslbench("site", tmp_path / "site", "--results", tmp_path / "bad.zip")
    assert (code, out) == (2, "")
    assert "disagrees with itself" in err
    assert not (tmp_path / "site").exists()


def test_a_folder_that_is_there_is_kept_unless_it_is_a_site(made, zslbench, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.txt").write_text("mine", encoding="utf-8")
    for options in ((), ("--replace",)):
        code, _, err = zslbench("site", tmp_path / "site", "--results", made / "runs", *options)
        assert (code, "already exists" in err) == (2, True)
    assert (tmp_path / "site" / "thesis.txt").read_text(encoding="utf-8") == "mine"
    assert zslbench("site", tmp_path / "new", "--results", made / "runs")[0] == 0
    assert zslbench("site", tmp_path / "new", "--results", made / "runs", "--replace", "--title", "Second")[0] == 0
    assert "<h1>Second</h1>" in (tmp_path / "new" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_source_without_results_is_one_sentence(name, zslbench, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = zslbench("site", tmp_path / "site", "--results", tmp_path / name)
    assert (code, len(err.splitlines())) == (2, 1)
    assert name in err
    assert not (tmp_path / "site").exists()


def test_sources_of_one_name_are_told_apart_by_their_parents(made, zslbench, tmp_path):
    for lab in ("lab-a", "lab-b"):
        shutil.copytree(made / "runs", tmp_path / lab / "runs")
    code, _, err = zslbench(
        "site", tmp_path / "site", "--results", tmp_path / "lab-a" / "runs", "--results", tmp_path / "lab-b" / "runs"
    )
    assert code == 0, err
    written = json.loads((tmp_path / "site" / "site.json").read_text(encoding="utf-8"))
    assert {row["source"] for row in written} == {"lab-a-runs", "lab-b-runs"}
    assert "warning: lab-a-runs and lab-b-runs hold the same 2 runs, whose rows appear twice" in err


def test_a_source_that_is_given_twice_is_refused(made, zslbench, tmp_path):
    again = made / "other" / ".." / "runs"
    code, _, err = zslbench("site", tmp_path / "site", "--results", made / "runs", "--results", again)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "give each source once" in err
    assert not (tmp_path / "site").exists()


def test_the_command_warns_of_a_cell_that_the_site_lacks(made, zslbench, tmp_path):
    runs = shutil.copytree(made / "runs", tmp_path / "damaged")
    cell = next((runs / "cells").iterdir())
    (cell / "result.json").write_text("{", encoding="utf-8")
    code, out, err = zslbench("site", tmp_path / "site", "--results", runs)
    assert code == 0
    assert f"warning: damaged: 2 cells, 1 wrong ({cell.name}: " in err
    assert "1 row of 1 source" in out
    code, _, err = zslbench("site", tmp_path / "whole", "--results", made / "runs")
    assert (code, "warning" in err) == (0, False)
