"""The losses against loops in float64 written from the equations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from loops import numeric_gradient

from zslbench_methods._ranking import Ranking, classification_loss, hinge_over_classes, ranking_loss

LABELS = [0, 2, 2, 1, 0, 3]


def problem(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((5, 4))
    return rng.standard_normal((len(LABELS), 4)), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def mined(positive: float, negatives: list[float], mining: str) -> list[float]:
    if mining == "none" or not negatives:
        return negatives
    if mining == "hardest":
        return [max(negatives)]
    below = [s for s in negatives if s < positive]
    return [max(below) if below else min(negatives)]


def cost(positive: float, negatives: list[float], how: Ranking) -> float:
    if how.form == "softmax":
        terms = [math.exp(s / how.temperature) for s in [positive, *negatives]]
        return -math.log(terms[0] / sum(terms))
    if how.form == "hinge":
        costs = [max(0.0, how.margin - positive + s) for s in negatives]
    else:
        costs = [max(0.0, s - how.margin) for s in negatives]
    return sum(costs) / (len(costs) if how.reduce == "mean" and costs else 1)


def reference(a: np.ndarray, v: np.ndarray, how: Ranking) -> float:
    total = 0.0
    for i, label in enumerate(LABELS):
        positive = cosine(a[i], v[label])
        others = [x for x, other in enumerate(LABELS) if other != label]
        loss, repeats = 0.0, 0
        if how.negatives != "none" and how.dirs != "video":
            rows = (
                [c for c in range(len(v)) if c != label] if how.negatives == "classes" else [LABELS[x] for x in others]
            )
            names = mined(positive, [cosine(a[i], v[row]) for row in rows], how.mining)
            loss, repeats = loss + cost(positive, names, how), len(names)
        if how.negatives != "none" and how.dirs != "text":
            videos = mined(positive, [cosine(a[x], v[label]) for x in others], how.mining)
            loss, repeats = loss + cost(positive, videos, how), max(repeats, len(videos))
        total += loss + how.positive * (max(1, repeats) if how.reduce == "sum" else 1) * (1 - positive)
    return total / len(LABELS)


READINGS = [
    Ranking(form=form, margin=margin, negatives=negatives, dirs=dirs, reduce=reduce, mining=mining, positive=positive)
    for form, margin, negatives, dirs, reduce, mining, positive in itertools.product(
        ["literal", "hinge", "softmax"],
        [0.0, 0.3],
        ["none", "batch", "classes"],
        ["both", "video", "text"],
        ["sum", "mean"],
        ["none", "hardest", "semi"],
        [0.0, 1.0],
    )
]


def test_every_reading_equals_its_equation() -> None:
    a, v = problem()
    found = [
        float(ranking_loss(torch.tensor(a), torch.tensor(LABELS), torch.tensor(v).float(), how)) for how in READINGS
    ]
    wanted = [reference(a, v, how) for how in READINGS]
    worst = int(np.argmax(np.abs(np.subtract(found, wanted))))
    assert found[worst] == pytest.approx(wanted[worst], abs=2e-5), READINGS[worst]


@pytest.mark.parametrize("form", ["literal", "hinge", "softmax"])
def test_a_batch_of_one_class_costs_the_positive_term_alone(form: str) -> None:
    a, v = problem()
    loss = ranking_loss(torch.tensor(a), torch.zeros(6, dtype=torch.int64), torch.tensor(v).float(), Ranking(form=form))
    assert float(loss) == pytest.approx(np.mean([1 - cosine(row, v[0]) for row in a]), abs=1e-6)


@pytest.mark.parametrize("how", [Ranking(), Ranking(form="hinge", margin=0.4), Ranking(form="softmax", mining="none")])
def test_gradients_equal_finite_differences(how: Ranking) -> None:
    a, v = problem(1)
    embeddings = torch.tensor(a, dtype=torch.float32, requires_grad=True)
    ranking_loss(embeddings, torch.tensor(LABELS), torch.tensor(v).float(), how).backward()
    wanted = numeric_gradient(lambda changed: reference(changed, v, how), a)
    np.testing.assert_allclose(embeddings.grad.numpy(), wanted, atol=1e-5)


def test_the_length_of_an_embedding_costs_nothing() -> None:
    a, v = problem()
    labels, vectors = torch.tensor(LABELS), torch.tensor(v).float()
    short, long = (ranking_loss(torch.tensor(a) * scale, labels, vectors, Ranking()) for scale in (1e-3, 1e3))
    assert float(short) == pytest.approx(float(long), rel=1e-5)


def test_classification_losses_equal_their_equations() -> None:
    logits, labels = np.random.default_rng(0).standard_normal((6, 4)) * 3, np.array(LABELS)
    softmax = binary = 0.0
    for row, label in zip(logits, labels, strict=True):
        softmax -= math.log(math.exp(row[label]) / sum(math.exp(x) for x in row))
        share = [1 / (1 + math.exp(-x)) for x in row]
        binary -= sum(math.log(p if c == label else 1 - p) for c, p in enumerate(share)) / 4
    tensors = torch.tensor(logits), torch.tensor(labels)
    assert float(classification_loss(*tensors, "softmax")) == pytest.approx(softmax / 6, abs=1e-6)
    assert float(classification_loss(*tensors, "bce")) == pytest.approx(binary / 6, abs=1e-6)


def test_the_hinge_over_classes_leaves_the_right_class_out() -> None:
    scores = np.random.default_rng(2).standard_normal((6, 4))
    wanted = np.mean(
        [
            sum(max(0.0, 0.1 - row[y] + row[j]) for j in range(4) if j != y)
            for row, y in zip(scores, LABELS, strict=True)
        ]
    )
    assert float(hinge_over_classes(torch.tensor(scores), torch.tensor(LABELS), 0.1)) == pytest.approx(wanted)
