"""BIKE and STI: saliency, best patch and loss against loops, what each switch changes, patches, temperatures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from text_world import DIM, world

from zslbench.errors import ZslbenchError
from zslbench.method import Budget, Classes, Report, SeenVideos, Videos
from zslbench_methods._spotting import How, Spotter, best_patch, saliency
from zslbench_methods._temporal import symmetric_cross_entropy
from zslbench_methods._texts import name_words, padded
from zslbench_methods._training import unit
from zslbench_methods.bike import BIKE
from zslbench_methods.sti import STI

FREE = {"adapter": False, "centre": False, "input_scale": "none"}
TOKENS = 4  # a frame and three patches


def softmax(values: Any) -> Any:
    values = np.exp(np.asarray(values) - np.max(values))
    return values / values.sum()


def spotted(frames: Any, words: Any, temperature: float) -> Any:
    """Return BIKE's saliency of each frame (T, d) by words (W, d), in a loop."""
    weights = np.zeros(len(frames))
    for word in words:
        weights += softmax([frame @ word / temperature for frame in frames]) / len(words)
    return weights


def shown(patches: Any, words: Any) -> Any:
    """Return the best product of a patch of each frame (T, P, d) and a word, in a loop."""
    return np.array([max(float(patch @ word) for patch in each for word in words) for each in patches])


def patched(seed: int = 0, n_classes: int = 12, per_class: int = 6) -> tuple[SeenVideos, Classes, Videos, Classes]:
    """Return the world's classes, and videos whose frames have patches, one of which shows the class."""
    _, classes, _, unseen = world(seed=seed, n_seen=n_classes - 4, per_class=per_class)
    every, rng = classes.join(unseen), np.random.default_rng(seed)
    assert every.encode is not None
    arrays = []
    for c in np.repeat(np.arange(n_classes), per_class):
        frames = rng.standard_normal((int(rng.integers(1, 4)), TOKENS, DIM))
        frames[:, 0] += 0.5 * every.vectors[c]
        frames[:, 1 + rng.integers(3)] += 2 * every.vectors[c]
        arrays.append(frames.reshape(-1, DIM).astype(np.float32))
    labels = np.repeat(np.arange(n_classes), per_class)
    first = (n_classes - 4) * per_class
    return (
        SeenVideos.from_arrays(arrays[:first], tokens=TOKENS, labels=labels[:first]),
        classes,
        Videos.from_arrays(arrays[first:], tokens=TOKENS),
        unseen,
    )


def frames_alone(videos: Any) -> list[Any]:
    return [videos.sequence(i)[:: videos.tokens] for i in range(len(videos))]


def fitted(method: Any, data: tuple[Any, Classes, Any, Classes]) -> tuple[Any, Report]:
    report = Report()
    method.fit(data[0], data[1], None, report)
    return method, report


def test_saliency_is_bikes_formula_and_padding_has_no_say() -> None:
    rng = np.random.default_rng(0)
    frames, counts = rng.standard_normal((2, 4, 3)), [4, 2]
    words, real = padded([rng.standard_normal((k, 3)).astype(np.float32) for k in (1, 3)])
    similar = torch.einsum("ntd,cwd->ntcw", torch.from_numpy(frames), torch.from_numpy(words).double())
    present = torch.arange(4) < torch.tensor(counts)[:, None]
    found = saliency(similar, present, torch.from_numpy(real), 0.1).numpy()
    for n, count in enumerate(counts):
        for c in range(2):
            wanted = spotted(frames[n, :count], words[c][real[c]], 0.1)
            np.testing.assert_allclose(found[n, :count, c], wanted, atol=1e-12)
    assert (found[1, 2:] == 0).all()


def test_the_best_patch_is_that_of_a_loop_over_patches_and_words() -> None:
    rng = np.random.default_rng(1)
    patches = rng.standard_normal((2, 3, 5, 4))
    words, real = padded([-np.abs(rng.standard_normal((k, 4))).astype(np.float32) for k in (2, 1, 3)])
    patches = np.abs(patches)  # every product is negative: a padded word, of product 0, would win
    found = best_patch(torch.from_numpy(patches), torch.from_numpy(words).double(), torch.from_numpy(real))
    for c in range(3):
        wanted = [shown(video, words[c][real[c]].astype(np.float64)) for video in patches]
        np.testing.assert_allclose(found[:, :, c], wanted, atol=1e-12)
    assert (found < 0).all()


