"""Another dataset's videos beside the seen ones: what a method is handed, and what never changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_features, plan

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import derive_features
from zslbench.method import Report
from zslbench.overlap.matches import matches
from zslbench.registry import get_method
from zslbench.run import evaluate as module
from zslbench.run import inputs
from zslbench.run.evaluate import evaluate, fit_on_all_classes
from zslbench.run.inputs import cached_features
from zslbench.run.models import describe, load_model, save_model
from zslbench.run.task import build_task, near_unseen
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.importing import import_semantics
from zslbench.videos import FrameStore, Videos, joined

AUX = "ucf101@tiny"


@pytest.fixture(autouse=True)
def fresh_caches():
    for cache in (cached_features, inputs._cached_vectors, inputs._cached_auxiliary):
        cache.cache_clear()


@pytest.fixture
def both():
    """Features of both datasets that are one linear map of the class vectors: the map of one helps the other."""
    return make_features("hmdb51", dim=32, seed=0), make_features("ucf101", dim=32, per_class=4, seed=0)


def cell_of(method="ridge", **settings):
    (cell,) = plan(method=method, splits="1", auxiliary=AUX, **settings)
    return cell


# Two stores as one.


def store_of(arrays, tokens=1):
    lengths = np.array([len(array) for array in arrays])
    return FrameStore(np.concatenate(arrays), np.cumsum(lengths) - lengths, lengths, tokens)


@given(st.integers(0, 1000), st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(1, 5), st.data())
@settings(max_examples=40, deadline=None)
def test_joined_stores_are_the_concatenated_arrays(seed, lengths, n_first, data):
    rng = np.random.default_rng(seed)
    tokens = data.draw(st.sampled_from([1, 2]))
    arrays = [
        rng.normal(size=(n * tokens, 3)).astype(np.float16) for n in [*lengths, *rng.integers(1, 4, size=n_first)]
    ]
    first, second = store_of(arrays[:n_first], tokens), store_of(arrays[n_first:], tokens)
    both = joined(first, second)
    assert joined(first, second) is both
    assert both.dim == 3
    assert both.tokens == tokens
    np.testing.assert_array_equal(both.lengths, [len(array) for array in arrays])
    rows = np.array(data.draw(st.lists(st.integers(0, len(arrays) - 1), max_size=8)), dtype=int)
    expected = np.concatenate([np.zeros((0, 3)), *(arrays[i] for i in rows)])
    np.testing.assert_array_equal(both.gather(rows), expected)
    means = [array[::tokens].astype(float).mean(axis=0) for array in arrays]
    np.testing.assert_allclose(both.pooled(), means, atol=1e-6)
    view = Videos(both, rows)
    np.testing.assert_array_equal(view.pooled(), both.pooled()[rows])
    for batch in view.batches(3):
        np.testing.assert_array_equal(batch.frames, both.gather(rows[batch.index]))
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(view.sequence(i), arrays[row])


def test_stores_of_different_frames_are_not_joined():
    with pytest.raises(ValueError, match="frames of 3 and of 4 values"):
        joined(store_of([np.ones((2, 3))]), store_of([np.ones((2, 4))]))
    with pytest.raises(ValueError, match="cannot be joined"):
        joined(store_of([np.ones((2, 3))], tokens=2), store_of([np.ones((2, 3))]))


def test_views_of_two_feature_sets_join_to_one():
    a, b = Videos.from_arrays(np.arange(6.0).reshape(3, 2)), Videos.from_arrays(np.arange(8.0).reshape(4, 2) + 10)
    view = a.take([2, 0]).join(b.take([3]))
    np.testing.assert_array_equal(view.pooled(), [[4, 5], [0, 1], [16, 17]])
    assert a.join(a.take([1])).pooled().tolist() == [[0, 1], [2, 3], [4, 5], [2, 3]]
    with pytest.raises(ValueError, match="cannot be joined"):
        a.join(Videos.from_arrays(np.ones((2, 3))))


# What a method is handed.


def test_auxiliary_videos_and_classes_come_behind_the_seen_ones(both):
    _, other = both
    cell = cell_of()
    task, plain = build_task(cell), build_task(plan(method="ridge", splits="1")[0])
    n = len(plain.seen_classes)
    assert task.seen_classes.names[:n] == plain.seen_classes.names
    assert plain.seen_classes.auxiliary is None
    assert task.seen_classes.auxiliary.tolist() == [False] * n + [True] * (len(task.seen_classes) - n)
    np.testing.assert_array_equal(task.train.labels[: len(plain.train)], plain.train.labels)
    np.testing.assert_array_equal(task.train.pooled()[: len(plain.train)], plain.train.pooled())
    vectors = open_semantics("minilm", other.dataset)
    for place in (n, n + 7, len(task.seen_classes) - 1):
        name = task.seen_classes.names[place].removesuffix(" (ucf101)")
        mine = other.labels == other.dataset.label_of[name]
        np.testing.assert_array_equal(task.train.take(task.train.labels == place).pooled(), other.store.pooled()[mine])
        np.testing.assert_array_equal(task.seen_classes.vectors[place], vectors.take([name]).vectors[0])
    assert len(task.train) == len(task.train_keys) == len(plain.train) + 4 * (len(task.seen_classes) - n)
    np.testing.assert_array_equal(task.test.pooled(), plain.test.pooled())
    assert task.test_classes.names == plain.test_classes.names
    assert task.test_classes.auxiliary is None


def test_classes_near_an_unseen_one_are_left_out_and_named_split_by_split(both):
    cells = plan(method="ridge", splits="4", auxiliary=AUX)
    left_out = []
    for cell in cells:
        task = build_task(cell)
        trained = {name.removesuffix(" (ucf101)") for name in task.seen_classes.names if name.endswith("(ucf101)")}
        near = {
            name
            for name, found in matches("ucf101", "hmdb51").items()
            if {match.label for match in found} & set(task.split.unseen)
        }
        assert near <= set(task.left_out)  # and those whose nearest is seen, but which have a near unseen one too
        assert trained == set(get_dataset("ucf101").classes) - set(task.left_out)
        left_out.append(set(task.left_out))
        notes = evaluate(cell, Report()).result.notes
        assert notes["auxiliary_classes_left_out"] == ", ".join(task.left_out)
        nearest = notes["auxiliary_classes_nearest_left_in"].split("; ")
        assert len(nearest) == 5
        assert {line.split(" ~ ")[0] for line in nearest} <= trained
    assert len(set(map(frozenset, left_out))) > 1  # each split has its own
    golf = [
        ("golf" in build_task(cell).split.unseen, "GolfSwing" in out) for cell, out in zip(cells, left_out, strict=True)
    ]
    assert {True, False} == {unseen for unseen, _ in golf}  # or the next line would show nothing
    assert all(out for unseen, out in golf if unseen)


def test_no_class_is_left_out_for_a_seen_one_alone():
    assert "GolfSwing" in near_unseen("ucf101", "hmdb51", ("golf",))
    assert near_unseen("ucf101", "hmdb51", ("laugh",)) == set()


def test_a_dataset_that_shares_its_name_with_another_label_set_is_refused():
    with pytest.raises(ZslbenchError, match="give the dataset another name"):
        near_unseen("ucf101", "imagenet", ("golf",))


def test_auxiliary_videos_help_where_they_obey_the_same_map(both):
    top1 = {}
    for auxiliary in (None, AUX):
        cells = plan(method="ridge", splits="2", auxiliary=auxiliary, set={"ridge": {"alpha": 0.1}})
        top1[auxiliary] = np.mean([evaluate(cell, Report()).result.metrics["top1"] for cell in cells])
    assert top1[AUX] > top1[None] + 0.05


def test_the_budget_and_the_row_tell_of_them(both, zslbench, tmp_path):
    assert cell_of().budget == ("auxiliary-videos", "class-vectors")
    assert cell_of("ridge+nrm").budget == ("auxiliary-videos", "class-vectors", "unseen-videos")
    code, out, err = zslbench(
        "run", "--method", "ridge", "--dataset", "hmdb51", "--features", "tiny", "--auxiliary", "ucf101",
        "--splits", "1", "--results", tmp_path, "--no-track",
    )  # fmt: skip
    assert code == 0, err
    assert "ridge [with ucf101@tiny]" in out
    assert "auxiliary-videos" in out
    assert "methods also train on videos of ucf101@tiny" in err


def test_the_cells_identity_has_them(both):
    (plain,), with_them = plan(method="ridge", splits="1"), cell_of()
    assert plain.id != with_them.id
    assert "auxiliary" not in plain.extras
    make_features("ucf101", "other", dim=32, per_class=4, seed=9)
    (other,) = plan(method="ridge", splits="1", auxiliary="ucf101@other")
    assert other.id != with_them.id
    renamed = with_them.auxiliary.model_copy(update={"features": "renamed"})
    assert with_them.model_copy(update={"auxiliary": renamed}).id == with_them.id  # by content, not by name


def test_changed_auxiliary_features_or_vectors_are_refused(both):
    cell = cell_of()
    for digest in ("features_digest", "semantics_digest"):
        changed = cell.auxiliary.model_copy(update={digest: "0" * 32})
        with pytest.raises(ZslbenchError, match="changed since this run was planned"):
            build_task(cell.model_copy(update={"auxiliary": changed}))


# What does not fit.


def refused(match, **settings):
    with pytest.raises(ZslbenchError, match=match) as error:
        plan(**({"method": "ridge"} | settings))
    assert "\n" not in str(error.value)


def test_what_does_not_fit_is_refused_before_anything_runs(both):
    refused("dataset of the run itself", auxiliary="hmdb51@tiny")
    refused("no dataset is called 'ucf11'. Did you mean ucf101", auxiliary="ucf11")
    refused("no feature set 'c3d'", auxiliary="ucf101@c3d")
    make_features("ucf101", "wide", dim=33, per_class=2)
    refused("ucf101@wide has 33 values per frame and hmdb51@tiny 32", auxiliary="ucf101@wide")


def test_class_vectors_must_be_there_for_both_datasets(both, tmp_path):
    names = get_dataset("hmdb51").classes
    vectors = np.random.default_rng(0).normal(size=(len(names), 8))
    np.savez(tmp_path / "v.npz", names=np.array(names), vectors=vectors)
    import_semantics("mine", tmp_path / "v.npz", dataset="hmdb51")
    refused("ucf101", semantics="mine", auxiliary=AUX)


def test_a_dataset_that_is_trained_on_anyway_is_refused():
    family = get_dataset("kinetics600").family("kinetics-zsar")
    make_features("kinetics400", per_class=1, classes=family.splits[0].seen)
    make_features("kinetics600", per_class=1, classes=sorted({n for s in family.splits for n in s.unseen}))
    refused(
        "a dataset of the run itself", dataset="kinetics600", family="kinetics-zsar", splits="1",
        auxiliary="kinetics400@tiny",
    )  # fmt: skip


def test_where_every_class_is_near_an_unseen_one_it_says_so(both, monkeypatch):
    monkeypatch.setattr("zslbench.run.task.near_unseen", lambda *a: set(get_dataset("ucf101").classes))
    with pytest.raises(ZslbenchError, match="every class of ucf101@tiny resembles an unseen one"):
        build_task(cell_of())


def test_a_pca_of_the_cells_own_training_videos_projects_the_auxiliary_ones_too(both):
    for name in ("hmdb51", "ucf101"):
        derive_features(get_dataset(name), "tiny", "small", k=5, fit="seen")
    (cell,) = plan(method="ridge", splits="1", features="small", auxiliary="ucf101")
    task = build_task(cell)
    of_auxiliary = task.seen_classes.auxiliary[task.train.labels]
    raw = build_task(cell_of()).train.pooled()
    np.testing.assert_allclose(task.train.pooled(), task.projection.apply(raw), atol=1e-4)
    own_mean = task.train.pooled()[~of_auxiliary].mean(axis=0)
    assert np.abs(task.train.pooled()[of_auxiliary].mean(axis=0)).max() > 10 * np.abs(own_mean).max()  # fitted on own
    make_features("ucf101", "five", dim=5, per_class=2)
    refused("were derived by different steps", features="small", auxiliary="ucf101@five")


# Protocols, budgets and methods that look further.


def test_gzsl_tests_on_own_classes_and_calibrates_on_them(both, monkeypatch):
    cell = cell_of(protocol="gzsl")
    task = build_task(cell)
    own = get_dataset("hmdb51").classes
    assert set(task.test_classes.names) == set(own)
    handed = []

    class Watched(get_method("ridge")):
        def fit(self, seen, classes, target, report):
            handed.append(classes)
            assert seen.labels.max() < len(classes)
            super().fit(seen, classes, target, report)

        def score(self, videos, classes):
            handed.append(classes)
            return super().score(videos, classes)

    monkeypatch.setattr(module, "check_code", lambda cell: None)
    monkeypatch.setattr(module, "get_method", lambda name: Watched)
    metrics = evaluate(cell, Report()).result.metrics
    fitted, scored, calibrating, calibrated = handed
    assert fitted.auxiliary.sum() == calibrating.auxiliary.sum() > 50  # the auxiliary classes are all still there
    assert (~fitted.auxiliary).sum() > (~calibrating.auxiliary).sum()  # a third of the own ones play the unseen part
    assert set(calibrated.names) == set(task.split.seen)
    assert set(scored.names) == set(own)
    assert 0 < metrics["H_calibrated"] <= 1


def test_a_transductive_graph_covers_own_auxiliary_and_test_videos(both):
    cell = cell_of("pooled-krr", set={"pooled-krr": {"laplacian": "train+test", "smoothness": 0.3}})
    task, outcome = build_task(cell), evaluate(cell, Report())
    train = outcome.method._train
    assert len(train) == len(task.train) + len(task.test)
    np.testing.assert_array_equal(train.pooled(), np.concatenate([task.train.pooled(), task.test.pooled()]))
    graph = (outcome.method._laplacian(train) != 0).toarray()
    auxiliary = np.flatnonzero(task.seen_classes.auxiliary[task.train.labels])
    tests = np.arange(len(task.train), len(train))
    assert graph[np.ix_(auxiliary, tests)].any()
    assert outcome.result.metrics["top1"] > 0.1  # chance 0.04


def test_a_transductive_graph_covers_two_datasets_where_the_seen_classes_are_anothers():
    family = get_dataset("kinetics600").family("kinetics-zsar")
    make_features("kinetics400", per_class=1, classes=family.splits[0].seen)
    make_features("kinetics600", per_class=1, classes=sorted({n for s in family.splits for n in s.unseen}))
    (cell,) = plan(
        method="tzs:transductive", dataset="kinetics600", family="kinetics-zsar", splits="1",
        set={"tzs": {"strength": 0.01, "smoothness": 0.3}},
    )  # fmt: skip
    outcome = evaluate(cell, Report())
    assert len(outcome.method._train) == 400 + 160
    assert outcome.result.metrics["top1"] > 0.05  # chance 0.006


@pytest.mark.parametrize("weights", ["none", "visual", "names", "both"])
def test_mte_weighs_them(weights, both):
    cell = cell_of("mte", set={"mte": {"weights": weights}})
    result = evaluate(cell, Report()).result
    assert not [sentence for sentence in result.warnings if "were tried" not in sentence]
    assert ("effective_share" in result.notes) == (weights != "none")
    assert result.metrics["top1"] > 0.1  # chance 0.04
    assert "auxiliary-videos" in cell.budget


@pytest.mark.parametrize("label", ["tzs+self-training", "eszsl+gc", "conse", "sae", "reverse-ridge"])
def test_any_method_takes_them(label, both):
    assert evaluate(cell_of(label), Report()).result.metrics["top1"] > 0.05  # chance 0.04


def test_a_method_over_sequences_takes_them(both):
    small = {"hidden1": 8, "hidden2": 8, "epochs": 1, "min_batches": 1}
    cell = cell_of("single-lstm", set={"single-lstm": small})
    assert np.isfinite(evaluate(cell, Report()).result.metrics["top1"])


def test_a_saved_model_knows_them_and_a_model_of_all_classes_is_refused(both, tmp_path):
    cell = cell_of()
    outcome = evaluate(cell, Report())
    save_model(tmp_path / "m", outcome.method, *describe(cell, outcome.method, outcome.seen, outcome.unseen))
    loaded = load_model(tmp_path / "m")
    assert loaded.card.title == "ridge trained on hmdb51@tiny with ucf101@tiny, xu-50/50 #0"
    test = Videos.from_arrays(build_task(cell).test.pooled())
    scores = loaded.method.score(test, loaded.classes_of(outcome.unseen.names))
    np.testing.assert_array_equal(scores, outcome.method.score(test, outcome.unseen))
    with pytest.raises(ZslbenchError, match="also trains on ucf101@tiny"):
        fit_on_all_classes(cell, Report())
