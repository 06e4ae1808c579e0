"""Validation classes of a family: which methods get them, what they are, and what records it."""

from typing import ClassVar

import numpy as np
import pytest
from tiny import make_features, plan

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.split_files import write_imported
from zslbench.datasets.splits import Split, SplitFamily
from zslbench.errors import ZslbenchError
from zslbench.method import Method, MethodInfo, Report
from zslbench.registry import get_method
from zslbench.run import evaluate as module
from zslbench.run import inputs
from zslbench.run.evaluate import evaluate
from zslbench.run.inputs import cached_features

UNSEEN, VALIDATION = slice(0, 10), slice(10, 18)


@pytest.fixture(autouse=True)
def family(data_root):
    cached_features.cache_clear()
    inputs._cached_vectors.cache_clear()
    names = get_dataset("hmdb51").classes
    split = Split(names[18:], names[UNSEEN], names[VALIDATION])
    write_imported([SplitFamily("mine", "hmdb51", (split,), "a test")])
    return split


class Asks(Method):
    info = MethodInfo(name="ridge", summary="asks for validation classes")
    given = None

    def fit(self, seen, classes, target, report):
        Asks.given = self.validation

    def score(self, videos, classes):
        return np.zeros((len(videos), len(classes)))


def run_with(monkeypatch, method, **settings):
    *_, cell = plan(method="ridge", splits="1", **settings)  # those of a control come last
    monkeypatch.setattr(module, "check_code", lambda cell: None)
    monkeypatch.setattr(module, "get_method", lambda name: method)
    report = Report()
    evaluate(cell.model_copy(update={"params": {}}), report)
    return report


def test_a_method_that_asks_gets_all_videos_of_the_validation_classes(monkeypatch, family):
    features = make_features()
    report = run_with(monkeypatch, Asks, family="mine")
    videos, classes = Asks.given
    assert classes.names == family.validation
    assert report.notes["validation_classes"] == 8
    assert len(videos) == 8 * 6
    for i, name in enumerate(classes.names):
        own = features.labels == features.dataset.label_of[name]
        np.testing.assert_array_equal(videos.take(videos.labels == i).pooled(), features.store.pooled()[own])


def test_a_family_without_validation_classes_gives_none(monkeypatch):
    make_features()
    report = run_with(monkeypatch, Asks, family="xu-50/50")
    assert Asks.given is None
    assert "validation_classes" not in report.notes


def test_a_method_that_does_not_ask_is_not_noted(monkeypatch):
    class Silent(Asks):
        def fit(self, seen, classes, target, report):
            pass

    make_features()
    assert "validation_classes" not in run_with(monkeypatch, Silent, family="mine").notes


def test_classes_without_videos_are_left_out(monkeypatch, family):
    have = [name for name in get_dataset("hmdb51").classes if name not in family.validation[2:]]
    make_features(classes=have)
    report = run_with(monkeypatch, Asks, family="mine")
    assert Asks.given.classes.names == family.validation[:2]
    assert report.notes["validation_classes"] == 2


def test_their_videos_come_in_source_groups(monkeypatch):
    make_features()
    run_with(monkeypatch, Asks, family="mine")
    videos, _ = Asks.given
    pairs = set(zip(videos.labels.tolist(), videos.groups.tolist(), strict=True))
    assert len(pairs) == len({group for _, group in pairs}) == 8 * 3  # two videos per source


def test_the_second_fit_of_gzsl_for_calibration_has_them_too(monkeypatch, family):
    class Counts(Asks):
        names: ClassVar = []

        def fit(self, seen, classes, target, report):
            self.names.append(self.validation.classes.names)

    make_features()
    run_with(monkeypatch, Counts, family="mine", protocol="gzsl")
    assert Counts.names == [family.validation] * 2


def test_a_control_that_trains_changes_their_frames_too(monkeypatch):
    make_features()
    run_with(monkeypatch, Asks, family="mine")
    kept = Asks.given[0].sequence(0)
    run_with(monkeypatch, Asks, family="mine", control="reversed+train")
    np.testing.assert_array_equal(Asks.given[0].sequence(0), kept[::-1])


def test_a_step_hands_them_on_to_the_method_below():
    make_features()
    (cell,) = plan(method="ridge+csls", splits="1", family="mine")
    report = Report()
    evaluate(cell, report)
    assert report.notes["validation_classes"] == 8
    assert report.notes["held_out_folds"] == 1


@pytest.mark.parametrize("name", ["ridge", "eszsl", "sae", "mte", "devise", "sync", "conse", "pooled-krr"])
def test_built_in_methods_choose_on_them_and_neither_train_nor_test_on_them(name, family):
    make_features()
    (cell,) = plan(method=name, splits="1", family="mine", set={"devise": {"epochs": 2}} if name == "devise" else {})
    report = Report()
    outcome = evaluate(cell, report)
    assert report.notes["validation_classes"] == 8
    assert set(outcome.seen.names) == set(family.seen)
    assert set(outcome.unseen.names) == set(family.unseen)


def test_ridge_takes_the_strength_that_is_best_on_them(family):
    from sklearn.linear_model import Ridge

    from zslbench.kernels import normalised
    from zslbench.semantics.class_vectors import open_semantics

    features = make_features(noise=2.0)
    (cell,) = plan(method="ridge", splits="1", family="mine")
    report = Report()
    evaluate(cell, report)
    vectors = open_semantics("minilm", features.dataset, features.dataset.classes).vectors
    x, labels = normalised(features.store.pooled()), features.labels
    seen = np.isin(labels, [features.dataset.label_of[name] for name in family.seen])
    held = [features.dataset.label_of[name] for name in family.validation]
    accuracies = {}
    for alpha in (0.1, 1.0, 10.0, 100.0, 1000.0):
        model = Ridge(alpha=alpha).fit(x[seen], vectors[labels[seen]])
        out = np.isin(labels, held)
        scores = normalised(model.predict(x[out])) @ normalised(vectors[held]).T
        right = np.array(held)[scores.argmax(axis=1)] == labels[out]
        accuracies[alpha] = np.mean([right[labels[out] == label].mean() for label in held])
    assert report.notes["held_out_top1_per_class"] == pytest.approx(max(accuracies.values()))
    best = [alpha for alpha, value in accuracies.items() if value == max(accuracies.values())]
    assert report.notes["chosen"] in [f"alpha={alpha:g}" for alpha in best]


def test_class_vectors_that_lack_them_leave_the_choice_to_seen_classes(monkeypatch, family, tmp_path):
    from zslbench.errors import OutOfVocabularyError

    make_features()
    opened = inputs.open_semantics

    def lacking(spec, dataset, names):
        if set(names) & set(family.validation):
            raise OutOfVocabularyError("mine does not know them")
        return opened(spec, dataset, names)

    monkeypatch.setattr(inputs, "open_semantics", lacking)
    report = run_with(monkeypatch, Asks, family="mine")
    assert Asks.given is None
    assert "validation_classes" not in report.notes


def test_a_validation_class_that_is_also_tested_is_refused(family):
    with pytest.raises(ZslbenchError, match="twice; its parts must be disjoint"):
        Split(family.seen, family.unseen, (*family.validation, family.unseen[0]))
    assert get_method("ridge")().validation is None
