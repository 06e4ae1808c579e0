from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from loops import numeric_gradient

from zslbench.method import Classes, Report
from zslbench.testing import linear_world
from zslbench.videos import Videos
from zslbench_methods._ranking import LOSSES, LatentRanker, LinearRanker
from zslbench_methods.compatibility import ALE, SJE, LatEm
from zslbench_methods.devise import DeViSE


def cost(kind: str, scores: np.ndarray, label: int, margin: float) -> float:
    """One video's loss by a loop over the classes."""
    violations = []
    for j, score in enumerate(scores):
        if j != label and margin - scores[label] + score > 0:
            violations.append(margin - scores[label] + score)
    if not violations:
        return 0.0
    if kind == "hardest":
        return float(max(violations))
    rank = len(violations)
    return float(sum(1 / k for k in range(1, rank + 1)) / rank * sum(violations))


@pytest.mark.parametrize(("kind", "wanted"), [("hardest", (0.3 + 0 + 0.8) / 3), ("rank", (0.3 + 0 + 0.75 * 1.4) / 3)])
def test_the_losses_equal_a_case_worked_out_by_hand(kind: str, wanted: float) -> None:
    scores = torch.tensor([[0.5, 0.7, 0.1], [0.0, 0.1, 0.9], [0.9, 0.2, 0.7]], dtype=torch.float64)
    # hinges at margin 0.1: 0.3 and none; none; 0.8 and 0.6
    assert LOSSES[kind](scores, torch.tensor([0, 2, 1]), 0.1).item() == pytest.approx(wanted)


@pytest.mark.parametrize("kind", ["hardest", "rank"])
@pytest.mark.parametrize("unit_videos", [True, False])
def test_the_loss_and_its_gradient_equal_a_loop_in_float64(kind: Any, unit_videos: bool) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((6, 3)).astype(np.float32)
    net = LinearRanker(5, vectors, kind, 0.2, unit_videos, torch.Generator().manual_seed(0))
    lengths, labels = np.array([2, 1, 3, 1]), [2, 0, 3, 5]
    frames = rng.standard_normal((7, 5)).astype(np.float32)

    def loss(weight: np.ndarray) -> float:
        total = 0.0
        for video, label in zip(np.split(frames.astype(np.float64), [2, 3, 6]), labels, strict=True):
            mapped = weight @ video.mean(axis=0)
            mapped = mapped / np.linalg.norm(mapped) if unit_videos else mapped
            total += cost(kind, vectors.astype(np.float64) @ mapped, label, 0.2)
        return total / 4

    found = net.loss(torch.from_numpy(frames), lengths, torch.tensor(labels), 0.0)
    found.backward()
    weight = net.weight.detach().numpy().astype(np.float64)
    assert found.item() == pytest.approx(loss(weight), abs=1e-5)
    np.testing.assert_allclose(net.weight.grad.numpy(), numeric_gradient(loss, weight), atol=1e-5)


def test_ales_gradient_is_the_mean_violation_times_the_rank_weight() -> None:
    """The step of WSABIE, which ALE takes over, draws one violating class: here is its mean over all draws.

    With r violating classes it is ``(1 + 1/2 + ... + 1/r)`` times the mean of ``x (s_j - s_y)'`` (Weston et al., IJCAI
    2011; Akata et al., TPAMI 2016). Released code estimates r from the number of draws; here r is counted.
    """
    rng = np.random.default_rng(3)
    vectors, x = rng.standard_normal((7, 3)), rng.standard_normal(4)
    weight, ranks = torch.tensor(rng.standard_normal((3, 4)), requires_grad=True), set()
    for label in range(7):
        scores = vectors @ weight.detach().numpy() @ x
        violating = [j for j in range(7) if j != label and 1 - scores[label] + scores[j] > 0]
        ranks.add(len(violating))
        wanted = np.zeros((3, 4))
        for j in violating:
            wanted += np.outer(vectors[j] - vectors[label], x) / len(violating)
        wanted *= sum(1 / k for k in range(1, len(violating) + 1))
        found_scores = torch.from_numpy(vectors) @ weight @ torch.from_numpy(x)
        loss = LOSSES["rank"](found_scores[None], torch.tensor([label]), 1.0)
        (found,) = torch.autograd.grad(loss, weight)
        np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert len(ranks) > 3


