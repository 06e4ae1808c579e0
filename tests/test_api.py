"""zslbench.run and its results: the same cells and figures as the command line, as tables of pandas."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
from local_methods import Broken, Nearest
from tiny import make_features

import zslbench as zb
from zslbench.api import run
from zslbench.cells.store import Store
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.registry import get_method
from zslbench.run.experiment import Experiment

SMALL = {"dataset": "hmdb51", "features": "tiny", "splits": 2, "progress": False}


@pytest.fixture(autouse=True)
def inline(monkeypatch):
    """Cells need no process of their own here, whose start takes a second."""
    monkeypatch.setattr("zslbench.run.execution.SUPPORTED", False)


@pytest.fixture
def tiny():
    make_features(per_class=3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The results folder; a run without ``results`` would write into this folder, too."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results" / "runs"


def test_the_functions_stay_callable_after_rooms_of_the_same_names_are_imported():
    code = (
        "import zslbench.run.queue, zslbench.datasets.splits, zslbench as zb, inspect, pickle; "
        "print('ucf101' in zb.datasets(), 'methods' in inspect.signature(zb.run).parameters, "
        "zslbench.run.queue.CellQueue.__name__, pickle.loads(pickle.dumps(zb.run)) is zb.run)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "True", "CellQueue", "True"]


def test_every_setting_of_an_experiment_is_a_parameter_of_run():
    plural = {"method": "methods", "seed": "seeds"}
    wanted = {plural.get(name, name) for name in Experiment.model_fields}
    assert wanted <= set(inspect.signature(run).parameters)


def test_datasets_are_found_by_name_and_shown_in_a_line():
    found = zb.datasets()
    assert found["ucf101"] is zb.get_dataset("ucf101")
    assert repr(found).startswith("<datasets hmdb51, ")
    assert len(repr(found)) < 200
    assert "nothing" not in found


def test_load_gives_the_only_feature_set_or_names_the_others(tiny):
    assert zb.load("hmdb51").manifest.name == "tiny"
    make_features(name="other", per_class=3)
    with pytest.raises(ZslbenchError, match="several feature sets; name one of other, tiny"):
        zb.load("hmdb51")
    assert zb.load(zb.get_dataset("hmdb51"), "other").manifest.name == "other"
    with pytest.raises(NotFoundError, match=r"ucf101 has no feature set; import one .*load\('ucf101', 'simulated'\)"):
        zb.load("ucf101")


def test_python_and_the_command_line_make_the_same_cells_and_figures(tiny, folder, zslbench):
    found = zb.run(["ridge", "random"], **SMALL, set={"ridge": {"alpha": [0.5, 2]}})
    where = ("--dataset", "hmdb51", "--features", "tiny", "--splits", "2", "--set", "ridge.alpha=0.5,2", "--no-track")
    code, _, err = zslbench("run", "--method", "ridge", "--method", "random", *where, "--results", folder)
    assert (code, "6 cells: 6 kept from before, 0 to run" in err) == (0, True)
    assert set(found.cells["cell"]) == {record.cell.id for record in Store(folder).records()}
    rows = json.loads(zslbench("leaderboard", "--results", folder, "--format", "json")[1])["rows"]
    ours = found.leaderboard()
    assert ours["top1"].tolist() == pytest.approx([row["top1"] for row in rows], abs=0)
    assert ours["low_95_over_classes"].tolist() == [row["low_95_over_classes"] for row in rows]
    assert list(ours.columns) == list(rows[0])
    assert set(ours["method"]) == {"random", "ridge (alpha=0.5)", "ridge (alpha=2)"}


def test_results_of_a_run_are_its_cells_and_a_folder_has_all(tiny, folder):
    zb.run("random", **SMALL)
    assert set(zb.run("majority", **SMALL).cells["method"]) == {"majority"}
    everything = zb.results(folder)
    assert set(everything.cells["method"]) == {"majority", "random"}
    assert "4 cells" in repr(everything)
    assert "<table" in everything._repr_html_()
    assert "majority" in everything._repr_html_()
    assert "majority" in str(everything)


def test_compare_gives_the_difference_of_the_class_means_with_interval_and_p(tiny, folder):
    found = zb.run(["random", Nearest], **SMALL)
    (line,) = found.compare("nearest", "random").to_dict("records")
    assert line["difference"] == pytest.approx(line["first_value"] - line["second_value"])
    assert line["low"] < line["difference"] < line["high"]
    assert 0 <= line["p"] <= 1


def test_predictions_give_the_accuracy_of_their_cell(tiny, folder):
    found = zb.run(["random", "majority"], **SMALL)
    table = found.predictions("random", split=1)
    assert list(table.columns) == ["video", "class", "predicted", "score"]
    cell = found.cells.query("method == 'random' and split == 1").iloc[0]
    assert (table["class"] == table["predicted"]).mean() == pytest.approx(cell["top1"])


def test_predictions_of_several_cells_or_none_name_what_to_choose_by(tiny, folder):
    found = zb.run("random", **SMALL, seeds=(0, 1))
    with pytest.raises(ZslbenchError, match="2 cells of random are meant; choose one by its seed: 0, 1"):
        found.predictions("random")
    with pytest.raises(NotFoundError, match="no finished cell of seed 7, split 0; there is seed 0, 1; split 0, 1"):
        found.predictions("random", seed=7)
    with pytest.raises(ZslbenchError, match="not chosen by 'seeds'. Did you mean seed"):
        found.predictions("random", seeds=1)
    with pytest.raises(NotFoundError, match="no stored result is called 'randon'. Did you mean random"):
        found.predictions("randon")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"splits": "x"}, "splits= 'x' is not understood; write 5"),
        ({"shots": 2}, "shots= has no meaning in zsl; use protocol= few-shot"),
        ({"without_overlap": True}, "without_overlap= leaves out classes"),
    ],
)
def test_an_error_names_arguments_and_no_options(tiny, folder, given, says):
    with pytest.raises(ZslbenchError) as error:
        zb.run("random", **SMALL | given)
    assert says in str(error.value)
    assert "--" not in str(error.value)


def test_a_bundle_is_read_like_its_folder(tiny, folder, zslbench, tmp_path):
    found = zb.run("random", **SMALL)
    assert zslbench("results", "export", tmp_path / "b.zip", "--results", folder)[0] == 0
    assert zb.results(tmp_path / "b.zip").leaderboard()["top1"].tolist() == found.leaderboard()["top1"].tolist()


def test_without_progress_nothing_is_printed_and_with_it_a_line_per_cell(tiny, folder, capsys):
    zb.run("random", **SMALL)
    assert capsys.readouterr() == ("", "")
    zb.run("random", **SMALL | {"progress": True}, rerun="all")
    out, err = capsys.readouterr()
    assert out == ""
    assert "[2/2] random on hmdb51@tiny zsl xu-50/50 #1: top1" in err


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"methods": []}, "methods is empty"),
        ({"methods": [3]}, "3 is no method; give a name"),
        ({"methods": "rigde"}, "no method is called 'rigde'. Did you mean ridge"),
        ({"methods": Broken({"neighbours": 2}), "set": {"broken": {"neighbours": 1}}}, "leave out set"),
        ({"dataset": "hmdb15"}, "no dataset is called 'hmdb15'. Did you mean hmdb51"),
        ({"protocol": "zzl"}, "protocol: 'zzl' is not known. Did you mean zsl"),
        ({"set": {"rige": {"alpha": 1}}}, "'rige', which is no method of this run"),
        ({"errors": "stop"}, "errors='stop' is unknown; give 'keep' or 'raise'"),
        ({"rerun": "some"}, "rerun='some' is unknown"),
        ({"errors": "raise", "workers": 2}, "leave out the workers and limits"),
        ({"methods": Nearest, "timeout": 5}, "nearest is a local method, .* leave the limit out"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_leaves_nothing(tiny, folder, change, sentence):
    with pytest.raises(ZslbenchError, match=sentence) as error:
        zb.run(**{"methods": "random"} | SMALL | change)
    assert "\n" not in str(error.value)
    assert not folder.exists()


def test_results_of_a_missing_folder_are_refused(folder):
    with pytest.raises(NotFoundError, match="no results folder or bundle nowhere"):
        zb.results("nowhere")


def test_an_installed_class_is_its_method_and_not_a_local_one(tiny, folder):
    random = get_method("random")
    assert set(zb.run([random, random()], **SMALL).cells["cell"]) == set(zb.run("random", **SMALL).cells["cell"])


def test_errors_raise_gives_the_methods_own_exception_and_stores_the_cell(tiny, folder):
    import numpy as np

    with pytest.raises(np.linalg.LinAlgError, match="must be square") as raised:
        zb.run(["random", Broken], **SMALL, errors="raise")
    assert raised.traceback[-1].name != "run_inline"
    assert raised.value.__cause__ is None
    (line,) = zb.results(folder).failures.to_dict("records")
    assert (line["type"], line["method"]) == ("LinAlgError", "broken [local]")
    assert line["where"].endswith("local_methods.py:43, in multiply")
    assert Path(line["traceback"]).read_text().splitlines()[-1].startswith("numpy.linalg.LinAlgError: ")


def test_a_failed_rerun_is_a_failure_beside_the_figures_that_stay(tiny, folder, monkeypatch):
    before = zb.run(Nearest, **SMALL).leaderboard()["top1"].tolist()
    monkeypatch.setattr(Nearest, "fit", Broken.multiply)
    again = zb.run(Nearest, **SMALL, rerun="all")
    assert again.leaderboard()["top1"].tolist() == before
    assert again.failures["state"].tolist() == ["failed", "failed"]