def test_the_loss_is_both_directions_divergence_from_sharpened_targets() -> None:
    rng = np.random.default_rng(2)
    logits, labels = torch.from_numpy(rng.standard_normal((4, 4))).requires_grad_(), torch.tensor([0, 1, 0, 2])
    total = 0.0
    for rows in (logits.detach().numpy(), logits.detach().numpy().T):
        for i in range(4):
            wanted = softmax([10.0 * (labels[i] == labels[j]) for j in range(4)])
            total += np.sum(wanted * (np.log(wanted) - np.log(softmax(rows[i]))))
    found = symmetric_cross_entropy(logits, labels, 10.0)
    assert found.item() == pytest.approx(total / 8)
    targets = torch.softmax(10 * (labels[:, None] == labels).double(), dim=1)
    by_torch = sum(
        torch.nn.functional.kl_div(torch.log_softmax(each, dim=1), targets, reduction="sum") / 4
        for each in (logits, logits.T)
    )
    assert found.item() == pytest.approx(by_torch.item() / 2)
    assert torch.autograd.gradcheck(lambda x: symmetric_cross_entropy(x, labels, 10.0), (logits,))


def test_the_loss_is_that_of_bikes_released_code() -> None:
    """There: KLDivLoss(mean) times the batch's size, of softmax(10 * gen_label), for logits and their transpose."""
    rng = np.random.default_rng(3)
    logits, labels = rng.standard_normal((6, 6)) * 5, np.array([2, 0, 2, 1, 0, 2])
    ground_truth = np.zeros((6, 6))
    for i, label in enumerate(labels):
        for k, other in enumerate(labels):
            ground_truth[i, k] = float(label == other)

    def nce(prediction: Any, label: Any) -> Any:
        prediction, label = torch.from_numpy(prediction), torch.from_numpy(label)
        each = torch.nn.KLDivLoss(reduction="none")
        return each(torch.log_softmax(prediction, 1), torch.softmax(label * 10, 1)).mean() * len(prediction)

    wanted = (nce(logits, ground_truth) + nce(np.ascontiguousarray(logits.T), ground_truth)) / 2
    found = symmetric_cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), 10.0)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-12)


def test_the_loss_of_a_batch_is_that_of_its_scores() -> None:
    """Class c of video j stands in column j, also where the batch has a class twice and lacks others."""
    seen, classes, _, _ = data = world()
    method, _ = fitted(BIKE({"epochs": 1, "min_batches": 1, "temperature": 0.1}), data)
    index = np.array([40, 0, 41, 100])
    (batch,) = seen.batches(9, index)
    labels = torch.from_numpy(seen.labels[index])
    scores = torch.from_numpy(method.score(seen.take(index), classes))
    scale = method._model.log_scale.exp().detach()
    wanted = symmetric_cross_entropy(scale * scores[:, labels], labels, 10.0)
    found = method._model.loss(method._frames(batch.frames), batch.lengths, labels, 0.0)
    assert found.item() == pytest.approx(wanted.item(), abs=1e-5)


def test_bike_trains_unless_everything_that_looks_at_seen_classes_is_off() -> None:
    free = BIKE.presets["parameter-free"]
    assert not BIKE(free).trains
    for changed in (
        {"temperature": None},
        {"centre": True},
        {"input_scale": "global"},
        {"adapter": True},
        {"layers": 1},
    ):
        assert BIKE({**free, **changed}).trains, changed