@pytest.mark.parametrize("kind", ["hardest", "rank"])
def test_a_single_class_costs_nothing_and_gives_a_finite_gradient(kind: str) -> None:
    scores = torch.tensor([[0.3], [-0.2]], requires_grad=True)
    loss = LOSSES[kind](scores, torch.tensor([0, 0]), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(scores.grad, torch.zeros_like(scores))


def test_latems_loss_and_gradient_equal_a_loop_in_float64() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((5, 3)).astype(np.float32)
    net = LatentRanker(4, vectors, 0.2, 2, torch.Generator().manual_seed(0))
    lengths, labels = np.array([2, 1, 3]), [2, 0, 4]
    frames = rng.standard_normal((6, 4)).astype(np.float32)

    def loss(weight: np.ndarray) -> float:
        total = 0.0
        for video, label in zip(np.split(frames.astype(np.float64), [2, 3]), labels, strict=True):
            maps = [weight[:3] @ video.mean(axis=0), weight[3:] @ video.mean(axis=0)]
            length = np.sqrt(sum(float(m @ m) for m in maps))
            scores = [max(float(m @ s) / length for m in maps) for s in vectors.astype(np.float64)]
            total += sum(max(0.0, 0.2 - scores[label] + scores[j]) for j in range(5) if j != label)
        return total / 3

    found = net.loss(torch.from_numpy(frames), lengths, torch.tensor(labels), 0.0)
    found.backward()
    weight = net.weight.detach().numpy().astype(np.float64)
    assert found.item() == pytest.approx(loss(weight), abs=1e-5)
    np.testing.assert_allclose(net.weight.grad.numpy(), numeric_gradient(loss, weight), atol=1e-5)


def test_latems_score_is_that_of_the_best_map() -> None:
    rng = np.random.default_rng(3)
    vectors, weight = rng.standard_normal((4, 3)), rng.standard_normal((6, 2))
    videos = [rng.standard_normal((2, 2)), rng.standard_normal((1, 2))]
    method = LatEm({"n_maps": 2})
    method.restore(
        {
            "mean": np.zeros(3, np.float32),
            "shift": np.zeros(2, np.float32),
            "scale": np.ones(2, np.float32),
            "network.vectors": np.zeros((1, 3), np.float32),
            "network.weight": weight.astype(np.float32),
        }
    )
    wanted = np.empty((2, 4))
    for i, video in enumerate(videos):
        maps = [weight[:3] @ video.mean(axis=0), weight[3:] @ video.mean(axis=0)]
        length = np.linalg.norm(np.concatenate(maps))
        wanted[i] = [max(m @ s for m in maps) / np.linalg.norm(s) / length for s in vectors]
    classes = Classes(("a", "b", "c", "d"), vectors.astype(np.float32))
    np.testing.assert_allclose(method.score(Videos.from_arrays(videos), classes), wanted, atol=1e-5)


def test_one_map_is_devise() -> None:
    seen, classes, videos, unseen, *_ = linear_world()
    params = {"epochs": 2, "centre": False}
    one, devise = LatEm({**params, "n_maps": 1}), DeViSE(params)
    one.fit(seen, classes, None, Report())
    state = one.state()
    devise.restore(state)
    np.testing.assert_allclose(one.score(videos, unseen), devise.score(videos, unseen), atol=1e-6)


@pytest.mark.parametrize("method", [SJE, ALE, pytest.param(LatEm, marks=pytest.mark.slow)])
def test_it_learns_classes_it_has_never_seen(method: type) -> None:
    seen, classes, videos, unseen, *_ = linear_world()
    fitted, report = method({"batch_size": 16, "lr": 1e-2}), Report()
    fitted.fit(seen, classes, None, report)
    scores = fitted.score(videos, unseen)
    assert (scores.argmax(axis=1) == np.repeat(np.arange(4), 12)).mean() > 0.7  # chance 0.25
    accuracies = [record["held_out_accuracy"] for record in report.epochs if "held_out_accuracy" in record]
    assert report.notes["best_epoch"] == 1 + int(np.argmax(accuracies))
