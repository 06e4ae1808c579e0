"""Vector arithmetic: against loops in float64, cases worked by hand, and what must hold whatever the numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.embeddings.class_embeddings import ClassEmbeddings
from zslbench.errors import ZslbenchError
from zslbench.semantic_tests.arithmetic import vector_arithmetic

GROUPS = {
    "play": {"a": "play a", "b": "play b", "c": "play c"},
    "throw": {"a": "throw a", "b": "throw b"},
    "ride": {"b": "ride b", "d": "ride d"},
}
NAMES = (*(name for nouns in GROUPS.values() for name in nouns.values()), "walk", "sit")


def embeddings(vectors, names=NAMES, seen=None):
    vectors = np.asarray(vectors, dtype=np.float32)
    return ClassEmbeddings("toy", tuple(names), vectors, np.zeros(len(names), dtype=np.int64), seen)


def toy(seed, d=4):
    rng = np.random.default_rng(seed)
    nouns = {noun: rng.standard_normal(d) for noun in "abcd"}
    return embeddings(rng.standard_normal((len(NAMES), d))), nouns


def looped(classes, nouns, metric, exclude_source, arithmetic=True):
    """The test as three loops over Python floats."""
    right = []
    for named in GROUPS.values():
        for minus, source in named.items():
            for plus, target in named.items():
                if minus == plus:
                    continue
                best, nearest = math.inf, None
                for name, vector in zip(classes.names, classes.vectors.tolist(), strict=True):
                    if exclude_source and name == source:
                        continue
                    start = classes.vectors[classes.names.index(source)].tolist()
                    steps = [0.0] * len(start)
                    if arithmetic:
                        steps = [float(p) - float(m) for p, m in zip(nouns[plus], nouns[minus], strict=True)]
                    point = [s + t for s, t in zip(start, steps, strict=True)]
                    if metric == "euclidean":
                        distance = math.dist(point, vector)
                    else:
                        dot = math.fsum(p * v for p, v in zip(point, vector, strict=True))
                        distance = 1 - dot / (math.hypot(*point) * math.hypot(*vector))
                    if distance < best:
                        best, nearest = distance, name
                right.append(nearest == target)
    return right


@pytest.mark.parametrize("exclude_source", [True, False])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_three_loops(metric, exclude_source, seed):
    classes, nouns = toy(seed)
    outcome = vector_arithmetic(classes, GROUPS, nouns).outcome(metric, exclude_source=exclude_source)
    assert outcome.correct.tolist() == looped(classes, nouns, metric, exclude_source)
    assert outcome.without_arithmetic.tolist() == looped(classes, nouns, metric, exclude_source, arithmetic=False)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["euclidean", "cosine"]))
def test_more_passes_without_the_source_among_the_candidates(seed, metric):
    test = vector_arithmetic(toy(seed)[0], GROUPS, toy(seed)[1])
    excluded, included = (test.outcome(metric, exclude_source=exclude) for exclude in (True, False))
    assert (excluded.correct | ~included.correct).all()
    assert not included.without_arithmetic.any()  # nothing is nearer the source than the source


def worked(step):
    """Three classes on a line, and the noun step from the first towards the third."""
    classes = embeddings([[0, 0], [3, 0], [10, 0]], ["verb a", "verb b", "other"])
    return vector_arithmetic(classes, {"verb": {"a": "verb a", "b": "verb b"}}, {"a": [0, 0], "b": [step, 0]})


def test_a_case_worked_by_hand():
    # a -> b: V_new = 0 + step; b -> a: V_new = 3 - step. Candidates at 0, 3 and 10.
    for step, with_source, without_source in [
        (1, [False, False], [True, True]),  # V_new 1 and 2: each nearest its own source; next comes the target
        (2, [True, True], [True, True]),  # V_new 2 and 1
        (7, [False, True], [False, True]),  # V_new 7 (nearest 10) and -4
    ]:
        test = worked(step)
        assert test.outcome("euclidean", exclude_source=False).correct.tolist() == with_source
        assert test.outcome("euclidean", exclude_source=True).correct.tolist() == without_source
        assert test.v_new.tolist() == [[step, 0], [3 - step, 0]]
        assert (test.step_length, test.gap_length) == (step, 3)
        assert test.source_nearest("euclidean") == (1.0 if step == 1 else 0.0)


def test_the_nearest_are_named_in_order_and_the_excluded_source_is_none_of_them():
    included, excluded = (worked(1).outcome("euclidean", exclude_source=exclude) for exclude in (False, True))
    assert included.nearest.tolist() == [[0, 1, 2], [1, 0, 2]]
    assert excluded.nearest.tolist() == [[1, 2], [0, 2]]
    assert (included.n_candidates, excluded.n_candidates) == (3, 2)
    assert excluded.chance == 1 / 2


def test_the_macro_average_counts_each_verb_once():
    classes, nouns = toy(0)
    test = vector_arithmetic(classes, GROUPS, nouns)
    for outcome in test.outcomes:
        rates = [outcome.correct[6 * (i > 0) + 2 * (i > 1) :][: 6 if i == 0 else 2].mean() for i in range(3)]
        assert outcome.micro.mean == outcome.correct.mean() == test.shares(outcome.correct)[0]
        assert outcome.macro.mean == pytest.approx(np.mean(rates))
        assert test.shares(outcome.correct)[1] == pytest.approx(np.mean(rates))
        assert np.isnan([outcome.macro.low, outcome.macro.high]).all()  # of three verbs there is no interval


def test_a_guess_within_the_verb_is_right_once_in_the_number_of_siblings():
    classes, nouns = toy(0)
    test = vector_arithmetic(classes, GROUPS, nouns)
    assert test.sibling_chance.tolist() == [1 / 2] * 6 + [1.0] * 4
    assert test.shares(test.sibling_chance) == (0.7, pytest.approx((0.5 + 1 + 1) / 3))


def test_two_verbs_have_no_interval():
    two = {verb: GROUPS[verb] for verb in ("play", "throw")}
    assert np.isnan(vector_arithmetic(toy(0)[0], two, toy(0)[1]).outcomes[0].macro.low)


def test_an_embedding_that_is_verb_plus_noun_passes_every_pair():
    rng = np.random.default_rng(1)
    nouns = {noun: rng.standard_normal(30) for noun in "abcd"}
    rows = [rng.standard_normal(30)[None] + np.stack([nouns[n] for n in named]) for named in GROUPS.values()]
    test = vector_arithmetic(embeddings(np.concatenate([*rows, rng.standard_normal((2, 30))])), GROUPS, nouns)
    assert all(outcome.correct.all() for outcome in test.outcomes)


def test_nouns_that_lead_nowhere_leave_the_source_nearest_and_change_nothing():
    classes, nouns = toy(0)
    test = vector_arithmetic(classes, GROUPS, dict.fromkeys(nouns, np.ones(4)))
    included, excluded = (test.outcome("euclidean", exclude_source=exclude) for exclude in (False, True))
    assert (included.nearest[:, 0] == test.sources).all()
    assert (excluded.correct == excluded.without_arithmetic).all()


def test_pairs_without_a_class_or_a_noun_are_left_out_and_counted():
    classes, nouns = toy(0)
    kept = [i for i, name in enumerate(NAMES) if name != "throw b"]
    fewer = embeddings(classes.vectors[kept], [NAMES[i] for i in kept])
    del nouns["c"]
    test = vector_arithmetic(fewer, GROUPS, nouns)
    assert [(pair.source, pair.target) for pair in test.pairs] == [
        ("play a", "play b"), ("play b", "play a"), ("ride b", "ride d"), ("ride d", "ride b"),
    ]  # fmt: skip
    assert (test.without_class, test.without_noun, test.missing_nouns) == (2, 4, ("c",))
    assert len(test.pairs) + test.without_class + test.without_noun == 10


def test_pairs_of_seen_classes_are_told_from_the_others():
    classes, nouns = toy(0)
    seen = np.array([name not in ("play c", "ride d") for name in NAMES])
    test = vector_arithmetic(embeddings(classes.vectors, seen=seen), GROUPS, nouns)
    assert [(p.source, p.target) for p, both in zip(test.pairs, test.both_seen, strict=True) if both] == [
        ("play a", "play b"), ("play b", "play a"), ("throw a", "throw b"), ("throw b", "throw a"),
    ]  # fmt: skip
    assert vector_arithmetic(classes, GROUPS, nouns).both_seen is None


def test_a_zero_vector_has_cosine_zero_with_everything():
    classes = embeddings([[1, 0], [0, 0], [-1, 0]], ["verb a", "verb b", "other"])
    test = vector_arithmetic(classes, {"verb": {"a": "verb a", "b": "verb b"}}, {"a": [0, 0], "b": [0, 0]})
    assert test.outcome("cosine", exclude_source=True).nearest.tolist() == [[1, 2], [0, 2]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda classes, nouns: (classes, {"a": nouns["a"]}), "without: b, c, d"),
        (lambda classes, nouns: (classes, {n: v[:3] for n, v in nouns.items()}), "3 dimensions and toy 4"),
        (lambda classes, nouns: (classes, nouns | {"a": np.full(4, np.nan)}), "not finite"),
        (lambda classes, nouns: (embeddings(classes.vectors[-2:], NAMES[-2:]), nouns), "no verb has two nouns"),
    ],
)
def test_bad_input_is_refused(change, sentence):
    classes, nouns = change(*toy(0))
    with pytest.raises(ZslbenchError, match=sentence):
        vector_arithmetic(classes, GROUPS, nouns)
