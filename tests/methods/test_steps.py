"""Self-training, NRM and GC against loops and hand-computed cases, and how steps compose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zslbench.errors import ZslbenchError
from zslbench.method import Budget, Classes, Method, MethodInfo, Report, Target, Videos
from zslbench.registry import get_method
from zslbench.steps import Step, StepInfo, compose
from zslbench.testing import CHECKS, CheckState, check_method, parametrize_with_checks
from zslbench.testing._check import Subject
from zslbench_methods.steps import NRM, GloballyCorrected, SelfTraining


class Mapped(Method):
    """Videos lie where their features say; the score is the cosine with the class vector."""

    info = MethodInfo(name="mapped", summary="fixed", budget=frozenset({Budget.CLASS_VECTORS}))

    def fit(self, seen, classes, target, report):
        self.target = target

    def embed(self, videos):
        return videos.pooled().astype(float)

    def score(self, videos, classes):
        return np.array([[cosine(x, g) for g in classes.vectors.astype(float)] for x in self.embed(videos)])


class Scored(Method):
    """Scores are the features; there is no embedding."""

    info = MethodInfo(name="scored", summary="fixed", budget=frozenset())

    def fit(self, seen, classes, target, report):
        pass

    def score(self, videos, classes):
        return videos.pooled()[:, : len(classes)].astype(float)


def cosine(a, b):
    size = np.sqrt(sum(p * p for p in a) * sum(q * q for q in b))
    return sum(p * q for p, q in zip(a, b, strict=True)) / size if size else 0.0


def videos(x):
    return Videos.from_arrays(np.asarray(x, dtype=np.float32))


def classes(vectors):
    vectors = np.asarray(vectors, dtype=np.float32)
    return Classes(tuple(f"c{i}" for i in range(len(vectors))), vectors)


def unit(x):
    x = np.asarray(x, dtype=float)
    return np.stack([row / np.sqrt(sum(v * v for v in row)) for row in x])


def self_training_by_loop(x, pivots, first, k, rounds):
    """Cosines of x with the means of the k pivots that are nearest; ``first`` are the pivots' first similarities."""
    pivots, similarities = unit(pivots), [list(column) for column in np.asarray(first).T]
    for _ in range(rounds):
        prototypes = []
        for column in similarities:
            kth = sorted(column, reverse=True)[min(k, len(column)) - 1]
            near = [f for f, s in zip(pivots, column, strict=True) if s >= kth]
            prototypes.append([sum(values) / len(near) for values in zip(*near, strict=True)])
        similarities = [[cosine(f, g) for f in pivots] for g in prototypes]
    return np.array([[cosine(row, g) for g in prototypes] for row in x])


def nrm_by_loop(scores, of_pivots):
    norms = [np.sqrt(sum(s * s for s in column)) for column in np.asarray(of_pivots).T]
    return np.array([[s / n if n else s for s, n in zip(row, norms, strict=True)] for row in scores])


def gc_by_loop(scores, of_pivots):
    def rank(s, column):
        return sum(p > s + 1e-5 * np.abs(of_pivots).max() for p in column)

    scale = max(1.0, np.abs(of_pivots).max())
    columns = np.asarray(of_pivots).T
    return np.array([[s / scale - rank(s, c) for s, c in zip(row, columns, strict=True)] for row in scores])


# Computed by hand.


def test_self_training_by_hand():
    pivots = videos([[1, 0], [0, 1], [0.6, 0.8]])
    step = SelfTraining(SelfTraining.Params(neighbours=2))
    # The two nearest to (1, 0) are the first and the third, with mean (0.8, 0.4), a direction of (2, 1).
    found = step.score(Mapped(), pivots, videos([[0, 1], [2, 1]]), classes([[1, 0]]))
    np.testing.assert_allclose(found, [[1 / np.sqrt(5)], [1.0]], atol=1e-6)


def test_nrm_by_hand():
    found = NRM(NRM.Params()).score(Scored(), videos([[3, 1], [4, 0]]), videos([[3, 1], [10, 2]]), classes(np.eye(2)))
    np.testing.assert_allclose(found, [[0.6, 1], [2, 2]], atol=1e-6)


