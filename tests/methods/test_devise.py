from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from loops import numeric_gradient

from zslbench.method import Classes, Report
from zslbench.testing import linear_world
from zslbench.videos import Videos
from zslbench_methods import _training
from zslbench_methods._ranking import LinearRanker
from zslbench_methods._selection import Sides, held_out_classes
from zslbench_methods.devise import DeViSE


def fitted(report: Report | None = None, **params: Any) -> tuple[DeViSE, Videos, Classes]:
    seen, classes, videos, unseen, *_ = linear_world()
    method = DeViSE({"batch_size": 16, "lr": 1e-2, **params})
    method.fit(seen, classes, None, report or Report())
    return method, videos, unseen


def test_it_learns_classes_it_has_never_seen() -> None:
    method, videos, classes = fitted()
    scores = method.score(videos, classes)
    assert scores.shape == (48, 4)
    assert (scores.argmax(axis=1) == np.repeat(np.arange(4), 12)).mean() > 0.7  # chance 0.25


def test_a_score_depends_on_nothing_but_the_video_and_the_class() -> None:
    method, videos, classes = fitted()
    scores, order = method.score(videos, classes), np.array([3, 1])
    np.testing.assert_allclose(method.score(videos, classes.take(order)), scores[:, order], atol=1e-6)
    np.testing.assert_allclose(method.score(videos.take(np.arange(5)), classes), scores[:5], atol=1e-6)


@pytest.mark.parametrize("unit_videos", [True, False])
def test_the_loss_and_its_gradient_equal_a_loop_in_float64(unit_videos: bool) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((4, 3)).astype(np.float32)
    net = LinearRanker(6, vectors, "sum", 0.1, unit_videos, torch.Generator().manual_seed(0))
    lengths, labels = np.array([2, 1, 3]), [2, 0, 3]
    frames = rng.standard_normal((6, 6)).astype(np.float32)

    def loss(weight: np.ndarray) -> float:
        total = 0.0
        for video, label in zip(np.split(frames.astype(np.float64), [2, 3]), labels, strict=True):
            mapped = weight @ video.mean(axis=0)
            mapped = mapped / np.linalg.norm(mapped) if unit_videos else mapped
            scores = vectors.astype(np.float64) @ mapped
            total += sum(max(0.0, 0.1 - scores[label] + scores[j]) for j in range(4) if j != label)
        return total / 3

    found = net.loss(torch.from_numpy(frames), lengths, torch.tensor(labels), 0.0)
    found.backward()
    weight = net.weight.detach().numpy().astype(np.float64)
    assert found.item() == pytest.approx(loss(weight), abs=1e-5)
    np.testing.assert_allclose(net.weight.grad.numpy(), numeric_gradient(loss, weight), atol=1e-5)


def test_training_equals_a_loop_of_adam_in_float64() -> None:
    """The order of batches, the first weights and the optimiser (Kingma and Ba, ICLR 2015) are written out here."""
    seen, classes, *_ = linear_world()
    how = {"batch_size": 32, "lr": 1e-2, "epochs": 3, "min_batches": 12, "validation_fraction": 0}
    method = DeViSE({**how, "input_scale": "none"}, seed=4)
    method.fit(seen, classes, None, Report())
    x = seen.pooled().astype(np.float64)
    s = classes.vectors / np.linalg.norm(classes.vectors, axis=1, keepdims=True)
    s = (s - s.mean(axis=0)) / np.linalg.norm(s - s.mean(axis=0), axis=1, keepdims=True)
    start = torch.empty(s.shape[1], x.shape[1])
    start.uniform_(-(x.shape[1] ** -0.5), x.shape[1] ** -0.5, generator=torch.Generator().manual_seed(4))
    weight, order = start.numpy().astype(np.float64), np.random.default_rng(4)
    mean, square, step = np.zeros_like(weight), np.zeros_like(weight), 0
    for _ in range(3):
        places = np.concatenate([order.permutation(len(x)) for _ in range(2)])  # 12 batches of 32 are two of 192 videos
        for batch in np.split(places, 12):
            slope = np.zeros_like(weight)
            for i in batch:
                y, mapped = seen.labels[i], weight @ x[i]
                length = np.linalg.norm(mapped)
                scores = s @ mapped / length
                violated = [j for j in range(len(s)) if j != y and 0.1 - scores[y] + scores[j] > 0]
                towards = sum((s[j] - s[y] for j in violated), np.zeros(len(mapped)))
                towards -= mapped * (mapped @ towards) / length**2
                slope += np.outer(towards / length, x[i]) / len(batch)
            step += 1
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
            weight -= 1e-2 * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(method.state()["network.weight"], weight, atol=1e-4)
    assert np.abs(start.numpy() - weight).max() > 0.1


def test_only_the_mean_of_the_frames_counts() -> None:
    method, videos, classes = fitted()
    pooled = Videos.from_arrays(videos.pooled())
    np.testing.assert_allclose(method.score(pooled, classes), method.score(videos, classes), atol=1e-6)


def test_the_epoch_is_chosen_on_held_out_seen_classes() -> None:
    report = Report()
    fitted(report, epochs=4)
    accuracies = [record["held_out_accuracy"] for record in report.epochs if "held_out_accuracy" in record]
    assert report.notes["best_epoch"] == 1 + int(np.argmax(accuracies))


def test_held_out_classes_have_no_part_in_the_mean_while_the_epoch_is_chosen() -> None:
    seen, classes = linear_world()[:2]
    method = DeViSE({"epochs": 1, "min_batches": 1})
    method.fit(seen, classes, None, Report())
    held = held_out_classes(seen.labels, len(classes), 0.4, seed=0)[2]
    trial = method._trial(Sides.without(seen, classes, held), Report())
    kept = np.setdiff1d(np.arange(len(classes)), held)
    unit = classes.vectors / np.linalg.norm(classes.vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(trial.space.mean, unit[kept].mean(axis=0), atol=1e-6)
    assert np.abs(trial.space.mean - unit.mean(axis=0)).max() > 0.01


def test_with_several_folds_the_epoch_with_the_best_mean_accuracy_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fold alone, as if it were the first, gives the accuracies that are averaged."""
    how = {"epochs": 4, "patience": 4, "min_batches": 2, "lr": 1e-3, "validation_fraction": 0.25}

    def accuracies(folds: int) -> tuple[list[float], Report]:
        report = Report()
        fitted(report, folds=folds, **how)
        return [record["held_out_accuracy"] for record in report.epochs if "held_out_accuracy" in record], report

    together, report = accuracies(3)
    real, alone = _training.held_out_classes, []
    for fold in range(3):
        monkeypatch.setattr(_training, "held_out_classes", lambda *args, fold=fold: real(*args[:4], fold))
        alone.append(accuracies(1)[0])
    np.testing.assert_allclose(together, np.mean(alone, axis=0))
    assert len({tuple(each) for each in alone}) > 1  # or there would be nothing to average
    best = int(np.argmax(together))
    assert report.notes["best_epoch"] == best + 1
    assert report.notes["held_out_folds"] == 3
    assert report.notes["held_out_accuracy"] == pytest.approx(max(together))
    assert report.notes["held_out_sd"] == pytest.approx(np.std([each[best] for each in alone], ddof=1))
