"""CoCo's three losses against loops, its cycle on toy cases, what plays the unseen classes, and files of many texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from text_world import DIM, world

from zslbench.errors import ZslbenchError
from zslbench.method import Budget, Report, Target
from zslbench_methods._coco import DualAlignment, class_loss, cycle_loss, instance_loss
from zslbench_methods._training import unit
from zslbench_methods.coco import CoCo

SMALL = {"epochs": 2, "min_batches": 1}


def unit_rows(seed: int, *size: int) -> torch.Tensor:
    rows = np.random.default_rng(seed).standard_normal(size)
    return torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True)).requires_grad_()


def shares(values: Any) -> Any:
    values = np.exp(np.asarray(values) - np.max(values))
    return values / values.sum()


def test_the_class_loss_is_the_softmax_cross_entropy_of_cosines_over_the_temperature() -> None:
    videos, classes, labels = unit_rows(0, 5, 3), unit_rows(1, 4, 3), torch.tensor([0, 3, 3, 1, 2])
    v, t = videos.detach().numpy(), classes.detach().numpy()
    wanted = np.mean([-np.log(shares([v[i] @ t[c] / 0.2 for c in range(4)])[labels[i]]) for i in range(5)])
    assert class_loss(videos, classes, labels, 0.2).item() == pytest.approx(wanted)
    assert torch.autograd.gradcheck(lambda a, b: class_loss(a, b, labels, 0.2), (videos, classes))


def test_the_instance_loss_is_infonce_in_both_directions_without_false_negatives() -> None:
    videos, described, labels = unit_rows(2, 5, 3), unit_rows(3, 5, 3), torch.tensor([0, 1, 0, 2, 1])
    v, e = videos.detach().numpy(), described.detach().numpy()
    total = 0.0
    for i in range(5):
        others = [j for j in range(5) if j == i or labels[j] != labels[i]]
        total -= np.log(shares([v[i] @ e[j] / 0.2 for j in others])[others.index(i)])
        total -= np.log(shares([v[j] @ e[i] / 0.2 for j in others])[others.index(i)])
    assert instance_loss(videos, described, labels, 0.2).item() == pytest.approx(total / 10)
    assert torch.autograd.gradcheck(lambda a, b: instance_loss(a, b, labels, 0.2), (videos, described))


def test_the_cycle_loss_is_that_of_a_loop() -> None:
    seen, unseen = unit_rows(4, 4, 3), unit_rows(5, 3, 3)
    s, u = seen.detach().numpy(), unseen.detach().numpy()
    by_way = [sum(a * s[i] for i, a in enumerate(shares([u[j] @ s[i] / 0.3 for i in range(4)]))) for j in range(3)]
    rebuilt = [
        sum(a * by_way[j] for j, a in enumerate(shares([s[i] @ u[j] / 0.3 for j in range(3)]))) for i in range(4)
    ]
    wanted = np.mean([np.sum((rebuilt[i] - s[i]) ** 2) for i in range(4)])
    assert cycle_loss(seen, unseen, 0.3).item() == pytest.approx(wanted)
    assert torch.autograd.gradcheck(lambda a, b: cycle_loss(a, b, 0.3), (seen, unseen))


def test_a_cycle_through_a_twin_of_each_class_leads_back() -> None:
    seen = unit_rows(6, 5, 8).detach()
    assert cycle_loss(seen, seen[[3, 1, 4, 0, 2]], 0.01).item() == pytest.approx(0, abs=1e-8)


def test_a_cycle_through_one_class_leads_all_to_one_place() -> None:
    """With a single unseen class at right angles to all, each is rebuilt as their mean: the loss is their variance."""
    seen = torch.cat([unit_rows(7, 5, 3).detach(), torch.zeros(5, 1)], dim=1)
    away = torch.tensor([[0.0, 0, 0, 1]], dtype=torch.float64)
    assert cycle_loss(seen, away, 0.1).item() == pytest.approx(seen.var(dim=0, correction=0).sum().item())


def test_the_loss_is_the_weighted_sum_of_its_parts() -> None:
    seen, classes, _, unseen = world()
    method = CoCo(SMALL)
    method.fit(seen, classes, Target(classes=unseen), Report())
    (batch,) = seen.take(np.arange(40)).batches(40)
    frames, labels = method._frames(batch.frames), torch.from_numpy(seen.labels[:40])

    def loss(**weights: float) -> float:
        net = method._model
        net.params = method.params.model_copy(update={"instance_weight": 0.0, "cycle_weight": 0.0, **weights})
        net.noise = torch.Generator().manual_seed(0)
        return float(net.loss(frames, batch.lengths, labels, 0.0).detach())

    instance, cycle = (loss(**{name: 1.0}) - loss() for name in ("instance_weight", "cycle_weight"))
    assert instance > 0
    assert cycle > 0
    both = loss(instance_weight=0.5, cycle_weight=3.0)
    assert both == pytest.approx(loss() + 0.5 * instance + 3 * cycle, abs=1e-5)


@pytest.mark.parametrize("label", ["vector", "definition"])
def test_the_score_is_the_cosine_of_a_video_and_a_class_feature(label: str) -> None:
    seen, classes, videos, unseen = world()
    method = CoCo({**SMALL, "label": label})
    method.fit(seen, classes, Target(classes=unseen), Report())
    state = {name: array.astype(np.float64) for name, array in method.state().items()}
    middle = state["network.middle"]
    assert classes.encode is not None
    encode = classes.encode

    def features(which: Any) -> Any:
        rows = []
        for vector, texts in zip(which.vectors, which.texts, strict=True):
            first = unit(vector[None]) if label == "vector" else unit(encode([texts[0]]))
            pooled = unit(unit(encode(texts[1:])).mean(axis=0)[None])
            placed = [unit(row - m)[0] for row, m in zip((first, pooled), middle, strict=True)]
            rows.append(state["network.label"] @ placed[0] + state["network.described"] @ placed[1])
        return unit(rows)

    moved = unit((videos.pooled() - state["shift"]) / state["scale"] @ state["network.video"].T)
    np.testing.assert_allclose(method.score(videos, unseen), moved @ features(unseen).T, atol=1e-5)
    means = [unit(classes.vectors) if label == "vector" else unit(encode([t[0] for t in classes.texts or ()]))]
    np.testing.assert_allclose(middle[0], means[0].mean(axis=0), atol=1e-6)


def test_in_a_joint_space_training_starts_from_the_texts_as_they_are() -> None:
    seen, classes, videos, unseen = world()
    method = CoCo({**SMALL, "space": "joint", "lr": 1e-12, "centre": False, "input_scale": "none"})
    report = Report()
    method.fit(seen, classes, Target(classes=unseen), report)
    assert next(record["epoch"] for record in report.epochs if "held_out_accuracy" in record) == 0
    assert classes.encode is not None
    pooled = [unit(unit(classes.encode(texts[1:])).mean(axis=0)[None])[0] for texts in unseen.texts or ()]
    wanted = unit(videos.pooled()) @ unit(unit(unseen.vectors) + np.array(pooled)).T
    np.testing.assert_allclose(method.score(videos, unseen), wanted, atol=1e-5)


def test_a_joint_space_needs_equal_dimensions() -> None:
    seen, classes, _, unseen = world()
    narrow = type(seen).from_arrays(seen.pooled()[:, :3], labels=seen.labels)
    with pytest.raises(ZslbenchError, match="coco with space=joint compares features .* have 3 values"):
        CoCo({**SMALL, "space": "joint"}).fit(narrow, classes, Target(classes=unseen), Report())
    CoCo(SMALL).fit(narrow, classes, Target(classes=unseen), Report())


def test_held_out_seen_classes_play_the_unseen_ones_until_the_refit(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, classes, _, unseen = world()
    told: list[tuple[set[str], set[str]]] = []
    inform = CoCo.inform

    def watched(self: CoCo, model: Any, known: Any, others: Any, space: Any) -> None:
        told.append((set(known.names), set(others.names)))
        inform(self, model, known, others, space)

    monkeypatch.setattr(CoCo, "inform", watched)
    CoCo(SMALL).fit(seen, classes, Target(classes=classes.join(unseen)), Report())  # as gzsl grants it
    (trained, held), (every, target) = told
    assert trained | held == every == set(classes.names)
    assert not trained & held
    assert target == set(unseen.names)


def test_without_the_cycle_unseen_classes_stay_unknown_and_nothing_else_changes() -> None:
    seen, classes, videos, unseen = world()
    assert CoCo().budget == {Budget.CLASS_VECTORS, Budget.CLASS_TEXTS, Budget.UNSEEN_NAMES}
    assert CoCo({"space": "joint"}).budget == CoCo().budget | {Budget.VISION_LANGUAGE}
    off = CoCo({**SMALL, "cycle_weight": 0.0})
    assert off.budget == {Budget.CLASS_VECTORS, Budget.CLASS_TEXTS}

    def scores(target: Target | None, **more: float) -> Any:
        method, report = CoCo({**SMALL, **more}, seed=1), Report()
        method.fit(seen, classes, target, report)
        return method.score(videos, unseen), report.warnings

    without, _ = scores(None, cycle_weight=0.0)
    np.testing.assert_array_equal(scores(Target(classes=unseen), cycle_weight=0.0)[0], without)
    with_cycle, warnings = scores(Target(classes=unseen))
    assert not warnings
    assert not np.allclose(with_cycle, without, atol=1e-4)
    np.testing.assert_array_equal(scores(None)[0], without)
    assert scores(None)[1] == ["there are no unseen classes: trained without the cycle loss"]
    other = scores(Target(classes=unseen.take(np.array([0, 1]))))[0]
    assert not np.allclose(other, with_cycle, atol=1e-4)


def test_descriptions_are_drawn_evenly_from_the_class_of_each_video() -> None:
    net = DualAlignment(2, np.eye(2, dtype=np.float32), CoCo.Params(), torch.Generator().manual_seed(0))
    net.noise = torch.Generator().manual_seed(0)
    said = [torch.full((1, 2), -1.0), torch.arange(40.0).reshape(20, 2)]
    net.inform(torch.eye(2), said, None)
    drawn = net.sample(torch.tensor([0, 1]).repeat(10_000))
    assert (drawn[::2] == -1).all()
    counts = np.unique(drawn[1::2, 0].numpy(), return_counts=True)[1]
    assert len(counts) == 20
    assert abs(counts - 500).max() < 110  # five standard deviations


def test_a_text_is_encoded_once_in_a_fit_and_its_scores() -> None:
    seen, classes, videos, unseen = world(said=30)
    method = CoCo(SMALL)
    method.fit(seen, classes, Target(classes=unseen), Report())
    method.score(videos, unseen)
    asked = classes.encode.asked  # type: ignore[union-attr]
    assert len(asked) == len(set(asked)) == 20 * 30


@pytest.mark.parametrize(("space", "turned"), [("learnt", True), ("joint", False)])
def test_it_learns_classes_it_has_never_seen(space: str, turned: bool) -> None:
    seen, classes, videos, unseen = world(turned=turned)
    method = CoCo({"batch_size": 16, "lr": 1e-2 if turned else 1e-4, "space": space})
    method.fit(seen, classes, Target(classes=unseen), Report())
    assert (method.score(videos, unseen).argmax(axis=1) == np.repeat(np.arange(4), 12)).mean() > 0.7  # chance 0.25


def test_a_class_of_one_text_is_described_by_it() -> None:
    seen, classes, videos, unseen = world(said=0)
    method = CoCo(SMALL)
    method.fit(seen, classes, Target(classes=unseen), Report())
    assert np.isfinite(method.score(videos, unseen)).all()
    assert seen.dim == DIM
