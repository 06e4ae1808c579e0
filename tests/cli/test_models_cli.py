"""``run --save-model``, ``embed`` and ``predict`` as a user types them; and the same model out of MLflow."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from plugins import install_misbehaving
from tiny import make_features, plan

from zslbench.cells.store import Store
from zslbench.run.models import load_model
from zslbench.videos import Videos


@pytest.fixture
def features():
    return make_features()


@pytest.fixture
def run(zslbench, features, tmp_path):
    def call(*args, methods=("ridge",), track="--no-track"):
        methods = [part for name in methods for part in ("--method", name)]
        line = ["--dataset", "hmdb51", "--features", "tiny", "--splits", "1", "--results", tmp_path / "runs", track]
        return zslbench("run", *methods, *line, *args)

    return call


@pytest.fixture
def model(run, tmp_path):
    assert run("--save-model")[0] == 0
    (folder,) = (tmp_path / "runs" / "models").iterdir()
    return load_model(folder)


@pytest.fixture
def ask(zslbench, tmp_path):
    def call(verb, name, *args):
        return zslbench(verb, name, "--results", tmp_path / "runs", *args)

    return call


def wrong(result):
    """Return the last line of a refusal: the only one that complains."""
    code, out, err = result
    assert code == 2, (out, err)
    assert "Traceback" not in err
    return err.splitlines()[-1]


def test_models_are_kept_when_asked_for_and_a_done_cell_without_one_runs_again(run, tmp_path):
    _, _, err = run()
    assert not (tmp_path / "runs" / "models").exists()
    _, _, err = run("--save-model")
    assert "0 kept from before, 1 to run" in err
    (folder,) = (tmp_path / "runs" / "models").iterdir()
    assert f"  {folder.name[:8]} (ridge, xu-50/50 #0, seed 0)" in err.splitlines()
    assert "1 kept from before, 0 to run" in run("--save-model")[2]
    assert "1 kept from before, 0 to run" in run()[2]


def offered(text):
    """Return the arguments of the one command that a text offers."""
    (line,) = [line.strip() for line in text.splitlines() if line.startswith("  zslbench predict ")]
    return shlex.split(line)[1:]


@pytest.mark.parametrize("where", ["elsewhere", "in the working directory", "the default"])
def test_the_predict_lines_of_run_and_models_work_as_they_stand(zslbench, features, tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    place = {"elsewhere": tmp_path.parent / "my runs", "in the working directory": "my runs", "the default": None}[
        where
    ]
    results = ["--results", place] if place else []
    run = ["run", "--method", "ridge", "--dataset", "hmdb51", "--features", "tiny", "--splits", "1", "--no-track"]
    said = zslbench(*run, "--save-model", *results)[2]
    listed = zslbench("models", *results)[1]
    assert offered(said) == offered(listed)
    assert ("--results" in offered(said)) == bool(place)
    code, out, err = zslbench(*offered(said))
    assert (code, len(out.splitlines()) > 3) == (0, True), err


def test_models_lists_each_saved_model_and_says_which_cannot_be_read(run, ask, zslbench, tmp_path):
    results = ("--results", tmp_path / "runs")
    assert zslbench("models", *results)[0] == 2
    run("--save-model", "--seed", "0", "--seed", "3", "--set", "ridge.alpha=10")
    found = json.loads(zslbench("models", *results, "--format", "json")[1])
    assert {model["seed"] for model in found} == {0, 3}
    for model in found:
        path = tmp_path / "runs" / "models" / model["id"]
        assert model["folder"] == path.as_posix()
        assert model["bytes"] == sum(file.stat().st_size for file in path.iterdir())
        assert (model["method"], model["dataset"], model["features"]) == ("ridge (alpha=10)", "hmdb51", "tiny")
    (path / "model.json").write_text("{", encoding="utf-8")
    code, out, err = zslbench("models", *results)
    assert code == 0
    assert f"note: the model {path} is damaged" in err
    assert path.name[:8] not in out
    assert found[0]["id"][:8] in out


def test_models_without_any_says_how_to_save_one(zslbench, run, tmp_path):
    run()
    code, out, err = zslbench("models", "--results", tmp_path / "runs")
    assert (code, out) == (0, "")
    assert "zslbench run --save-model" in err


def test_a_warning_of_several_cells_is_printed_once_with_their_number(run, monkeypatch):
    from zslbench_methods import ridge

    monkeypatch.setattr(ridge, "_STRENGTHS", (0.1, 1e6))
    err = run("--splits", "3")[2]
    assert err.count("warning: ridge, 3 of 3 cells: alpha=0.1 is the first of") == 1
    assert err.count("a better one may lie beyond.") == 1
    assert "warning: " not in run("--set", "ridge.alpha=1")[2]


def test_all_scores_are_kept_when_asked_for_and_a_done_cell_without_them_runs_again(run, tmp_path):
    def kept():
        (cell,) = (tmp_path / "runs" / "cells").iterdir()
        return np.load(cell / "scores.npy", allow_pickle=False) if (cell / "scores.npy").exists() else None

    assert run()[0] == 0
    assert kept() is None
    assert "0 kept from before, 1 to run" in run("--keep-scores")[2]
    assert (kept().dtype, kept().shape) == (np.float32, (25 * 6, 25))
    assert "1 kept from before, 0 to run" in run("--keep-scores", "float16")[2]
    (tmp_path / "e.toml").write_text('keep_scores = "float16"')
    assert "1 to run" in run("--experiment", tmp_path / "e.toml", "--rerun", "all")[2]
    assert kept().dtype == np.float16
    (tmp_path / "e.toml").write_text('keep_scores = "float8"')
    said = wrong(run("--experiment", tmp_path / "e.toml"))
    assert "--keep_scores: 'float8' is not known" in said
    assert all(name in said for name in ("float32", "float16", "float64"))


@pytest.mark.slow
def test_workers_keep_models_too_and_a_method_without_a_state_is_done_with_a_note(features, tmp_path, data_root):
    plugins = install_misbehaving(tmp_path / "plugins")
    env = os.environ | {"PYTHONPATH": str(plugins), "ZSLBENCH_DATA_ROOT": str(data_root)}
    line = [sys.executable, "-m", "zslbench", "run", "--method", "ridge", "--method", "good", "--dataset", "hmdb51"]
    line += ["--features", "tiny", "--splits", "1", "--workers", "1", "--save-model", "--no-track"]
    line += ["--results", str(tmp_path / "runs"), "--keep-scores", "float16"]
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "note: 1 cells: no model is kept: good cannot be saved" in done.stderr
    store = Store(tmp_path / "runs")
    kept = {record.cell.method: store.has_model(record.cell.id) for record in store.records()}
    assert kept == {"ridge": True, "good": False}
    assert not any(store.lacks_scores(record.cell.id) for record in store.records())
    again = subprocess.run(line, env=env, capture_output=True, text=True, timeout=120)
    assert "2 kept from before, 0 to run" in again.stderr


def test_embed_writes_ids_labels_and_the_methods_embeddings(ask, model, features, tmp_path):
    code, out, err = ask("embed", model.card.id[:8], "--out", tmp_path / "e.npz")
    assert (code, "306 videos of hmdb51@tiny, 384 values each" in out) == (0, True)
    assert model.card.title in err
    with np.load(tmp_path / "e.npz", allow_pickle=False) as arrays:
        assert arrays["ids"].tolist() == features.ids
        assert arrays["labels"].tolist() == [features.dataset.classes[i] for i in features.labels]
        expected = model.method.embed(Videos(features.store, np.arange(306)))
        np.testing.assert_allclose(arrays["vectors"], expected, atol=1e-6)
    ask("embed", model.folder, "--out", tmp_path / "e.npy")
    np.testing.assert_allclose(np.load(tmp_path / "e.npy", allow_pickle=False), expected, atol=1e-6)


def test_predict_ranks_the_classes_that_were_typed(ask, model, features):
    chosen = ["wave_0", "climb_3"]
    args = ["--classes", "Brush Hair, wave,climb", "--videos", chosen[0], "--videos", chosen[1], "--top", 2]
    code, out, _ = ask("predict", model.card.id, *args)
    assert code == 0
    classes = model.classes_of(["brush_hair", "wave", "climb"])
    rows = [features.ids.index(video) for video in chosen]
    scores = model.method.score(Videos(features.store, np.array(rows)), classes)
    for line, video, values in zip(out.splitlines()[2:], chosen, scores, strict=True):
        first, second = np.argsort(-values)[:2]
        expected = [video, video[:-2], classes.names[first], f"{values[first]:.3f}", classes.names[second]]
        assert line.split()[:5] == expected


def test_predict_writes_every_video_and_reads_classes_from_a_file(ask, model, features, tmp_path):
    (tmp_path / "names.txt").write_text("wave\n\nclimb\n")
    args = ["--classes", tmp_path / "names.txt", "--out", tmp_path / "p.parquet", "--top", 9]
    code, out, _ = ask("predict", model.card.id, *args)
    assert (code, "2 classes for each of 306 videos" in out) == (0, True)
    found = pq.read_table(tmp_path / "p.parquet").to_pydict()
    assert found["video"][:2] == [features.ids[0]] * 2
    assert found["rank"] == [1, 2] * 306
    assert set(found["predicted"]) == {"wave", "climb"}
    assert all(a >= b for a, b in zip(found["score"][::2], found["score"][1::2], strict=True))
    code, _, _ = ask("predict", model.card.id, "--out", tmp_path / "p.csv", "--top", 1)
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert (code, len(lines), lines[0]) == (0, 307, '"video","class","rank","predicted","score"')


def test_predict_shows_some_videos_and_says_how_to_get_the_rest(ask, model):
    code, out, err = ask("predict", model.card.id)
    assert code == 0
    assert len(out.splitlines()) == 22
    assert "20 of 306 videos" in err
    assert "of 51 classes were seen in training" in err


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--videos", "wave_00"], "no video 'wave_00'. Did you mean wave_0"),
        (["--classes", ","], "no class is named"),
        (["--classes", "absent.txt"], "there is no absent.txt; check the path, or give a text file"),
        (["--out", "p.xlsx"], "must end in .csv or .parquet"),
        (["--dataset", "hmdb51", "--features", "c3d"], "no feature set 'c3d'"),
        (["--features", "wide"], "hmdb51@wide has 8 values per frame, but the model was trained on 16"),
        (["--classes", "wave, qwzx"], "qwzx"),
        (["--out", "/nowhere/p.csv"], "cannot write /nowhere/p.csv"),
    ],
)
def test_bad_predictions_are_refused_in_one_sentence(args, sentence, ask, model, monkeypatch):
    monkeypatch.setattr("zslbench.semantics.encoder.find_spec", lambda name: None)  # as where there is no encoder
    make_features(name="wide", dim=8)
    assert sentence in wrong(ask("predict", model.card.id, *args))


def test_an_unknown_video_ends_with_a_few_ids(ask, model):
    sentence = wrong(ask("predict", model.card.id, "--videos", "?"))
    assert len(sentence) < 160
    assert sentence.count("_") >= 3


def test_names_that_are_no_classes_are_told_as_new_phrases(ask, model):
    _, _, err = ask("predict", model.card.id, "--classes", "violin, climb, push ups", "--top", 1)
    assert "note: new phrases: push ups (did you mean pushup?), violin." in err
    _, _, err = ask("predict", model.card.id, "--classes", "violin,accordion,archery,abseiling", "--top", 1)
    assert "note: new phrases: violin, accordion, archery and 1 more." in err
    _, _, err = ask("predict", model.card.id, "--classes", "Brush Hair, wave", "--top", 1)
    assert "new phrase" not in err


def test_bad_embeddings_are_refused_in_one_sentence(ask, model, run, tmp_path):
    assert "must end in .npz or .npy" in wrong(ask("embed", model.card.id, "--out", tmp_path / "x.csv"))
    assert "cannot write" in wrong(ask("embed", model.card.id, "--out", tmp_path / "nowhere" / "x.npz"))
    assert "'zzz' is neither" in wrong(ask("embed", "zzz", "--out", tmp_path / "x.npz"))
    run("--save-model", methods=("eszsl",))
    (cell,) = plan(method="eszsl", splits="1")
    assert "eszsl does not embed videos" in wrong(ask("embed", cell.id, "--out", tmp_path / "x.npz"))
    assert not (tmp_path / "x.npz").exists()


def test_features_of_another_extractor_are_a_note(ask, model, tmp_path):
    folder = make_features(name="other").path
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"extractor": "c3d"}))
    code, _, err = ask("embed", model.card.id, "--features", "other", "--out", tmp_path / "e.npy")
    assert code == 0
    assert "note: hmdb51@other is from 'c3d', but the model was trained on 'test'" in err


@pytest.mark.slow
def test_a_tracked_model_is_served_by_mlflow_in_a_fresh_process(run, tmp_path, data_root):
    from mlflow.tracking import MlflowClient

    values = ["hidden1=8", "hidden2=8", "attn_units=4", "epochs=1", "min_batches=1"]
    options = [part for value in values for part in ("--set", f"action2vec.{value}")]
    code, _, err = run("--save-model", *options, methods=("action2vec",), track="--track")
    assert code == 0
    assert "Warning" not in err
    uri = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    client = MlflowClient(uri)
    (folder,) = (tmp_path / "runs" / "models").iterdir()
    (logged,) = client.search_logged_models([e.experiment_id for e in client.search_experiments()])
    child = client.get_run(logged.source_run_id)
    assert child.data.tags["zslbench.cell_id"] == folder.name
    assert [output.model_id for output in child.outputs.model_outputs] == [logged.model_id]

    x = np.random.default_rng(0).normal(size=(2, 4, 16)).astype(np.float32)
    names = ["wave", "brush hair"]
    (tmp_path / "in.json").write_text(json.dumps({"inputs": x.tolist(), "params": {"classes": names}}))
    command = [sys.executable, "-m", "mlflow", "models", "predict", "-m", f"models:/{logged.model_id}"]
    command += ["-i", str(tmp_path / "in.json"), "--env-manager", "local", "-o", str(tmp_path / "out.json")]
    env = os.environ | {"MLFLOW_TRACKING_URI": uri, "ZSLBENCH_DATA_ROOT": str(data_root)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    model = load_model(folder)
    expected = model.method.score(Videos.from_arrays(x), model.classes_of(names))
    found = json.loads((tmp_path / "out.json").read_text())["predictions"]
    np.testing.assert_allclose([[row["wave"], row["brush_hair"]] for row in found], expected, atol=1e-6)

    code = "import sys, mlflow, numpy as np; m = mlflow.pyfunc.load_model(sys.argv[1]); x = np.load(sys.argv[2])"
    code += "; m.predict(x).to_parquet(sys.argv[3])"
    np.save(
        tmp_path / "x.npy", np.concatenate([x, np.full_like(x[:, :1], np.nan)], axis=1)
    )  # a frame that is not there
    paths = [str(tmp_path / name) for name in ("x.npy", "all.parquet")]
    subprocess.run([sys.executable, "-c", code, f"models:/{logged.model_id}", *paths], env=env, check=True, timeout=300)
    scores = pq.read_table(tmp_path / "all.parquet").to_pandas()
    assert tuple(scores.columns) == model.classes.names
    np.testing.assert_allclose(scores[["wave", "brush_hair"]], expected, atol=1e-6)


@pytest.mark.slow
def test_a_model_of_pooled_features_is_logged_once_and_takes_a_vector_a_video(run, zslbench, tmp_path, empty_mlflow):
    import mlflow
    from mlflow.tracking import MlflowClient

    (tmp_path / "runs").mkdir()
    shutil.copy(empty_mlflow, tmp_path / "runs")
    run("--save-model", track="--track")
    code, out, _ = zslbench("track", "sync", "--results", tmp_path / "runs")
    assert (code, "1 unchanged" in out) == (0, True)
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    (logged,) = client.search_logged_models([e.experiment_id for e in client.search_experiments()])
    model = mlflow.pyfunc.load_model(logged.artifact_location)
    x = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    saved = load_model(tmp_path / "runs" / "models" / logged.tags["zslbench.model_id"])
    np.testing.assert_array_equal(model.predict(x), saved.method.score(Videos.from_arrays(x), saved.classes))
    with pytest.raises(mlflow.exceptions.MlflowException, match="shape"):
        model.predict(x[:, :5])


def test_a_damaged_model_does_not_stop_tracking(model, zslbench, tmp_path, caplog, empty_mlflow):
    shutil.copy(empty_mlflow, tmp_path / "runs")
    (model.folder / "model.safetensors").write_bytes(b"")
    code, out, _ = zslbench("track", "sync", "--results", tmp_path / "runs")
    assert (code, "1 cells created" in out) == (0, True)
    assert "not logged to MLflow" in caplog.text


@pytest.fixture
def verb(monkeypatch, tmp_path):
    """A verb of somebody who uses ``model_options``: it prints its model's title, classes and features."""
    import click

    from zslbench import cli
    from zslbench.cli import _model

    @click.command()
    @_model.model_options
    def command(**options):
        model, (_, given) = _model.chosen_model(options), _model.chosen_inputs(options)
        click.echo(f"{model.card.cell.label} {len(model.card.seen)} {model.card.cell.split} {given.title}")

    monkeypatch.setattr(cli.importlib, "import_module", lambda name: type("module", (), {"command": command}))
    monkeypatch.setitem(cli._VERBS, "look", ("look", "Look at a model."))
    return lambda *args: ("look", "--results", tmp_path / "runs", *args)