def test_globally_corrected_by_hand():
    """Class 1 is a hub, nearest to all three; each class keeps the videos that rank high for it."""
    pivots = videos([[0.5, 0.9], [0.4, 0.8], [0.1, 0.95]])
    found = GloballyCorrected(GloballyCorrected.Params()).score(Scored(), pivots, pivots, classes(np.eye(2)))
    np.testing.assert_allclose(found, [[0.5, 0.9 - 1], [0.4 - 1, 0.8 - 2], [0.1 - 2, 0.95]], atol=1e-6)
    assert Scored().score(pivots, classes(np.eye(2))).argmax(axis=1).tolist() == [1, 1, 1]
    assert found.argmax(axis=1).tolist() == [0, 0, 1]


# Against loops.

ARRAYS = st.integers(0, 10_000)


def drawn(seed, ties=False):
    rng = np.random.default_rng(seed)
    pivots, x = rng.normal(size=(9, 3)), rng.normal(size=(4, 3))
    if ties:  # few values: many equal scores
        pivots, x = np.round(pivots), np.round(x)
        pivots[(pivots == 0).all(axis=1)] = 1
        x[(x == 0).all(axis=1)] = 1
    return pivots, x, rng.normal(size=(3, 3))


@given(ARRAYS, st.booleans(), st.integers(1, 12), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_self_training_is_the_loop(seed, ties, k, rounds):
    pivots, x, vectors = drawn(seed, ties)
    step = SelfTraining(SelfTraining.Params(neighbours=k, rounds=rounds))
    first = [[round(cosine(p, np.float32(g).astype(float)), 9) for g in vectors] for p in np.float32(pivots)]

    class Rounded(Mapped):
        def score(self, videos, classes):
            return np.round(super().score(videos, classes), 9)  # equal similarities are equal here and in the loop

    if rounds > 1 and ties:
        return  # equal only but for rounding from the second round on
    expected = self_training_by_loop(np.float32(x), np.float32(pivots), first, k, rounds)
    np.testing.assert_allclose(step.score(Rounded(), videos(pivots), videos(x), classes(vectors)), expected, atol=1e-5)


@given(ARRAYS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_nrm_and_gc_are_the_loops(seed, ties):
    pivots, x, _ = drawn(seed, ties)
    for step, loop in ((NRM, nrm_by_loop), (GloballyCorrected, gc_by_loop)):
        found = step(step.Params()).score(Scored(), videos(pivots), videos(x), classes(np.eye(3)))
        np.testing.assert_allclose(found, loop(np.float32(x), np.float32(pivots)), atol=1e-5)


@given(ARRAYS)
@settings(max_examples=10, deadline=None)
def test_without_an_embedding_the_best_scored_videos_are_averaged_as_centred_features(seed):
    pivots, x, _ = drawn(seed)
    step = SelfTraining(SelfTraining.Params(neighbours=3))
    found = step.score(Scored(), videos(pivots), videos(x), classes(np.eye(3)))
    mean = np.float32(pivots).mean(axis=0)
    expected = self_training_by_loop(np.float32(x) - mean, np.float32(pivots) - mean, np.float32(pivots), 3, 1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_nrm_and_gc_survive_scores_that_are_all_zero():
    zero = videos(np.zeros((4, 3)))
    for step in (NRM, GloballyCorrected):
        assert (step(step.Params()).score(Scored(), zero, zero, classes(np.eye(3))) == 0).all()


@pytest.mark.parametrize("step", [SelfTraining, NRM, GloballyCorrected])
def test_a_video_scores_the_same_among_the_pivots_and_alone(step):
    pivots, _, vectors = drawn(3)
    whole = step(step.Params()).score(Mapped(), p := videos(pivots), p, classes(vectors))
    alone = step(step.Params()).score(Mapped(), p, videos(pivots[[5]]), classes(vectors))
    np.testing.assert_allclose(alone, whole[[5]], atol=1e-6)


# Composition.


def composed(*steps, method=Mapped, **params):
    for step in steps:
        method = compose(method, step)
    made = method(params)
    made.fit(None, None, Target(videos=videos(drawn(7)[0])), Report())
    return made


def test_the_first_step_is_the_innermost():
    pivots, x, vectors = drawn(7)
    pivots, x = np.float32(pivots), np.float32(x)
    first, mine = (Mapped().score(videos(v), classes(vectors)) for v in (pivots, x))

    def scored(*steps):
        return composed(*steps, self_training={"neighbours": 3}).score(videos(x), classes(vectors))

    trained_first = composed(SelfTraining, NRM, self_training={"neighbours": 3})
    expected = nrm_by_loop(*(self_training_by_loop(v, pivots, first, 3, 1) for v in (x, pivots)))
    np.testing.assert_allclose(trained_first.score(videos(x), classes(vectors)), expected, atol=1e-5)
    expected = self_training_by_loop(x, pivots, nrm_by_loop(first, first), 3, 1)
    np.testing.assert_allclose(scored(NRM, SelfTraining), expected, atol=1e-5)
    expected = gc_by_loop(*(nrm_by_loop(scores, first) for scores in (mine, first)))
    made = composed(NRM, GloballyCorrected).score(videos(x), classes(vectors))
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_a_correction_before_self_training_changes_which_videos_are_near():
    """NRM leaves a class's order of videos as it is, GC breaks its ties; a step that reverses it must be seen."""

    class Reversed(Step):
        info = StepInfo(name="reversed", summary="the other way round")

        def score(self, method, pivots, videos, classes):
            return -method.score(videos, classes)

    pivots, x, vectors = drawn(7)
    found = composed(Reversed, SelfTraining, self_training={"neighbours": 2}).score(videos(x), classes(vectors))
    first = -Mapped().score(videos(pivots), classes(vectors))
    np.testing.assert_allclose(found, self_training_by_loop(np.float32(x), pivots, first, 2, 1), atol=1e-4)


def test_the_method_below_is_handed_no_more_than_it_declares():
    assert composed(NRM)._base.target is None
    assert composed(NRM, GloballyCorrected)._base._base.target is None

    class Looks(Mapped):
        info = Mapped.info.model_copy(update={"budget": frozenset({Budget.UNSEEN_VIDEOS})})

    assert composed(NRM, method=Looks)._base.target.videos is not None


def test_a_composed_method_says_what_it_is():
    method = get_method("pooled-krr+self-training+nrm")
    assert method.info.name == "pooled-krr+self-training+nrm"
    assert method.info.reconstruction  # for NRM's equation was not checked
    assert not get_method("pooled-krr+self-training").info.reconstruction
    assert method().budget == {Budget.CLASS_VECTORS, Budget.UNSEEN_VIDEOS}
    assert all(part in method.info.citation for part in ("1901.00484", "ICIP 2015", "ICLR workshop 2015"))
    oracle = get_method("pooled-krr+self-training")({"self_training": {"oracle": True}})
    assert Budget.ORACLE in oracle.budget


@pytest.mark.parametrize(
    ("name", "trains"),
    [
        ("random+nrm", False),
        ("random+nrm+gc", False),
        ("random+csls", True),
        ("random+centring+nrm", True),
        ("random+inverted-softmax", True),
        ("ridge+nrm", True),
    ],
)
def test_a_step_that_looks_at_seen_videos_makes_a_method_train(name, trains):
    assert get_method(name)().trains is trains


def test_without_test_videos_a_step_refuses():
    with pytest.raises(ZslbenchError, match="unlabelled test videos"):
        compose(Mapped, NRM)().fit(None, None, None, Report())


@parametrize_with_checks(
    [get_method(name) for name in ("ridge+nrm", "pooled-krr+self-training", "dem+self-training+gc", "tzs+nrm")],
    only=[name for name in CHECKS if name != "light-import"],  # which is of the module: cli/test_startup.py
)
def test_conformance(check):
    check()


def test_the_conformance_task_of_self_training_has_more_videos_than_neighbours():
    """With all test videos as neighbours every class has one score, and no check of scores means anything."""
    task, method = Subject.of(get_method("ridge+self-training")).fitted()
    assert np.ptp(method.score(task.test, task.test_classes), axis=1).min() > 0.1


def test_an_oracle_is_not_taken_for_a_method_that_reads_labels():
    values = {"self_training": {"oracle": True, "neighbours": 12}}
    (verdict,) = check_method(get_method("ridge+self-training"), values, only=["unseen-labels"])
    assert (verdict.state, "oracle" in verdict.reason) == (CheckState.SKIPPED, True)


# In a run.
