import numpy as np
import pytest

from zslbench.kernels import normalised
from zslbench.method import Classes, MethodInfo, Report, SeenVideos, Videos
from zslbench.regression import SklearnRegression
from zslbench_methods.ridge import Ridge

pytestmark = pytest.mark.versions

RNG = np.random.default_rng(0)


def data(n_classes=8, n=160, dim=12, d=6, noise=0.2):
    vectors = RNG.normal(size=(n_classes, d)).astype(np.float32)
    labels = RNG.integers(n_classes, size=n)
    x = (vectors @ RNG.normal(size=(d, dim)))[labels] + noise * RNG.normal(size=(n, dim))
    classes = Classes(tuple(f"class{i}" for i in range(n_classes)), vectors)
    return SeenVideos.from_arrays(x.astype(np.float32), labels=labels), classes


class Forest(SklearnRegression):
    info = MethodInfo(name="forest", summary="A random forest, in three lines.")

    def regressor(self):
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(5, random_state=self.seed)


def test_any_multi_output_regressor_is_a_method():
    seen, classes = data()
    method = Forest()
    method.fit(seen, classes, None, Report())
    scores = method.score(seen.unlabelled(), classes)
    assert scores.shape == (160, 8)
    assert (scores.argmax(axis=1) == seen.labels).mean() > 0.9


def test_scores_are_cosines_between_predictions_and_class_vectors():
    seen, classes = data()
    method = Forest()
    method.fit(seen, classes, None, Report())
    x = normalised(seen.pooled())
    expected = normalised(method._regressor.predict(x)) @ normalised(classes.vectors).T
    np.testing.assert_allclose(method.score(seen.unlabelled(), classes), expected)


def test_the_candidate_is_chosen_on_classes_that_it_was_not_fitted_on():
    fitted, asked = [], []

    class Recorder:
        def __init__(self, offset=0.0):
            self.offset = offset

        def get_params(self, deep=True):
            return {"offset": self.offset}

        def set_params(self, **params):
            self.offset = params["offset"]
            return self

        def fit(self, x, y):
            fitted.append({tuple(row) for row in y.round(5).tolist()})
            return self

        def predict(self, x):
            asked.append(len(x))
            return x[:, :6] + self.offset

    class Two(Forest):
        def regressor(self):
            return Recorder()

        def candidates(self):
            return {"a": Recorder(0.0), "b": Recorder(5.0)}

    seen, classes = data()
    report = Report()
    Two().fit(seen, classes, None, report)
    *during_choice, last = fitted
    assert len(during_choice) == 6
    assert all(len(classes_used) < 8 for classes_used in during_choice)
    assert len(last) == 8
    assert report.notes["chosen"] in ("a", "b")
    assert report.notes["held_out_folds"] == 3
    assert report.notes["held_out_sd"] > 0


@pytest.mark.parametrize(("ordered", "names"), [(True, ("a", "b")), (False, ("a", "b")), (True, ("b", "a"))])
def test_a_chosen_edge_is_told_where_candidates_are_in_order(ordered, names):
    from sklearn.dummy import DummyRegressor
    from sklearn.linear_model import LinearRegression

    class Ordered(Forest):
        def candidates(self):
            return dict(zip(names, (LinearRegression(), DummyRegressor()), strict=True))

    Ordered.ordered = ordered
    seen, classes = data()
    report = Report()
    Ordered().fit(seen, classes, None, report)
    assert report.notes["chosen"] == names[0]
    assert report.notes.get("chosen_at_edge") == ("first of {} to {}".format(*names) if ordered else None)
    assert len(report.warnings) == ordered


@pytest.mark.parametrize("present", [1, 2])
def test_folds_whose_classes_have_no_video_do_not_count(present):
    """Their accuracy was NaN, and with it that of every candidate."""
    seen, classes = data()
    method, report = Ridge(), Report()
    method.fit(seen.take(seen.labels < present), classes, None, report)
    assert report.notes["chosen"].startswith("alpha=")
    assert np.isfinite(report.notes.get("held_out_top1_per_class", 0.0))
    assert ("held_out_top1_per_class" in report.notes) == (present == 2)
    assert report.notes["held_out_folds"] == (2 if present == 2 else 0)


def test_with_too_few_classes_the_middle_of_ordered_candidates_is_taken_and_noted():
    seen, classes = data(n_classes=4)
    report = Report()
    Ridge().fit(seen, classes, None, report)
    assert report.notes == {"chosen": "alpha=10", "held_out_folds": 0}


def test_an_unfitted_choice_of_one_costs_no_folds():
    seen, classes = data()
    report = Report()
    Forest().fit(seen, classes, None, report)
    assert report.notes == {}


def test_unit_features_can_be_switched_off():
    seen, classes = data()
    scaled = Videos.from_arrays(seen.pooled() * 7)
    raw, unit = Forest({"unit_features": False}), Forest()
    for method in (raw, unit):
        method.fit(seen, classes, None, Report())
    np.testing.assert_allclose(unit.score(scaled, classes), unit.score(seen.unlabelled(), classes), atol=1e-6)
    assert not np.allclose(raw.score(scaled, classes), raw.score(seen.unlabelled(), classes))


def test_unknown_parameters_are_refused():
    with pytest.raises(ValueError, match="extra"):
        Forest({"trees": 3})


class Nearest(SklearnRegression):
    info = MethodInfo(name="nearest", summary="No linear model.")

    def regressor(self):
        from sklearn.neighbors import KNeighborsRegressor

        return KNeighborsRegressor(2)


def toy():
    rng = np.random.default_rng(0)
    classes = Classes(tuple("abcd"), rng.normal(size=(4, 3)).astype(np.float32))
    labels = np.arange(20) % 4
    return SeenVideos.from_arrays(rng.normal(size=(20, 5)).astype(np.float32), labels=labels), classes


def test_a_regressor_that_is_not_linear_cannot_be_saved_and_says_so():
    seen, classes = toy()
    method = Nearest()
    method.fit(seen, classes, None, Report())
    with pytest.raises(NotImplementedError, match="KNeighborsRegressor is no linear model"):
        method.state()


@pytest.mark.parametrize("kind", ["LinearRegression", "MultiTaskLasso", "MultiTaskElasticNet", "Ridge"])
def test_every_linear_model_of_scikit_learn_is_saved_by_its_coefficients(kind):
    import sklearn.linear_model

    class Linear(SklearnRegression):
        info = MethodInfo(name="linear", summary="A linear model.")

        def regressor(self):
            return getattr(sklearn.linear_model, kind)()

    seen, classes = toy()
    method, restored = Linear(), Linear()
    method.fit(seen, classes, None, Report())
    restored.restore(method.state())
    np.testing.assert_array_equal(restored.embed(seen), method.embed(seen))
