from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from zslbench.method import Classes, Report
from zslbench.testing import parametrize_with_checks
from zslbench.videos import SeenVideos, Videos
from zslbench_methods._compatibility import LOSSES, CompatibilityRanker
from zslbench_methods.compatibility import ALE, SJE


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
    net = CompatibilityRanker(5, vectors, 0.2, unit_videos, torch.Generator().manual_seed(0), kind)
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
    step, wanted = 1e-6, np.empty_like(weight)
    for place in np.ndindex(*weight.shape):
        change = np.zeros_like(weight)
        change[place] = step
        wanted[place] = (loss(weight + change) - loss(weight - change)) / (2 * step)
    np.testing.assert_allclose(net.weight.grad.numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("kind", ["hardest", "rank"])
def test_a_single_class_costs_nothing_and_gives_a_finite_gradient(kind: str) -> None:
    scores = torch.tensor([[0.3], [-0.2]], requires_grad=True)
    loss = LOSSES[kind](scores, torch.tensor([0, 0]), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(scores.grad, torch.zeros_like(scores))


@pytest.mark.parametrize("method", [SJE, ALE])
def test_it_learns_classes_it_has_never_seen(method: type) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((20, 5)).astype(np.float32)
    image, labels = rng.standard_normal((5, 8)), np.repeat(np.arange(20), 12)
    arrays = [vectors[label] @ image + 0.4 * rng.standard_normal((int(rng.integers(1, 6)), 8)) for label in labels]
    names = tuple(f"class {i}" for i in range(20))
    fitted, report = method({"device": "cpu", "batch_size": 16, "lr": 1e-2}), Report()
    fitted.fit(
        SeenVideos.from_arrays(arrays[:192], labels=labels[:192]), Classes(names[:16], vectors[:16]), None, report
    )
    scores = fitted.score(Videos.from_arrays(arrays[192:]), Classes(names[16:], vectors[16:]))
    assert (scores.argmax(axis=1) == labels[192:] - 16).mean() > 0.7  # chance 0.25
    accuracies = [record["held_out_accuracy"] for record in report.epochs if "held_out_accuracy" in record]
    assert report.notes["best_epoch"] == 1 + int(np.argmax(accuracies))


@parametrize_with_checks([SJE, ALE])
def test_it_conforms(check: Any) -> None:
    check()
