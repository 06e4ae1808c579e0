"""PCA as a step: what it is fitted on, what a method then sees, and that models keep theirs."""

import shutil
import tracemalloc

import numpy as np
import pytest
from projected import HMDB51, SEQUENCE, K, cell_of, derived, fresh_caches  # noqa: F401 - a fixture
from tiny import make_features, plan

from zslbench.datasets.catalog import get_dataset
from zslbench.digests import digest
from zslbench.embeddings.class_embeddings import from_features
from zslbench.errors import ZslbenchError
from zslbench.features import derived as derive
from zslbench.features import transforms
from zslbench.features.catalog import derive_features, open_features, remove_features
from zslbench.features.feature_set import FeatureWriter, feature_path
from zslbench.features.transforms import fit_pca, project, projection_key
from zslbench.files import new_directory
from zslbench.method import Report, Videos
from zslbench.registry import get_method
from zslbench.run import inputs
from zslbench.run.evaluate import evaluate
from zslbench.run.inputs import cached_features
from zslbench.run.split_videos import held_out_videos
from zslbench.run.task import build_task
from zslbench.videos import storage

pytestmark = pytest.mark.versions


def ragged(n, dim, *, offset=0.0, dtype=np.float32, seed=0):
    """Return n sequences of correlated frames, some of them long."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(dim, dim)) * np.linspace(3, 0.3, dim)
    return [(offset + rng.normal(size=(length, dim)) @ mix).astype(dtype) for length in rng.integers(1, 6, size=n)]


def rows_of(features, names):
    wanted = {features.dataset.label_of[name] for name in names}
    return np.array([i for i, label in enumerate(features.labels.tolist()) if label in wanted])


# --- the fit ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [64, 1 << 22])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize(("offset", "dtype"), [(0, np.float32), (100, np.float32), (5, np.float16)])
def test_the_streamed_pca_is_scikit_learns(block, whiten, offset, dtype, monkeypatch):
    from sklearn.decomposition import PCA

    monkeypatch.setattr(transforms, "_BLOCK", block)
    arrays = ragged(80, 12, offset=offset, dtype=dtype)
    frames = np.concatenate(arrays).astype(np.float64)
    expected = PCA(5, whiten=whiten, svd_solver="full").fit(frames)
    videos = Videos.from_arrays(arrays)
    found = fit_pca(storage(videos).store, np.arange(80), 5, whiten=whiten)
    np.testing.assert_allclose(found.mean, expected.mean_, rtol=1e-6, atol=1e-6)
    scale = np.sqrt(expected.explained_variance_)[:, None] if whiten else 1
    np.testing.assert_allclose(found.components * scale, expected.components_, atol=2e-6)
    np.testing.assert_allclose(found.explained, expected.explained_variance_ratio_, rtol=1e-6)
    np.testing.assert_allclose(found.apply(frames), expected.transform(frames), atol=2e-4)


def test_the_order_of_the_videos_does_not_matter():
    store = storage(Videos.from_arrays(ragged(60, 8))).store
    rows = np.arange(0, 60, 2)
    first, second = (fit_pca(store, order, 4) for order in (rows, rows[::-1]))
    assert first.key == second.key
    np.testing.assert_array_equal(first.explained, second.explained)
    assert projection_key("x", rows) == projection_key("x", rows[::-1]) != projection_key("x", rows[1:])


def test_only_the_videos_asked_for_are_fitted():
    arrays = ragged(60, 8)
    alone = fit_pca(storage(Videos.from_arrays(arrays[:30])).store, np.arange(30), 4)
    assert fit_pca(storage(Videos.from_arrays(arrays)).store, np.arange(30), 4).key == alone.key


def test_the_memory_of_a_fit_does_not_grow_with_the_videos(monkeypatch):
    monkeypatch.setattr(transforms, "_BLOCK", 1 << 12)
    peaks, sizes = [], []
    for n in (200, 200, 4000):  # the first one also imports
        store = storage(Videos.from_arrays(ragged(n, 64))).store
        tracemalloc.start()
        fit_pca(store, np.arange(n), 8)
        peaks.append(tracemalloc.get_traced_memory()[1])
        sizes.append(store.frames.nbytes)
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 0.1 * (sizes[2] - sizes[1])  # the videos' places and lengths


@pytest.mark.parametrize("n_frames", [1, 5])
def test_more_components_than_the_videos_span_are_refused(n_frames):
    store = storage(Videos.from_arrays(np.random.default_rng(0).normal(size=(1, n_frames, 8)))).store
    with pytest.raises(ZslbenchError, match=f"span only {n_frames - 1} dimensions; choose fewer"):
        fit_pca(store, np.array([0]), 5)


def test_linearly_dependent_values_count_once():
    x = np.random.default_rng(0).normal(size=(50, 1, 4))
    store = storage(Videos.from_arrays(np.concatenate([x, x], axis=2))).store
    assert fit_pca(store, np.arange(50), 4).explained.sum() == pytest.approx(1)
    with pytest.raises(ZslbenchError, match="span only 4 dimensions"):
        fit_pca(store, np.arange(50), 5)


# --- what a method sees -----------------------------------------------------------------------------------------------


def test_a_view_projects_every_way_of_reading_frames(monkeypatch):
    monkeypatch.setattr(transforms, "_BLOCK", 64)
    arrays = ragged(20, 8)
    videos = Videos.from_arrays(arrays)
    pca = fit_pca(storage(videos).store, np.arange(20), 3)
    view = project(videos, pca).take([4, 1, 7])
    expected = [(arrays[i].astype(np.float64) - pca.mean) @ pca.components.T.astype(np.float64) for i in (4, 1, 7)]
    assert view.dim == 3
    assert view.lengths.tolist() == [len(frames) for frames in expected]
    np.testing.assert_allclose(view.pooled(), [frames.mean(axis=0) for frames in expected], atol=1e-4)
    np.testing.assert_allclose(view.sequence(2), expected[2], atol=1e-4)
    batches = np.concatenate([batch.frames for batch in view.batches(2)])
    np.testing.assert_allclose(batches, np.concatenate(expected), atol=1e-4)


def by_hand(train_rows, whiten=False):
    """Write the features that scikit-learn makes of the tiny ones as a feature set ``hand``."""
    from sklearn.decomposition import PCA

    parent = open_features(HMDB51, "tiny")
    pca = PCA(K, whiten=whiten, svd_solver="full").fit(parent.store.gather(train_rows).astype(np.float64))
    everything = np.arange(len(parent.ids))
    with new_directory(feature_path("hmdb51", "hand"), replace=True) as folder:
        writer = FeatureWriter(folder, K, "float32")
        names = [HMDB51.classes[label] for label in parent.labels]
        frames = pca.transform(parent.store.gather(everything).astype(np.float64))
        writer.append(parent.ids, names, parent.groups, parent.official, parent.lengths, frames)
        writer.finish(
            dataset="hmdb51", name="hand", classes_digest=HMDB51.digest, kind="sequences", extractor="test",
            trained_on=("nothing",),
        )  # fmt: skip


@pytest.mark.parametrize("protocol", ["zsl", "gzsl"])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize(
    ("method", "params"), [("ridge", {}), ("pooled-krr", {}), ("eszsl", {}), ("action2vec", SEQUENCE)]
)
def test_a_cell_scores_as_on_features_projected_by_hand(method, params, whiten, protocol):
    make_features()
    derived(whiten=whiten)
    task = build_task(cell_of(method=method, set={method: params}, protocol=protocol))
    by_hand(storage(task.train).rows, whiten)
    scores = []
    for each in (task, build_task(cell_of("hand", method, set={method: params}, protocol=protocol))):
        fitted = get_method(method)(get_method(method).Params(**params), seed=1)
        fitted.fit(each.train, each.seen_classes, None, Report())
        in_order = np.argsort(each.ids)  # each feature set has its own order of test videos
        scores.append(np.asarray(fitted.score(each.test.take(in_order), each.test_classes)))
    assert np.ptp(scores[0]) > 0.01  # or the test would compare nothing
    np.testing.assert_allclose(scores[0], scores[1], atol=2e-3 * np.abs(scores[1]).max())


# --- leaks ------------------------------------------------------------------------------------------------------------


def fitted_matrix(fit="seen", protocol="zsl", disturb=None):
    """Return the PCA of split 0 where the frames of the videos ``disturb`` are other ones."""
    features = make_features(name="tiny")
    if disturb is not None:
        frames = np.load(features.path / "features.npy")
        for row in disturb:
            start = int(features._offsets[row])
            frames[start : start + int(features.lengths[row])] *= -3
        names = [HMDB51.classes[label] for label in features.labels]
        shutil.rmtree(features.path)
        with new_directory(features.path) as folder:
            writer = FeatureWriter(folder, frames.shape[1], "float32")
            writer.append(features.ids, names, features.groups, features.official, features.lengths, frames)
            writer.finish(
                dataset="hmdb51", name="tiny", classes_digest=HMDB51.digest, kind="sequences", extractor="test"
            )
    derived(fit)
    found = build_task(cell_of(protocol=protocol)).projection
    for name in ("small", "tiny"):
        remove_features("hmdb51", name)
    fresh = (cached_features, inputs._cached_vectors)
    for cache in fresh:
        cache.cache_clear()
    return found.key


@pytest.fixture
def parts():
    """The rows of split 0: unseen classes', seen classes' that gzsl tests on, and that it trains on."""
    features = make_features()
    split = HMDB51.family("xu-50/50").splits[0]
    unseen, seen = rows_of(features, split.unseen), rows_of(features, split.seen)
    held_out, _ = held_out_videos(features, seen, features.labels[seen])
    remove_features("hmdb51", "tiny")
    return {"unseen": unseen, "held out": seen[held_out], "training": seen[~held_out]}


@pytest.mark.parametrize(
    ("fit", "protocol", "part", "changes"),
    [
        ("seen", "zsl", "unseen", False),
        ("seen", "gzsl", "unseen", False),
        ("seen", "gzsl", "held out", False),
        ("seen", "zsl", "held out", True),
        ("seen", "gzsl", "training", True),
        ("all", "zsl", "unseen", True),
        ("all", "gzsl", "held out", True),
    ],
)
def test_a_matrix_depends_on_the_training_videos_and_on_no_other(fit, protocol, part, changes, parts):
    before, after = fitted_matrix(fit, protocol), fitted_matrix(fit, protocol, parts[part])
    assert (before != after) == changes


def test_a_fit_on_all_videos_is_flagged_whichever_step_did_it():
    features = make_features()
    assert derived("all", "everything").manifest.pca_fit == "all"
    assert derived("seen").manifest.pca_fit == "seen"
    manifest = features.manifest.model_copy(update={"pca_fit": "all", "name": "reduced"})
    shutil.copytree(features.path, features.path.parent / "reduced")
    (features.path.parent / "reduced" / "manifest.json").write_text(manifest.model_dump_json())
    assert derive_features(HMDB51, "reduced", "again", k=K, fit="seen").manifest.pca_fit == "all"


def test_classes_of_another_dataset_are_fitted_and_both_are_projected():
    family = get_dataset("kinetics600").family("kinetics-zsar")
    seen, unseen = (sorted({n for s in family.splits for n in getattr(s, side)}) for side in ("seen", "unseen"))
    for dataset, classes in (("kinetics400", seen), ("kinetics600", unseen)):
        make_features(dataset, per_class=1, classes=classes)
    wanted = {"method": "ridge", "dataset": "kinetics600", "features": "small", "family": "kinetics-zsar"}
    derive_features(get_dataset("kinetics600"), "tiny", "small", k=K, fit="seen")
    with pytest.raises(ZslbenchError, match="no feature set 'small'"):
        plan(**wanted, splits="1")
    theirs = derive_features(get_dataset("kinetics400"), "tiny", "small", k=K, fit="seen")
    (cell,) = plan(**wanted, splits="1")
    task = build_task(cell)
    assert task.projection.key == fit_pca(theirs.parent.store, storage(task.train).rows, K).key
    frames = open_features(get_dataset("kinetics600"), "tiny").store.pooled()[storage(task.test).rows]
    np.testing.assert_array_equal(task.test.pooled(), task.projection.apply(frames))
    remove_features("kinetics400", "small")
    derive_features(get_dataset("kinetics400"), "tiny", "small", k=K, fit="seen", whiten=True)
    with pytest.raises(ZslbenchError, match="derived by different steps"):
        plan(**wanted, splits="1")


# --- on disk ----------------------------------------------------------------------------------------------------------


def test_feature_sets_that_are_not_derived_keep_the_identity_that_they_had():
    manifest = make_features().manifest
    before = manifest.model_dump(mode="json", exclude={"created", "source", "transform", "tokens"})
    del before["files"]["videos.parquet"]
    assert manifest.digest == digest(before)


def test_the_identity_is_of_the_parent_and_the_step():
    make_features()
    found = [derived().manifest.digest]
    found.append(derived(name="white", whiten=True).manifest.digest)
    found.append(derived("all", "everything").manifest.digest)
    found.append(derive_features(HMDB51, "tiny", "smaller", k=K - 1, fit="seen").manifest.digest)
    remove = ["small", "white", "everything", "smaller", "tiny"]
    for name in remove:
        remove_features("hmdb51", name)
    make_features(seed=1)
    found.append(derived().manifest.digest)
    assert len(set(found)) == 5
    assert derived().manifest.digest == found[-1]  # declared again: the same one


def test_a_matrix_is_fitted_once_and_kept(monkeypatch):
    make_features()
    features = derived()
    build_task(cell_of())
    assert len(list(features.path.glob("pca-*.npz"))) == 1
    monkeypatch.setattr(derive, "fit_pca", None)
    cached_features.cache_clear()
    build_task(cell_of())


def test_cells_of_a_split_share_what_is_computed_on_its_frames():
    make_features()
    derived()
    first, second = (build_task(cell_of(method=method)) for method in ("ridge", "eszsl"))
    assert storage(first.train).store is storage(second.train).store is storage(second.test).store


def test_a_read_only_data_root_does_not_stop_a_run(monkeypatch):
    make_features()
    features = derived()

    def refuse(path, **arrays):
        raise PermissionError("read-only")

    monkeypatch.setattr(transforms.np, "savez", refuse)
    assert evaluate(cell_of(), Report()).result.metrics
    assert not list(features.path.glob("pca-*"))


def test_a_damaged_matrix_is_refused_and_named():
    make_features()
    features = derived()
    build_task(cell_of())
    (path,) = features.path.glob("pca-*.npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for ask in (features.verify, lambda: build_task(cell_of())):
        with pytest.raises(ZslbenchError, match=f"{path.name} is damaged .* delete this file"):
            ask()
    path.unlink()
    features.verify()


def test_verify_looks_at_the_parent_too():
    features = make_features()
    small = derived()
    content = bytearray((features.path / "features.npy").read_bytes())
    content[-1] ^= 1
    (features.path / "features.npy").write_bytes(content)
    with pytest.raises(ZslbenchError, match="features.npy does not match"):
        small.verify()


def test_the_parent_stays_while_something_is_made_of_it():
    make_features()
    derived()
    with pytest.raises(ZslbenchError, match="small of hmdb51 is derived from 'tiny'; remove that set first"):
        remove_features("hmdb51", "tiny")
    remove_features("hmdb51", "small")
    remove_features("hmdb51", "tiny")


def test_another_parent_of_that_name_is_refused():
    features = make_features()
    derived()
    shutil.rmtree(features.path)
    with pytest.raises(ZslbenchError, match="'tiny', which does not exist; import 'tiny' again"):
        open_features(HMDB51, "small")
    make_features(seed=1)
    with pytest.raises(ZslbenchError, match="another 'tiny' than the present one"):
        open_features(HMDB51, "small")


@pytest.mark.parametrize(
    ("parent", "name", "k", "says"),
    [
        ("small", "x", 2, "derived itself; transform 'tiny'"),
        ("tiny", "x", 17, "choose 1 to 16"),
        ("tiny", "small", 2, "another feature set 'small'; choose another name with --as"),
        ("tiny", "tiny", 2, "another feature set 'tiny'; choose another name with --as"),
        ("tiny", "simulated", 2, "choose another name"),
        ("tiny", "../x", 2, "cannot name a feature set"),
        ("tini", "x", 2, "Did you mean tiny"),
    ],
)
def test_what_cannot_be_derived_is_refused(parent, name, k, says):
    make_features()
    derived()
    before = sorted(feature_path("hmdb51", "tiny").parent.iterdir())
    with pytest.raises(ZslbenchError, match=says):
        derive_features(HMDB51, parent, name, k=k, fit="seen")
    assert sorted(feature_path("hmdb51", "tiny").parent.iterdir()) == before


def test_features_that_depend_on_the_split_are_not_read_without_one():
    make_features()
    with pytest.raises(ZslbenchError, match="has one PCA per split and none for all videos; use its parent 'tiny'"):
        from_features(derived())
    assert from_features(derived("all", "everything")).vectors.shape == (51, K)
