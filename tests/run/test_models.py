"""A saved model is the model: same weights to the last bit, and so the same scores, here and in a fresh process."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from plugins import install
from safetensors.numpy import load_file
from tiny import make_features, plan

from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.embeddings.card import as_markdown, make_card
from zslbench.embeddings.class_embeddings import from_method, video_embeddings
from zslbench.embeddings.table import VectorTable
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.kernels import normalised
from zslbench.method import Report, Videos
from zslbench.registry import get_method
from zslbench.run import models
from zslbench.run.evaluate import evaluate
from zslbench.run.models import describe, find_model, load_model, save_model
from zslbench.run.runner import fitted_model
from zslbench.run.task import build_task

SMALL = {"hidden1": 16, "hidden2": 8, "epochs": 1, "min_batches": 1}
HIERARCHY = SMALL | {"attn_units": 4}
# Every way in which a built-in method can come to its state.
METHODS = {
    "action2vec": HIERARCHY,
    "action2vec:paper": HIERARCHY,
    "action2vec:no-attention": HIERARCHY | {"refit": False},
    "stacked-lstm": SMALL,
    "single-lstm": SMALL | {"input_scale": "standardise"},
    "devise": {"epochs": 2, "min_batches": 1},
    "pooled-krr": {},
    "pooled-krr:linear": {"kernel": "linear", "laplacian": "none"},
    "pooled-krr:cosine": {"kernel": "cosine"},
    "pooled-krr:test": {"laplacian": "train+test"},
    "ridge": {},
    "reverse-ridge": {},
    "eszsl": {},
    "sae": {},
    "tzs": {},
    "tzs:transductive": {},
    "mte": {},
    "mte:rmtl": {},
    "ridge+nrm": {},
    "mte+self-training+gc": {},
    "conse": {},
    "sje": {"epochs": 2, "min_batches": 1},
    "ale": {"epochs": 2, "min_batches": 1},
    "latem": {"epochs": 2, "min_batches": 1},
    "dem": {"epochs": 2, "min_batches": 1},
    "dap": {},
    "dap:probability": {"attributes": "probability"},
    "iap": {},
    "kdica": {},
    "sync": {},
    "coco": {"epochs": 2, "min_batches": 1},
    "sti": {"epochs": 2, "min_batches": 1, "space": "learnt"},
    "f-clswgan": {"hidden": 16, "epochs": 2, "min_batches": 1},
    "f-vaegan": {"hidden": 16, "epochs": 2, "min_batches": 1, "classifier": "nearest-mean"},
    "uda": {"rounds": 2},
    "uda:iap": {"rounds": 2, "weights": "iap"},
    "random": {},
    "majority": {},
}


@pytest.fixture
def features():
    return make_features()


def cell_of(label, **more):
    name, _, preset = label.partition(":")
    label = label if preset in get_method(name).presets else name
    (cell,) = plan(method=label, splits="1", set={label: METHODS.get(label, {}) | more})
    return cell


def fitted(cell):
    """Return the fitted method, and its unseen videos in a store of their own."""
    outcome = evaluate(cell, Report())
    test = build_task(cell).test
    videos = Videos.from_arrays([test.sequence(i) for i in range(len(test))])
    return outcome, videos


@pytest.mark.parametrize("label", METHODS)
def test_a_restored_model_gives_the_same_bits_on_unseen_videos(label, features, tmp_path):
    cell = cell_of(label, **METHODS[label])
    outcome, videos = fitted(cell)
    save_model(tmp_path / "m", outcome.method, *describe(cell, outcome.method, outcome.seen, outcome.unseen))
    loaded = load_model(tmp_path / "m")
    classes = loaded.classes_of(loaded.classes.names)  # with the attributes and texts that a method may read
    expected = outcome.method.score(videos, classes)
    np.testing.assert_array_equal(loaded.method.score(videos, classes), expected)
    assert np.unique(expected).size > 1  # or the test would compare nothing
    assert loaded.classes.names == outcome.seen.names + outcome.unseen.names
    np.testing.assert_array_equal(loaded.classes.vectors[-len(outcome.unseen) :], outcome.unseen.vectors)
    assert loaded.notices == ()


def test_every_built_in_method_is_among_those_tested():
    from importlib.metadata import entry_points

    built_in = {p.name for p in entry_points(group="zslbench.methods") if p.value.startswith("zslbench_methods.")}
    # These need features in the class vectors' own space, or score trained classes only; the conformance kit saves and
    # loads them.
    others = {
        "nearest-text", "clip-zero-shot", "bike", "tip-adapter", "tip-adapter-f", "clip-adapter", "coop", "text4vis",
        "linear-probe", "nearest-class-mean",
    }  # fmt: skip
    assert built_in - others == {label.partition(":")[0] for label in METHODS if "+" not in label}


CHILD = """
import sys, numpy as np
from safetensors.numpy import save_file
from pathlib import Path
from zslbench.method import Videos
from zslbench.run.models import load_model
model = load_model(Path(sys.argv[1]))
np.save(sys.argv[3], model.method.score(Videos.from_arrays(np.load(sys.argv[2])), model.classes))
save_file(model.method.state(), sys.argv[4])
"""


@pytest.mark.slow
def test_a_fresh_process_has_the_same_weights_and_scores(features, tmp_path):
    cell = cell_of("action2vec")
    outcome, _ = fitted(cell)
    saved = save_model(tmp_path / "m", outcome.method, *describe(cell, outcome.method, outcome.seen, outcome.unseen))
    frames = np.random.default_rng(0).normal(size=(5, 7, 16)).astype(np.float32)
    np.save(tmp_path / "x.npy", frames)
    paths = [str(tmp_path / name) for name in ("m", "x.npy", "scores.npy", "state.safetensors")]
    subprocess.run([sys.executable, "-c", CHILD, *paths], check=True)
    state, restored = outcome.method.state(), load_file(tmp_path / "state.safetensors")
    assert state.keys() == restored.keys()
    assert all(np.array_equal(state[name], restored[name]) for name in state)
    # A product's last bits depend on the process too: on where its arrays lie, and how many threads share them.
    expected = outcome.method.score(Videos.from_arrays(frames), saved.classes)
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected, atol=1e-6)


@pytest.mark.parametrize("label", ["action2vec", "action2vec:paper", "devise", "ridge", "pooled-krr"])
def test_a_score_is_the_cosine_of_an_embedding_and_a_placed_class_vector(label, features):
    outcome, videos = fitted(cell_of(label))
    method = outcome.method
    cosines = normalised(method.embed(videos)) @ normalised(method.place(outcome.unseen.vectors)).T
    np.testing.assert_allclose(method.score(videos, outcome.unseen), cosines, atol=1e-5)


@pytest.mark.parametrize("label", ["action2vec", "ridge"])
def test_video_embeddings_are_those_of_the_method_and_classes_their_means(label, features, tmp_path):
    cell = cell_of(label)
    model = fitted_model(cell, Store(tmp_path))
    vectors = video_embeddings(model, features)
    videos = Videos(features.store, np.arange(len(features.ids)))
    np.testing.assert_allclose(vectors, model.method.embed(videos), atol=1e-6)
    found = from_method(model, features)
    assert found.names == features.covered
    assert found.seen.tolist() == [name in model.card.seen for name in found.names]
    for i in (0, 50):
        np.testing.assert_allclose(found.vectors[i], vectors[features.labels == i].mean(axis=0), atol=1e-6)


def test_a_method_without_embeddings_is_refused_by_name(features, tmp_path):
    with pytest.raises(ZslbenchError, match="eszsl does not embed videos.*choose a method"):
        video_embeddings(fitted_model(cell_of("eszsl"), Store(tmp_path)), features)


def test_the_card_tells_where_the_model_comes_from(features, tmp_path):
    cell = cell_of("ridge")
    fitted_model(cell, Store(tmp_path))
    card = json.loads((tmp_path / "models" / cell.id / "model.json").read_text())
    split = features.dataset.family("xu-50/50").splits[0]
    assert set(card["seen"]) == set(split.seen)
    assert set(card["unseen"]) == set(split.unseen)
    assert card["cell"]["method_digest"] == cell.method_digest
    assert card["cell"]["params"] == cell.params
    assert card["features"] == {
        "title": "hmdb51@tiny", "kind": "sequences", "dim": 16, "extractor": "test", "trained_on": ["nothing"],
    }  # fmt: skip


def test_a_cell_is_run_once_for_its_model_and_scores_as_it_did(features, tmp_path, monkeypatch):
    cell, store = cell_of("ridge"), Store(tmp_path)
    first = fitted_model(cell, store)
    monkeypatch.setattr("zslbench.run.runner.fit_on_all_classes", None)
    monkeypatch.setattr("zslbench.run.runner.evaluate", None)
    again = fitted_model(cell, store)
    task = build_task(cell)
    top1 = (again.method.score(task.test, task.test_classes).argmax(axis=1) == task.labels).mean()
    assert top1 == pytest.approx(store.read(cell.id).result.metrics["top1"])
    assert again.card == first.card


def test_a_model_of_all_classes_is_fitted_on_every_video_and_kept_apart(features, tmp_path):
    cell, store = cell_of("ridge", alpha=2.0), Store(tmp_path)
    model = fitted_model(cell, store, everything=True)
    assert model.card.seen == features.covered
    assert model.card.unseen == ()
    assert model.folder.name not in ("", cell.id)
    assert list(store.records()) == []
    from sklearn.linear_model import Ridge

    x = normalised(features.store.pooled())
    reference = Ridge(alpha=2.0).fit(x, model.classes.vectors[features.labels])
    expected = normalised(reference.predict(x)) @ normalised(model.classes.vectors).T
    videos = Videos(features.store, np.arange(len(x)))
    np.testing.assert_allclose(model.method.score(videos, model.classes), expected, atol=1e-5)
    assert load_model(model.folder).card == model.card


def test_a_model_of_all_classes_of_a_method_that_looks_at_the_test_is_refused(features, tmp_path):
    with pytest.raises(ZslbenchError, match=r"majority looks at the test \(oracle\)"):
        fitted_model(cell_of("majority"), Store(tmp_path), everything=True)
    with pytest.raises(ZslbenchError, match="unseen-videos"):
        fitted_model(cell_of("pooled-krr", laplacian="train+test"), Store(tmp_path), everything=True)


@pytest.fixture
def ridge(features, tmp_path):
    return fitted_model(cell_of("ridge", alpha=1.0), Store(tmp_path / "runs"))


def edit_card(model, **changes):
    path = model.folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cell_with(model, **changes):
    return {"cell": model.card.cell.model_dump(mode="json") | changes}


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda m: (m.folder / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda m: (m.folder / "model.safetensors").write_bytes(b"x" * 99), "does not match its checksum"),
        (lambda m: (m.folder / "model.json").unlink(), "has no saved model.*--save-model"),
        (lambda m: (m.folder / "model.json").write_text('{"schema_version": 1'), "model.json cannot be read"),
        (lambda m: (m.folder / "model.json").write_text('{"schema_version": 1}'), "damaged: model.json: cell"),
        (lambda m: edit_card(m, schema_version=9), "has format 9, but this zslbench .* reads 1; install"),
        (lambda m: edit_card(m, digests={}), "does not match its checksum"),
        (lambda m: edit_card(m, seen=["climb"]), "numbers of class vectors and classes differ"),
        (lambda m: edit_card(m, **cell_with(m, method="rigde")), "needs its method.*Did you mean ridge.*Install"),
        (lambda m: edit_card(m, **cell_with(m, params={"alhpa": 1})), "cannot restore.*train it again"),
        (lambda m: edit_card(m, **cell_with(m, method="eszsl", params={})), "the installed eszsl cannot restore"),
    ],
)
def test_a_model_that_cannot_be_trusted_is_refused_in_one_sentence(spoil, sentence, ridge):
    spoil(ridge)
    with pytest.raises(ZslbenchError, match=sentence) as error:
        load_model(ridge.folder)
    assert "\n" not in str(error.value)


def test_changed_code_is_told_and_not_refused(ridge):
    edit_card(ridge, **cell_with(ridge, method_digest="0" * 32))
    (notice,) = load_model(ridge.folder).notices
    assert "the code of ridge changed" in notice


def test_a_model_is_found_by_its_folder_and_by_the_beginning_of_its_id(ridge, tmp_path):
    store = Store(tmp_path / "runs")
    assert find_model(store, str(ridge.folder)) == ridge.folder
    assert find_model(store, ridge.card.id[:6]) == ridge.folder
    twin = ridge.folder.with_name(ridge.card.id[:6] + "x" * 26)
    twin.mkdir()
    (twin / "model.json").write_text("{}")
    with pytest.raises(NotFoundError, match="2 models .* give more"):
        find_model(store, ridge.card.id[:6])
    for nothing in ("", "*", "nowhere", ".."):
        with pytest.raises(NotFoundError, match="neither a folder of a saved model"):
            find_model(store, nothing)


def test_a_method_of_trained_classes_takes_no_others_and_needs_no_vectors_of_them(tmp_path):
    make_features(official=True)
    (cell,) = plan(method="nearest-class-mean", protocol="supervised", splits="1")
    model = fitted_model(cell, Store(tmp_path))
    assert model.classes_of().names == get_dataset("hmdb51").classes
    assert model.classes_of(["Brush hair"]).names == ("brush_hair",)
    with pytest.raises(ZslbenchError, match=r"only the 51 classes that it was trained on, and 'zzyzx' is none of them"):
        model.classes_of(["wave", "zzyzx"])


def test_a_method_that_does_not_train_is_not_called_trained(features, tmp_path):
    make_features(dim=384, pooled=True, name="text")
    (cell,) = plan(method="nearest-text", splits="1", features="text")
    model = fitted_model(cell, Store(tmp_path))
    assert model.card.title == "nearest-text (not trained) on hmdb51@text, xu-50/50 #0"
    assert model.card.trained == ()
    assert len(model.card.seen) == 26
    text = open_features(get_dataset("hmdb51"), "text")
    classes = from_method(model, text)
    assert classes.seen is None
    card = make_card(classes, "minilm", text.dataset, VectorTable((), classes.vectors[:0]), [], model=model)
    assert "The method was not trained" in as_markdown(card | {"files": {"a.txt": ""}})


def test_typed_names_are_classes_where_they_can_be_and_words_otherwise(ridge, features, monkeypatch):
    asked = []

    def text_vectors(spec, dataset, phrases):
        asked.extend(phrases)
        return np.ones((len(phrases), 384), dtype=np.float32)

    monkeypatch.setattr(models, "text_vectors", text_vectors)
    found = ridge.classes_of(["Brush Hair", "flying a kite", "brush_hair", "wave"])
    assert found.names == ("brush_hair", "flying a kite", "wave")
    assert asked == ["flying a kite"]
    place = ridge.classes.names.index("brush_hair")
    np.testing.assert_array_equal(found.vectors[0], ridge.classes.vectors[place])
    with pytest.raises(ZslbenchError, match="no class is named"):
        ridge.classes_of([])


def test_classes_of_another_dataset_have_that_datasets_vectors(ridge):
    from zslbench.datasets.catalog import get_dataset
    from zslbench.semantics.class_vectors import open_semantics

    ucf = get_dataset("ucf101")
    found = ridge.classes_of(["playing violin"], ucf)
    assert found.names == ("PlayingViolin",)
    np.testing.assert_array_equal(found.vectors, open_semantics("minilm", ucf, ["PlayingViolin"]).vectors)


def test_features_of_another_dimension_are_refused_and_of_another_extractor_told(ridge, features):
    assert ridge.check_features(features.manifest) == []
    (notice,) = ridge.check_features(features.manifest.model_copy(update={"extractor": "c3d"}))
    assert "'c3d'" in notice
    assert "'test'" in notice
    with pytest.raises(ZslbenchError, match="17 values per frame.*trained on 16"):
        ridge.check_features(features.manifest.model_copy(update={"dim": 17}))


@pytest.mark.parametrize("bad", [{"a": np.array(["x"])}, {"a": np.array([{}])}, {"a": 3}, [1], {"a": np.array([1j])}])
def test_a_state_that_is_no_arrays_of_numbers_is_refused_and_leaves_nothing(bad, ridge, tmp_path, monkeypatch):
    monkeypatch.setattr(ridge.method, "state", lambda: bad)
    with pytest.raises(TypeError, match="of ridge"):
        save_model(tmp_path / "m", ridge.method, ridge.card, ridge.classes.vectors)
    assert not (tmp_path / "m").exists()


def test_arrays_keep_type_shape_and_layout(ridge, tmp_path, monkeypatch):
    state = {
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2],
        "scalar": np.array(2.5),
        "flags": np.array([True, False]),
        "bytes": np.frombuffer(b"names", dtype=np.uint8),
        "empty": np.zeros((0, 4), dtype=np.float16),
    }
    back = {}
    monkeypatch.setattr(ridge.method, "state", lambda: state)
    save_model(tmp_path / "m", ridge.method, ridge.card, ridge.classes.vectors)
    monkeypatch.setattr(type(ridge.method), "restore", lambda self, given: back.update(given))
    load_model(tmp_path / "m")
    assert back.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(back[name], array)
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        assert back[name].flags.writeable
    assert back["fortran"].flags.f_contiguous


PLUGIN = """
from zslbench.method import Method, MethodInfo


