"""The picture of vector arithmetic."""

import numpy as np
import pytest
from labels import assert_nothing_covered

from zslbench.embeddings.class_embeddings import ClassEmbeddings
from zslbench.errors import ZslbenchError
from zslbench.report.analogies import analogy_figure, drawn_examples
from zslbench.semantic_tests.arithmetic import vector_arithmetic

pytestmark = pytest.mark.versions

GROUPS = {"play": {n: f"Play{n}" for n in "abcdef"}, "ride": {"a": "RideA", "b": "RideB"}}
NAMES = (*(c for named in GROUPS.values() for c in named.values()), "Walk", "Sit")


@pytest.fixture(scope="module")
def test_of_noise():
    rng = np.random.default_rng(3)
    nouns = {n: rng.standard_normal(12) for n in "abcdef"}
    rows = [2 * nouns[n] + rng.standard_normal(12) for named in GROUPS.values() for n in named]
    vectors = np.array([*rows, *rng.standard_normal((2, 12))], dtype=np.float32)
    none = np.zeros(len(NAMES), dtype=np.int64)
    return vector_arithmetic(ClassEmbeddings("noise", NAMES, vectors, none), GROUPS, nouns)


def planes(figure):
    return [axes for axes in figure.axes if axes.axison]


def test_half_of_the_examples_pass_half_fail_and_verbs_take_turns(test_of_noise):
    outcome = test_of_noise.outcome("euclidean", exclude_source=True)
    assert 3 <= outcome.correct.sum() <= len(outcome.correct) - 3  # a case with enough of both
    shown = drawn_examples(outcome, test_of_noise.verbs, 6)
    assert len(set(shown)) == 6
    assert outcome.correct[shown].tolist() == [True] * 3 + [False] * 3
    passing_verbs = {test_of_noise.pairs[i].verb for i in np.flatnonzero(outcome.correct)}
    assert {test_of_noise.pairs[i].verb for i in shown[:3]} == passing_verbs
    assert drawn_examples(outcome, test_of_noise.verbs, 6) == shown
    assert drawn_examples(outcome, test_of_noise.verbs, 6, seed=1) != shown


def test_all_pairs_can_be_asked_for(test_of_noise):
    outcome = test_of_noise.outcome("cosine", exclude_source=False)
    n = len(test_of_noise.pairs)
    assert sorted(drawn_examples(outcome, test_of_noise.verbs, n + 5)) == list(range(n))


def test_every_panel_tells_the_arithmetic_the_verdict_and_the_nearest_classes(test_of_noise, tmp_path):
    outcome = test_of_noise.outcome("euclidean", exclude_source=True)
    shown = drawn_examples(outcome, test_of_noise.verbs, 4)
    figure = analogy_figure(test_of_noise, outcome, shown, labels={"Playa": "play a"})
    assert len(planes(figure)) == 4
    captions = [" ".join(text.get_text() for text in axes.texts) for axes in figure.axes if not axes.axison]
    for i, caption in zip(shown, captions, strict=True):
        pair = test_of_noise.pairs[i]
        assert f"− {pair.minus} + {pair.plus}" in caption
        assert ("passes" if outcome.correct[i] else "fails") in caption
        first = test_of_noise.names[outcome.nearest[i, 0]]
        assert f"1. {'play a' if first == 'Playa' else first}" in caption
    assert f"{outcome.correct.sum()} of {len(test_of_noise.pairs)} pairs pass" in figure.texts[1].get_text()
    figure.savefig(tmp_path / "analogies.png")
    assert (tmp_path / "analogies.png").stat().st_size > 20_000


def test_every_point_of_a_panel_lies_inside_its_frame_and_every_class_has_its_name(test_of_noise):
    outcome = test_of_noise.outcome("euclidean", exclude_source=True)
    shown = drawn_examples(outcome, test_of_noise.verbs, 3)
    for i, axes in zip(shown, planes(analogy_figure(test_of_noise, outcome, shown)), strict=True):
        points = np.concatenate([dots.get_offsets() for dots in axes.collections])
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert ((points > (left, bottom)) & (points < (right, top))).all()
        texts = {text.get_text() for text in axes.texts}
        pair, nearest = test_of_noise.pairs[i], outcome.nearest[i]
        named = {pair.source, pair.target, *(test_of_noise.names[row] for row in nearest)}
        assert named | {f"− {pair.minus}", f"+ {pair.plus}"} <= texts


def test_in_a_plane_of_two_dimensions_distances_are_the_real_ones():
    vectors = np.array([[0, 0], [3, 0], [1, 2]], dtype=np.float32)
    classes = ClassEmbeddings("flat", ("VerbA", "VerbB", "Other"), vectors, np.zeros(3, dtype=np.int64))
    test = vector_arithmetic(classes, {"verb": {"a": "VerbA", "b": "VerbB"}}, {"a": [0, 1], "b": [2, 1]})
    outcome = test.outcome("euclidean", exclude_source=True)
    axes = planes(analogy_figure(test, outcome, [0]))[0]
    drawn = [np.asarray(dots.get_offsets()[0]) for dots in axes.collections]  # V_new, then the classes
    assert np.linalg.norm(drawn[1] - drawn[0]) == pytest.approx(2)  # V_new = (2, 0)
    assert np.linalg.norm(drawn[2] - drawn[0]) == pytest.approx(1)


def test_names_cover_no_marker_and_no_other_name_and_stay_inside_the_frame(test_of_noise):
    outcome = test_of_noise.outcome("euclidean", exclude_source=True)
    shown = drawn_examples(outcome, test_of_noise.verbs, 6)
    for axes in planes(analogy_figure(test_of_noise, outcome, shown)):
        markers = np.concatenate([dots.get_offsets() for dots in axes.collections])
        assert_nothing_covered(axes, [text for text in axes.texts if text.get_text()], markers, radius=4)


def test_no_example_is_refused(test_of_noise):
    with pytest.raises(ZslbenchError, match="no example"):
        analogy_figure(test_of_noise, test_of_noise.outcomes[0], [])
