from __future__ import annotations

import numpy as np
import pytest
import torch
from loops import numeric_gradient
from sklearn.metrics.pairwise import euclidean_distances

from zslbench.method import Report
from zslbench.testing import linear_world
from zslbench_methods._dem import VisualSpace
from zslbench_methods._training import unit
from zslbench_methods.dem import DEM


def test_the_loss_and_its_gradient_equal_a_loop_in_float64() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((4, 3)).astype(np.float32)
    net = VisualSpace(5, vectors, 6, torch.Generator().manual_seed(0))
    lengths, labels = np.array([2, 1, 3]), [2, 0, 2]
    frames = rng.standard_normal((6, 5)).astype(np.float32)
    parameters = [*net.layers.weights, *net.layers.biases]
    values = [p.detach().numpy().astype(np.float64) for p in parameters]

    def loss(first: np.ndarray, second: np.ndarray, shift: np.ndarray, offset: np.ndarray) -> float:
        total = 0.0
        for video, label in zip(np.split(frames.astype(np.float64), [2, 3]), labels, strict=True):
            mean = video.mean(axis=0)
            hidden = np.maximum(first @ vectors[label].astype(np.float64) + shift, 0)
            total += float(np.sum((mean / np.linalg.norm(mean) - second @ hidden - offset) ** 2))
        return total / 3

    found = net.loss(torch.from_numpy(frames), lengths, torch.tensor(labels), 0.0)
    found.backward()
    assert found.item() == pytest.approx(loss(*values), abs=1e-5)
    for i, (parameter, value) in enumerate(zip(parameters, values, strict=True)):
        wanted = numeric_gradient(lambda changed, i=i: loss(*values[:i], changed, *values[i + 1 :]), value)
        np.testing.assert_allclose(parameter.grad.numpy(), wanted, atol=1e-5)


def test_the_score_is_minus_the_squared_distance_in_the_space_of_videos() -> None:
    seen, classes, videos, unseen, *_ = linear_world()
    method = DEM({"epochs": 2, "hidden": 16})
    method.fit(seen, classes, None, Report())
    state = {name: array.astype(np.float64) for name, array in method.state().items()}
    units = unit((videos.pooled() - state["shift"]) / state["scale"])
    hidden = method.place(unseen.vectors) @ state["network.layers.weights.0"].T + state["network.layers.biases.0"]
    prototypes = np.maximum(hidden, 0) @ state["network.layers.weights.1"].T + state["network.layers.biases.1"]
    wanted = -euclidean_distances(units, prototypes, squared=True)
    np.testing.assert_allclose(method.score(videos, unseen), wanted, atol=1e-5)


def test_it_learns_classes_it_has_never_seen() -> None:
    seen, classes, videos, unseen, *_ = linear_world()
    method, report = DEM({"batch_size": 16, "lr": 1e-2}), Report()
    method.fit(seen, classes, None, report)
    assert (method.score(videos, unseen).argmax(axis=1) == np.repeat(np.arange(4), 12)).mean() > 0.7  # chance 0.25


def test_the_epoch_is_chosen_by_the_distance_that_scores() -> None:
    """Held-out classes are told apart as unseen ones are: the noted accuracy is that of the kept network's scores."""
    seen, classes, *_ = linear_world()
    method, report = DEM({"refit": False, "epochs": 4, "lr": 1e-2}, seed=3), Report()
    method.fit(seen, classes, None, report)
    known = set(map(tuple, np.round(method.state()["network.vectors"], 4).tolist()))
    placed = np.round(method.place(classes.vectors), 4).tolist()
    held = np.array([i for i, row in enumerate(placed) if tuple(row) not in known])
    assert len(held) == report.notes["held_out_classes"]
    tested = seen.take(np.flatnonzero(np.isin(seen.labels, held)))
    right = held[method.score(tested, classes.take(held)).argmax(axis=1)] == tested.labels
    assert right.mean() == pytest.approx(report.notes["held_out_accuracy"])  # 12 videos a class