def test_a_model_that_a_verb_names_by_its_settings_is_trained_once(verb, zslbench, features, tmp_path):
    asked = verb("--method", "ridge", "--dataset", "hmdb51", "--split", "3", "--set", "ridge.alpha=2")
    code, out, _ = zslbench(*asked)
    assert (code, out) == (0, "ridge 26 3 hmdb51@tiny\n")
    ((folder,),) = [list((tmp_path / "runs" / "models").iterdir())]
    before = (folder / "model.json").stat().st_mtime_ns
    assert zslbench(*asked)[1] == out
    assert (folder / "model.json").stat().st_mtime_ns == before
    assert zslbench(*verb("--model", folder.name[:9]))[1] == out
    assert zslbench(*asked, "--all-classes")[1] == "ridge 51 3 hmdb51@tiny\n"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "name a --method"),
        (["--method", "ridge"], "name a --dataset"),
        (["--method", "ridge", "--model", "abc"], "leave one of them out"),
        (["--model", "abc"], "'abc' is neither a folder of a saved model"),
        (["--method", "ridge", "--dataset", "hmdb51", "--split", "50"], "50"),
        (["--method", "rigde", "--dataset", "hmdb51"], "Did you mean ridge"),
    ],
)
def test_a_model_that_cannot_be_meant_is_refused_in_one_sentence(args, sentence, verb, zslbench, features):
    assert sentence in wrong(zslbench(*verb(*args)))
