"""Steps in runs, saved models and the command line."""

from typing import ClassVar

import numpy as np
import pytest
from tiny import make_features, plan

from zslbench.cells.rows import make_row
from zslbench.cells.store import Record
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.method import Method, MethodInfo, Report, Target, Videos
from zslbench.registry import get_method
from zslbench.run.evaluate import evaluate
from zslbench.run.experiment import resolve_method
from zslbench.run.inputs import cached_features
from zslbench.run.models import describe, load_model, save_model
from zslbench.steps import compose
from zslbench.testing import tiny_task
from zslbench_methods.steps import NRM


@pytest.fixture
def features():
    cached_features.cache_clear()
    return make_features(dim=32, per_class=8)


def run(label, **settings):
    (cell,) = plan(method=label, splits="1", set=settings)
    return cell, evaluate(cell, Report())


def test_all_steps_start_from_the_same_fitted_model(features):
    (plain_cell, plain), (_, stepped) = run("ridge"), run("ridge+nrm")
    assert stepped.method.seed == plain.method.seed
    for name, array in plain.method.state().items():
        np.testing.assert_array_equal(stepped.method.state()[name], array)
    assert plain_cell.budget == ("class-vectors",)


@pytest.mark.slow
def test_an_oracle_is_given_the_best_k_and_says_so(features):
    oracle = {"self-training": {"oracle": True, "neighbours": 12}}
    cell, outcome = run("ridge+self-training", **oracle)
    assert "oracle" in cell.budget
    each = {k: run("ridge+self-training", **{"self-training": {"neighbours": k}}) for k in range(1, 13)}
    assert all("oracle" not in cell.budget for cell, _ in each.values())
    top1 = {k: outcome.result.metrics["top1"] for k, (_, outcome) in each.items()}
    assert len(set(top1.values())) > 2  # or there would be nothing to choose
    assert outcome.result.metrics["top1"] == max(top1.values())
    chosen = outcome.result.notes["chosen_by_test_labels"]
    assert chosen == f"K={next(k for k in top1 if top1[k] == max(top1.values()))}"
    assert "chosen_by_test_labels" not in each[3][1].result.notes


def test_an_oracle_must_be_the_last_step():
    with pytest.raises(ZslbenchError, match="make self-training the last step"):
        get_method("ridge+self-training+nrm")({"self_training": {"oracle": True}})
    get_method("ridge+nrm+self-training")({"self_training": {"oracle": True}})


@pytest.mark.parametrize("label", ["ridge+nrm", "pooled-krr+self-training+gc", "reverse-ridge+self-training"])
def test_a_saved_model_with_steps_scores_the_same(label, features, tmp_path):
    cell, outcome = run(label)
    model = save_model(tmp_path / "m", outcome.method, *describe(cell, outcome.method, outcome.seen, outcome.unseen))
    loaded = load_model(model.folder)
    test = Videos.from_arrays(np.random.default_rng(0).normal(size=(20, 32)).astype(np.float32))
    expected = outcome.method.score(test, outcome.unseen)
    np.testing.assert_allclose(loaded.method.score(test, outcome.unseen), expected, rtol=1e-5, atol=1e-7)
    assert np.unique(expected.argmax(axis=1)).size > 1


def test_a_step_over_sequences_keeps_their_frames():
    task = tiny_task()
    method = compose(FirstFrame, NRM)()
    method.fit(task.train, task.seen_classes, Target(videos=task.test), Report())
    restored = compose(FirstFrame, NRM)()
    restored.restore(method.state())
    expected = method.score(task.test, task.test_classes)
    np.testing.assert_allclose(restored.score(task.test, task.test_classes), expected, atol=1e-6)


class FirstFrame(Method):
    """Looks at each video's first frame, which a mean would lose."""

    info = MethodInfo(name="first-frame", summary="fixed", wants="sequences")
    test_params: ClassVar = {}

    def fit(self, seen, classes, target, report):
        pass

    def score(self, videos, classes):
        return np.stack([videos.sequence(i)[0, : len(classes)] for i in range(len(videos))]).astype(float)

    def state(self):
        return {}

    def restore(self, state):
        pass


# Settings and mistakes.


def test_settings_of_a_step_go_by_its_name():
    for settings_ in (
        {"self-training": {"neighbours": 5}},
        {"ridge+self-training": {"self_training": {"neighbours": 5}}},
    ):
        _, params = resolve_method("ridge+self-training", {"ridge": {"alpha": 2.0}, **settings_})
        assert (params.self_training.neighbours, params.alpha) == (5, 2.0)
    _, params = resolve_method("tzs:transductive+nrm", {})
    assert params.laplacian == "train+test"


def test_the_command_line_sets_a_steps_parameter_and_shows_it(zslbench, features, tmp_path):
    common = ("run", "--dataset", "hmdb51", "--features", "tiny", "--splits", "1", "--no-track")
    code, out, err = zslbench(
        *common, "--method", "ridge+self-training", "--set", "self-training.neighbours=5", "--results", tmp_path
    )
    assert code == 0, err
    assert 'ridge+self-training (self_training={"neighbours":5' in " ".join(out.split())
    assert "unseen-videos" in out
    code, _, err = zslbench(*common, "--method", "ridge", "--set", "self-training.neighbours=5", "--results", tmp_path)
    assert (code, "no method of this run" in err) == (2, True)
    code, _, err = zslbench(
        *common, "--method", "ridge+self-training", "--set", "self-training.neighbors=5", "--results", tmp_path
    )
    assert (code, "Did you mean neighbours?" in err) == (2, True)


def test_the_check_takes_a_steps_parameter(zslbench):
    options = ("--only", "scores", "--set", "self-training.neighbours=2")
    code, out, err = zslbench("check", "ridge+self-training", *options)
    assert code == 0, err
    assert "1 passed" in out
    code, _, err = zslbench("check", "ridge+nrm", *options)
    assert (code, "--set names 'self-training'" in err) == (2, True)


def test_methods_shows_steps(zslbench):
    code, out, _ = zslbench("methods", "ridge+self-training")
    assert code == 0
    assert "--set self-training.PARAMETER=VALUE" in out
    code, out, _ = zslbench("methods")
    assert all(name in out for name in ("self-training", "nrm", "gc"))


def test_an_unknown_step_and_a_step_twice_are_refused():
    with pytest.raises(NotFoundError, match=r"no step is called 'nmr'.* Did you mean nrm\?"):
        get_method("ridge+nmr")
    with pytest.raises(ZslbenchError, match="has nrm already"):
        get_method("ridge+nrm+nrm")
    with pytest.raises(ZslbenchError, match="has self-training already"):
        get_method("ridge+self-training+gc+self-training")
    with pytest.raises(NotFoundError, match="no method is called 'rige'"):
        get_method("rige+nrm")
    with pytest.raises(ZslbenchError, match="greater than or equal to 1"):
        resolve_method("ridge+self-training", {"self-training": {"neighbours": 0}})


def test_a_row_names_only_what_is_not_usual(features):
    cell, outcome = run("ridge+self-training")
    assert make_row([Record(cell, outcome.result)]).name == "ridge+self-training"
