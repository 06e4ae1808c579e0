"""CoOp on tiny towers with random weights: its start, its prompts, its gradient, what training sees, saved models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models_made import write_model

from zslbench.errors import ZslbenchError
from zslbench.kernels import normalised
from zslbench.method import Classes, Report, SeenVideos, Videos
from zslbench.video.text_tower import TextTower, text_tower
from zslbench_methods._prompts import class_prompts
from zslbench_methods.coop import CoOp

PHRASES = ("ride bike", "jump", "brush hair", "walk", "shoot a bow", "run")
KINDS = ("clip", "siglip", "xclip", "chinese_clip")
PLAIN = {"validation_fraction": 0.0, "min_batches": 1, "batch_size": 16, "scale": 20.0}
UNTRAINED = {**PLAIN, "epochs": 1, "lr": 1e-12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    return Path(write_model(tmp_path_factory.mktemp("clip"), "clip"))


def asked(tower: Any, said: list[str]) -> Any:
    """Return a tower that notes the texts that it gets."""

    class Asked:
        weights, limit, rows, encode = tower.weights, tower.limit, tower.rows, tower.encode

        def ids(self, texts: Any, *, ends: bool = True) -> Any:
            said.extend(texts)
            return tower.ids(texts, ends=ends)

    return Asked()


def world(folder: Path, said: list[str] | None = None) -> tuple[SeenVideos, Classes, Videos, Classes]:
    """Return videos near the vectors of "a film about NAME", of four seen and two unseen classes."""
    tower, plain, rng = text_tower(folder), TextTower(folder), np.random.default_rng(0)
    vectors = plain.class_vectors(PHRASES, ("a photo of a {}.",))
    shown = plain.class_vectors(PHRASES, ("film {}",))
    labels = np.repeat(np.arange(6), 12)
    frames = [normalised(shown[c] + 0.02 * rng.standard_normal((3, 24))).astype(np.float32) for c in labels]
    names = tuple(phrase.replace(" ", "_") for phrase in PHRASES)
    opened = tower if said is None else asked(tower, said)
    classes = Classes(names, vectors, phrases=PHRASES, tower=lambda: opened)
    seen = SeenVideos.from_arrays(frames[:48], labels=labels[:48])
    return seen, classes.take(np.arange(4)), Videos.from_arrays(frames[48:]), classes.take(np.arange(4, 6))


def fitted(data: Any, **params: Any) -> tuple[CoOp, Report]:
    method, report = CoOp(params, seed=1), Report()
    method.fit(data[0], data[1], None, report)
    return method, report


@pytest.mark.parametrize("kind", KINDS)
def test_replacing_embeddings_by_themselves_changes_no_vector(kind, tmp_path):
    folder = write_model(tmp_path, kind)
    texts = ["a b cat.", "a b hen go."]  # SigLIP takes 16 letters here
    tower = text_tower(folder)
    ids = tower.ids(texts)
    bare = tower.ids(["a b"], ends=False)[0]
    start = next(i for i in range(len(ids[0])) if ids[0][i : i + len(bare)] == bare)
    places = [list(range(start, start + len(bare)))] * 2
    found = tower.encode(ids, places, tower.rows(bare))
    np.testing.assert_allclose(found, TextTower(folder).encode(texts), atol=1e-5)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((len(bare), 32))).float()
    changed = tower.encode(ids, places, tower.rows(bare) + noise)
    assert np.abs((changed - found).numpy()).max() > 1e-3
    np.testing.assert_allclose(tower.encode(ids, places, tower.rows(bare)), found, atol=1e-7)  # nothing is left behind


# The tiny tokenizer has a token per letter: the middle of "a b" is between its two.
@pytest.mark.parametrize(
    ("position", "words", "template"), [("end", "a photo of a", "a photo of a {}."), ("middle", "a b", "a {} b.")]
)
def test_the_untouched_context_gives_the_class_vectors_of_the_template(folder, position, words, template):
    _, _, videos, unseen = data = world(folder)
    method, _ = fitted(data, **UNTRAINED, words=words, position=position)
    expected = TextTower(folder).class_vectors(unseen.phrases, (template,))
    np.testing.assert_allclose(method.score(videos, unseen), normalised(videos.pooled()) @ expected.T, atol=1e-5)


def released_prompt(token_rows: Any, context: Any, name_length: int, position: str) -> Any:
    """Return the embeddings as ``PromptLearner`` of CoOp puts them together for one class."""
    n = len(context)
    prefix, suffix = token_rows[:1], token_rows[1 + n :]
    if position == "end":
        return np.concatenate([prefix, context, suffix])
    return np.concatenate([prefix, context[: n // 2], suffix[:name_length], context[n // 2 :], suffix[name_length:]])


@pytest.mark.parametrize("position", ["end", "middle"])
def test_a_prompt_has_the_embeddings_of_the_released_code_in_its_order(folder, position):
    tower = text_tower(folder)
    words = "X X X X X"
    prompts = class_prompts(tower, words, PHRASES, position)
    context = np.random.default_rng(0).standard_normal((5, 32)).astype(np.float32)
    for ids, places, phrase in zip(prompts.ids, prompts.places, PHRASES, strict=True):
        found = tower.rows(ids).numpy()
        found[places] = context
        rows = tower.rows(tower.ids([f"{words} {phrase}."])[0]).numpy()
        name_length = len(tower.ids([phrase], ends=False)[0])
        np.testing.assert_array_equal(found, released_prompt(rows, context, name_length, position))


def test_the_loss_is_the_cross_entropy_of_scaled_cosines(folder):
    seen, _, _, _ = data = world(folder)
    method, _ = fitted(data, **UNTRAINED)
    model, (batch,) = method._model, method.inputs(seen).batches(len(seen))
    loss = model.loss(torch.from_numpy(batch.frames), batch.lengths, torch.from_numpy(seen.labels), 0.0).item()
    rows = TextTower(folder).class_vectors(PHRASES[:4], ("a photo of a {}.",))
    logits = 20.0 * normalised(seen.pooled().astype(np.float64)) @ rows.T.astype(np.float64)
    wanted = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(seen)), seen.labels]
    assert loss == pytest.approx(wanted.mean(), rel=1e-5)


def test_the_gradient_through_the_tower_agrees_with_finite_differences(folder):
    seen, classes, _, _ = world(folder)
    tower = classes.tower()
    tower._model.double()
    prompts = class_prompts(tower, "a photo of a", classes.phrases, "end")
    rows, labels = torch.from_numpy(normalised(seen.pooled())).double(), torch.from_numpy(seen.labels)
    context = tower.rows(tower.ids(["a photo of a"], ends=False)[0]).requires_grad_()

    def loss(context: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(20.0 * rows @ tower.encode(*prompts, context).T, labels)

    (gradient,) = torch.autograd.grad(loss(context), context)
    rng = np.random.default_rng(0)
    for _ in range(5):
        step = 1e-5 * torch.from_numpy(rng.standard_normal(context.shape))
        found = (loss(context + step) - loss(context - step)).item() / 2
        assert found == pytest.approx((gradient * step).sum().item(), rel=1e-5)


def test_training_lowers_the_loss_and_changes_the_context_but_not_the_tower(folder):
    _, _, videos, unseen = data = world(folder)
    tower = data[1].tower()
    before = {name: value.clone() for name, value in tower._model.state_dict().items()}
    method, report = fitted(data, **PLAIN, epochs=8, lr=3e-3)
    losses = [epoch["loss"] for epoch in report.epochs]
    assert losses[-1] < losses[0]
    assert all((before[name] == value).all() for name, value in tower._model.state_dict().items())
    assert all(value.grad is None for value in tower._model.parameters())
    start, _ = fitted(data, **UNTRAINED)
    assert np.abs(method.score(videos, unseen) - start.score(videos, unseen)).max() > 1e-3


def test_unseen_names_never_reach_the_tower_before_they_are_scored(folder):
    said: list[str] = []
    _, _, videos, unseen = data = world(folder, said)
    method, _ = fitted(data, **{**PLAIN, "validation_fraction": 0.4, "epochs": 2})
    assert said
    assert not [text for text in said for phrase in unseen.phrases if phrase in text]
    method.score(videos, unseen)
    assert f"a photo of a {unseen.phrases[0]}." in said


def test_random_context_has_the_deviation_of_the_released_code_and_depends_on_the_seed(folder):
    data = world(folder)
    contexts = []
    for seed in (0, 1):
        method = CoOp({**UNTRAINED, "words": "", "n_context": 16}, seed=seed)
        method.fit(data[0], data[1], None, Report())
        contexts.append(method.state()["network.context"])
    assert contexts[0].shape == (16, 32)
    assert contexts[0].std() == pytest.approx(0.02, rel=0.15)
    assert np.abs(contexts[0] - contexts[1]).max() > 0.01


def test_a_restored_method_scores_the_same_and_refuses_another_tower(folder, tmp_path):
    _, _, videos, unseen = data = world(folder)
    method, _ = fitted(data, **PLAIN, epochs=2)
    other = CoOp(method.params, seed=1)
    other.restore(method.state())
    np.testing.assert_array_equal(other.score(videos, unseen), method.score(videos, unseen))
    third = CoOp(method.params, seed=1)
    third.restore(method.state())
    strange = text_tower(write_model(tmp_path, "xclip"))
    with pytest.raises(ZslbenchError, match="text tower with the weights"):
        third.score(videos, replace(unseen, tower=lambda: strange))


def test_class_vectors_without_a_tower_and_prompts_that_are_too_long_are_refused(folder):
    data = world(folder)
    with pytest.raises(ZslbenchError, match="semantics import NAME --model MODEL"):
        fitted((data[0], replace(data[1], tower=None)), **UNTRAINED)
    with pytest.raises(ZslbenchError, match="use fewer context tokens"):
        fitted(data, **{**UNTRAINED, "words": "", "n_context": 80})
