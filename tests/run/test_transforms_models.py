"""Saved models of methods that were trained on projected frames."""

import numpy as np
import pytest
from projected import HMDB51, SEQUENCE, K, cell_of, derived, fresh_caches  # noqa: F401 - a fixture
from tiny import make_features

from zslbench.cells.store import Store
from zslbench.embeddings.class_embeddings import video_embeddings
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features, remove_features
from zslbench.features.transforms import fit_pca
from zslbench.method import Report
from zslbench.run.evaluate import evaluate
from zslbench.run.models import describe, load_model, save_model
from zslbench.run.runner import fitted_model
from zslbench.run.task import build_task
from zslbench.videos import storage


@pytest.mark.parametrize("method", ["ridge", "action2vec"])
def test_a_model_keeps_the_pca_that_it_was_trained_with(method, tmp_path):
    make_features()
    small = derived()
    cell = cell_of(method=method, set={"action2vec": SEQUENCE} if method == "action2vec" else {})
    outcome, task = evaluate(cell, Report()), build_task(cell)
    card, vectors = describe(cell, outcome.method, outcome.seen, outcome.unseen)
    save_model(tmp_path / "m", outcome.method, card, vectors, outcome.projection)
    expected = np.asarray(outcome.method.embed(task.test), dtype=np.float32)
    remove_features("hmdb51", "small")  # with its matrices
    loaded = load_model(tmp_path / "m")
    assert loaded.projection.key == task.projection.key
    for features in (derived(), open_features(HMDB51, "tiny"), derived("all", "everything")):
        assert loaded.check_features(features.manifest) == []
        np.testing.assert_allclose(video_embeddings(loaded, features)[storage(task.test).rows], expected, atol=1e-5)
    with pytest.raises(ZslbenchError, match="has 17 values per frame, but the model was trained on 16"):
        loaded.check_features(small.parent.manifest.model_copy(update={"dim": 17}))


def test_a_model_of_all_classes_is_fitted_on_all_of_their_videos(tmp_path):
    features = make_features()
    derived()
    store = Store(tmp_path)
    store.prepare()
    model = fitted_model(cell_of(), store, everything=True)
    assert model.projection.key == fit_pca(features.store, np.arange(len(features.ids)), K).key


def test_a_model_of_plain_features_refuses_projected_ones(tmp_path):
    make_features()
    cell = cell_of("tiny")
    outcome = evaluate(cell, Report())
    save_model(tmp_path / "m", outcome.method, *describe(cell, outcome.method, outcome.seen, outcome.unseen))
    with pytest.raises(ZslbenchError, match=f"has {K} values per frame, but the model was trained on 16"):
        load_model(tmp_path / "m").check_features(derived().manifest)


def test_a_served_model_takes_features_as_they_are_extracted(tmp_path):
    pytest.importorskip("mlflow")
    from types import SimpleNamespace

    from zslbench.tracking._pyfunc import ZeroShotModel

    features = make_features()
    derived()
    cell = cell_of()
    outcome, task = evaluate(cell, Report()), build_task(cell)
    card, vectors = describe(cell, outcome.method, outcome.seen, outcome.unseen)
    save_model(tmp_path / "m", outcome.method, card, vectors, outcome.projection)
    served = ZeroShotModel()
    served.load_context(SimpleNamespace(artifacts={"model": str(tmp_path / "m")}))
    classes = task.test_classes
    found = served.predict(None, features.store.pooled()[storage(task.test).rows], {"classes": list(classes.names)})
    np.testing.assert_allclose(found.to_numpy(), outcome.method.score(task.test, classes), atol=1e-5)