def test_parameter_free_bike_scores_by_its_formula() -> None:
    _, _, videos, unseen = data = world()
    method, report = fitted(BIKE({**FREE, "temperature": 0.05}), data)
    assert not report.epochs
    assert unseen.encode is not None
    found = method.score(videos, unseen)
    for c, name in enumerate(unseen.names):
        words = unit(unseen.encode(name.split())).astype(np.float64)
        for i, raw in enumerate(frames_alone(videos)):
            frames = unit(raw).astype(np.float64)
            weights = spotted(frames, words, 0.05)
            wanted = sum(a * frame for a, frame in zip(weights, frames, strict=True)) @ unit(unseen.vectors)[c]
            assert found[i, c] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("spatial", ["none", "mul", "add", "gate"])
@pytest.mark.parametrize("temporal", [True, False])
def test_sti_scores_by_its_formula(spatial: Any, temporal: bool) -> None:
    _, _, videos, unseen = data = patched()
    settings = {**FREE, "temperature": 0.1, "spatial": spatial, "temporal": temporal, "n_attributes": 3, "epochs": 2}
    method, _ = fitted(STI({**settings, "lr": 1e-2, "refit": False, "min_batches": 5}), data)
    state = {name: array.astype(np.float64) for name, array in method.state().items()}
    g, h, line = (state.get(f"network.{name}") for name in ("patch_map", "word_map", "gate"))
    assert unseen.encode is not None
    found = method.score(videos, unseen)
    for c, texts in enumerate(unseen.texts or ()):
        words = unit(unseen.encode(texts[1:4])).astype(np.float64)
        for i in range(len(videos)):
            rows = unit(videos.sequence(i)).astype(np.float64).reshape(-1, TOKENS, DIM)
            frames = rows[:, 0]
            even = np.full(len(frames), 1 / len(frames))
            weights = spotted(frames, words, 0.1) if temporal else even
            if spatial != "none":
                assert g is not None
                assert h is not None
                f = shown(np.stack([unit(each @ g.T) for each in rows[:, 1:]]).astype(np.float64), unit(words @ h.T))
                if line is not None:
                    f = 1 / (1 + np.exp(-(line[0] * f + line[1])))
                weights = weights + even * f if spatial == "add" else weights * f
            wanted = weights @ (frames @ unit(unseen.vectors)[c].astype(np.float64))
            assert found[i, c] == pytest.approx(wanted, abs=2e-5)
    assert (spatial == "none") == (g is None)


def test_without_both_parts_sti_is_the_mean_of_unit_frames() -> None:
    _, _, videos, unseen = data = world()
    method, _ = fitted(STI({**FREE, "spatial": "none", "temporal": False}), data)
    wanted = np.stack([unit(frames).mean(axis=0) for frames in frames_alone(videos)]) @ unit(unseen.vectors).T
    np.testing.assert_allclose(method.score(videos, unseen), wanted, atol=1e-5)