class Mute(Method):
    info = MethodInfo(name="mute", summary="Defines no state.")

    def fit(self, seen, classes, target, report):
        pass

    def score(self, videos, classes):
        return videos.pooled()[:, :1] + 0 * classes.vectors[:, 0]
"""


def test_a_method_without_a_state_is_a_done_cell_with_a_warning_and_is_not_run_again(features, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(install(tmp_path / "plugins", "mute_plugin", PLUGIN, {"mute": "mute_plugin:Mute"}))
    (cell,) = plan(method="mute", splits="1")
    store = Store(tmp_path / "runs", keep_models=True)
    from zslbench.run.runner import run_cell

    result = run_cell(cell, store, Report())
    assert result.state == "done"
    assert result.warnings == ["no model is kept: mute cannot be saved: it defines no state() and restore()"]
    assert not store.has_model(cell.id)
    assert not store.lacks_model(cell.id)
    with pytest.raises(ZslbenchError, match="mute cannot be saved.*choose another method"):
        fitted_model(cell, store)


def test_a_model_that_could_not_be_written_is_missing_and_its_cell_is_done(features, tmp_path, monkeypatch):
    from zslbench.run.runner import run_cell

    (tmp_path / "models").write_text("in the way")
    cell, store = cell_of("ridge", alpha=1.0), Store(tmp_path, keep_models=True)
    result = run_cell(cell, store, Report())
    assert result.state == "done"
    assert "no model is kept" in result.warnings[-1]
    assert store.lacks_model(cell.id)


@pytest.mark.parametrize(("label", "centred"), [("action2vec", True), ("action2vec:paper", False), ("devise", True)])
def test_class_vectors_are_placed_as_the_network_was_trained_to_see_them(label, centred, features):
    outcome, _ = fitted(cell_of(label))
    mean = normalised(outcome.seen.vectors).mean(axis=0) if centred else 0
    expected = normalised(normalised(outcome.unseen.vectors) - mean)
    np.testing.assert_allclose(outcome.method.place(outcome.unseen.vectors), expected, atol=1e-6)


@pytest.mark.parametrize("everything", [False, True])
def test_of_two_commands_that_ask_for_one_model_one_trains_it_and_the_other_waits(
    tmp_path, features, monkeypatch, everything
):
    trained, save = [], models.save_model

    def slowly(folder, *rest):
        trained.append(folder.name)
        time.sleep(0.5)
        return save(folder, *rest)

    monkeypatch.setattr("zslbench.run.runner.save_model", slowly)
    with ThreadPoolExecutor(2) as pool:
        ask = partial(fitted_model, cell_of("ridge"), everything=everything)
        first, second = pool.map(ask, [Store(tmp_path), Store(tmp_path)])
    assert trained == [first.folder.name] == [second.folder.name]