def test_attributes_beyond_n_attributes_have_no_say() -> None:
    _, _, videos, unseen = data = world(said=6)
    other = Classes(
        unseen.names, unseen.vectors, tuple((*t[:4], *t[1:4]) for t in unseen.texts or ()), encode=unseen.encode
    )
    scores = [
        fitted(STI({**FREE, "temperature": 0.05, "n_attributes": n}), data)[0].score(videos, which)
        for n in (3, 6)
        for which in (unseen, other)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.allclose(scores[2], scores[3], atol=1e-3)
    assert not np.allclose(scores[0], scores[2], atol=1e-3)


def test_patches_only_count_in_the_spatial_part() -> None:
    seen, classes, videos, unseen = data = patched()
    bare = (
        SeenVideos.from_arrays(frames_alone(seen), labels=seen.labels),
        classes,
        Videos.from_arrays(frames_alone(videos)),
        unseen,
    )
    training = {"epochs": 2, "min_batches": 1}
    for method in (BIKE, STI):
        values = training if method is BIKE else {**training, "spatial": "none"}
        with_patches, without = (fitted(method(values), each)[0].score(each[2], unseen) for each in (data, bare))
        np.testing.assert_allclose(with_patches, without, atol=1e-5)
    on, report = fitted(STI(training), data)
    assert not any("patches" in sentence for sentence in report.warnings)
    assert not np.allclose(on.score(videos, unseen), without, atol=1e-3)


def test_frames_without_patches_turn_the_spatial_part_off_with_one_warning() -> None:
    _, _, videos, unseen = data = world()
    settings = {"epochs": 2, "min_batches": 1}
    on, report = fitted(STI(settings), data)
    off, silent = fitted(STI({**settings, "spatial": "none"}), data)
    assert [sentence for sentence in report.warnings if sentence not in silent.warnings] == [
        "the features have no patches (tokens=patch of the backbone clip): the spatial part is off"
    ]
    assert not any("patches" in sentence for sentence in silent.warnings)
    np.testing.assert_array_equal(on.score(videos, unseen), off.score(videos, unseen))


def test_a_model_of_patches_refuses_frames_without() -> None:
    _, _, videos, unseen = data = patched()
    method, _ = fitted(STI({"epochs": 1, "min_batches": 1}), data)
    with pytest.raises(ZslbenchError, match="trained on frames with patches and cannot score frames without"):
        method.score(Videos.from_arrays(frames_alone(videos)), unseen)


def test_the_best_patch_tells_what_frames_hide() -> None:
    """Each frame has a patch that shows the class: by it, classes are told apart that the frames hardly tell apart."""
    _, _, videos, unseen = data = patched(n_classes=30, per_class=20)
    wanted = np.repeat(np.arange(4), 20)
    accuracy = {
        spatial: (
            fitted(STI({**FREE, "spatial": spatial}), data)[0].score(videos, unseen).argmax(axis=1) == wanted
        ).mean()
        for spatial in ("none", "add")
    }
    assert accuracy["add"] > accuracy["none"]


@pytest.mark.parametrize("spatial", ["none", "mul", "add", "gate"])
def test_company_and_padding_have_no_say_with_patches(spatial: Any) -> None:
    _, _, videos, unseen = data = patched()
    method, _ = fitted(STI({"epochs": 1, "min_batches": 1, "layers": 1, "spatial": spatial}), data)
    whole = method.score(videos, unseen)
    single = np.concatenate([method.score(videos.take([i]), unseen) for i in range(len(videos))])
    np.testing.assert_allclose(single, whole, atol=1e-5)
    few = np.array([2, 0])
    np.testing.assert_allclose(method.score(videos, unseen.take(few)), whole[:, few], atol=1e-5)


def test_a_model_of_patches_is_restored() -> None:
    _, _, videos, unseen = data = patched()
    settings = {"epochs": 2, "min_batches": 1, "layers": 1, "spatial": "gate"}
    method, report = fitted(STI(settings), data)
    again = STI(settings)
    again.restore(method.state())
    np.testing.assert_array_equal(again.score(videos, unseen), method.score(videos, unseen))
    assert float(again.state()["network.temperature"]) == pytest.approx(float(report.notes["temperature"]))


@pytest.mark.parametrize("how", [How(), How(layers=2), How(layers=1, adapter=False)])
def test_an_untrained_head_leaves_frames_as_they_are_and_a_trained_one_does_not(how: How) -> None:
    generator = torch.Generator().manual_seed(0)
    net = Spotter(DIM, np.eye(DIM, dtype=np.float32), how, 0.1, 1, generator)
    frames = torch.nn.functional.normalize(torch.randn(2, 3, DIM, generator=generator), dim=2)
    real = torch.tensor([[True, True, True], [True, False, False]])
    torch.testing.assert_close(net.encode(frames, real)[real], frames[real])
    words = torch.nn.functional.normalize(torch.randn(DIM, 2, DIM, generator=generator), dim=2)
    net.inform(words, torch.ones(DIM, 2, dtype=torch.bool))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        net.loss(frames[real], np.array([3, 1]), torch.tensor([0, 5]), 0.0).backward()
        optimizer.step()
    assert not torch.allclose(net.encode(frames, real)[real], frames[real], atol=1e-4)


def test_the_order_of_frames_only_counts_with_a_temporal_transformer() -> None:
    _, _, videos, unseen = data = world()
    turned = Videos.from_arrays([frames[::-1].copy() for frames in frames_alone(videos)])
    for layers in (0, 1):
        settings = {"epochs": 3, "min_batches": 20, "lr": 1e-2, "layers": layers, "refit": True}
        method = BIKE({**settings, "validation_fraction": 0.0})
        fitted(method, data)
        same = np.allclose(method.score(turned, unseen), method.score(videos, unseen), atol=1e-5)
        assert same == (layers == 0)


def test_the_temperature_is_the_best_on_the_seen_classes() -> None:
    """One frame of each video shows the class and the others show nothing: only a low temperature finds it."""
    rng = np.random.default_rng(0)
    vectors = unit(rng.standard_normal((12, DIM)))
    labels = np.repeat(np.arange(12), 20)
    arrays = []
    for c in labels:
        frames = unit(rng.standard_normal((12, DIM)))
        frames -= 0.9 * (frames @ vectors[c])[:, None] * vectors[c]
        frames[3] = vectors[c] + 0.05 * rng.standard_normal(DIM)
        arrays.append(frames)
    names = tuple(f"class {i}" for i in range(12))
    texts = tuple((f"class {i}", f"class {i}") for i in range(12))
    classes = Classes(names, vectors, texts, encode=lambda said: vectors[[int(text.split()[-1]) for text in said]])
    seen = SeenVideos.from_arrays(arrays, labels=labels)
    _, report = fitted(STI(FREE), (seen, classes, seen, classes))
    assert report.notes["temperature"] <= 0.1

    def accuracy(temperature: float) -> float:
        other, _ = fitted(STI({**FREE, "temperature": temperature}), (seen, classes, seen, classes))
        return float((other.score(seen, classes).argmax(axis=1) == labels).mean())

    assert accuracy(float(report.notes["temperature"])) == max(accuracy(t) for t in (0.01, 0.03, 0.1, 0.3, 1.0))
    assert accuracy(1.0) < accuracy(0.03)


@pytest.mark.parametrize(
    ("method", "turned"), [(BIKE({}), False), (STI({}), False),
                           (STI({"space": "learnt", "lr": 1e-2, "batch_size": 16}), True)]
)  # fmt: skip
def test_it_learns_classes_it_has_never_seen(method: Any, turned: bool) -> None:
    seen, classes, videos, unseen = world(turned=turned)
    fitted(method, (seen, classes, videos, unseen))
    assert (method.score(videos, unseen).argmax(axis=1) == np.repeat(np.arange(4), 12)).mean() > 0.7  # chance 0.25


def test_a_joint_space_needs_equal_dimensions() -> None:
    seen, classes, _, _ = world()
    narrow = SeenVideos.from_arrays(seen.pooled()[:, :3], labels=seen.labels)
    for method in (BIKE, STI):
        with pytest.raises(ZslbenchError, match=f"{method.info.name} compares features .* have 3 values and class vec"):
            method().fit(narrow, classes, None, Report())
    STI({"space": "learnt", "epochs": 1, "min_batches": 1}).fit(narrow, classes, None, Report())


def test_budgets_follow_the_space() -> None:
    both = {Budget.CLASS_VECTORS, Budget.CLASS_TEXTS}
    assert BIKE().budget == STI().budget == both | {Budget.VISION_LANGUAGE}
    assert STI({"space": "learnt"}).budget == both


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"), ("YoYo", "yo yo"), ("brush_hair", "brush hair"),
        ("massaging person's head", "massaging person head"), ("diving_platform_10m", "diving platform 10m"),
        ("跳舞", "跳舞"),
    ],
)  # fmt: skip
def test_words_of_class_names(name: str, words: str) -> None:
    assert " ".join(name_words(name)) == words


@pytest.mark.parametrize("dataset", ["hmdb51", "ucf101", "kinetics400", "kinetics700", "olympicsports16"])
def test_words_of_class_names_are_those_of_the_datasets_phrases(dataset: str) -> None:
    from zslbench.datasets.catalog import get_dataset

    found = get_dataset(dataset)
    assert [" ".join(name_words(name)) for name in found.classes] == [found.phrase(name) for name in found.classes]
