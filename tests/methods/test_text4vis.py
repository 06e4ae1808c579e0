"""The temporal transformer head against the released code's equations in float64: scores, both losses, training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from text_world import DIM, world

from zslbench.kernels import normalised
from zslbench.method import Report, SeenVideos, Videos
from zslbench_methods._spotting import How, Spotter
from zslbench_methods._temporal import TemporalHead, TemporalTransformer, symmetric_cross_entropy
from zslbench_methods.text4vis import Text4Vis

LENGTHS = (4, 1, 3)
PLAIN = {"centre": False, "input_scale": "none"}


def norm(x: Any, weight: Any, bias: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    return weight * centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12) + bias


def attended(x: Any, weights: Any, block: str, heads: int) -> Any:
    """Return multi-head self-attention over the frames (T, d) of one video, head by head."""
    projected = x @ weights[f"{block}.self_attn.in_proj_weight"].T + weights[f"{block}.self_attn.in_proj_bias"]
    query, key, value = np.split(projected, 3, axis=1)
    size, parts = x.shape[1] // heads, []
    for h in range(heads):
        own = slice(h * size, (h + 1) * size)
        alike = query[:, own] @ key[:, own].T / np.sqrt(size)
        shares = np.exp(alike - alike.max(axis=1, keepdims=True))
        parts.append(shares / shares.sum(axis=1, keepdims=True) @ value[:, own])
    return (
        np.concatenate(parts, axis=1) @ weights[f"{block}.self_attn.out_proj.weight"].T
        + weights[f"{block}.self_attn.out_proj.bias"]
    )


def released(frames: Any, weights: Any, layers: int, heads: int) -> Any:
    """Return the video's embedding as ``video_header`` of Text4Vis and ``visual_prompt`` of ActionCLIP compute it."""
    x = frames + weights["position"][: len(frames)]
    for i in range(layers):
        block = f"blocks.layers.{i}"
        of = {name: (weights[f"{block}.{name}.weight"], weights[f"{block}.{name}.bias"]) for name in ("norm1", "norm2")}
        x = x + attended(norm(x, *of["norm1"]), weights, block, heads)
        hidden = norm(x, *of["norm2"]) @ weights[f"{block}.linear1.weight"].T + weights[f"{block}.linear1.bias"]
        hidden = hidden / (1 + np.exp(-1.702 * hidden))
        x = x + hidden @ weights[f"{block}.linear2.weight"].T + weights[f"{block}.linear2.bias"]
    mean = (x + frames).mean(axis=0)
    return mean / np.linalg.norm(mean)


def log_softmax(rows: Any) -> Any:
    shifted = rows - rows.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def released_kl(logits: Any, labels: Any) -> float:
    """Return ``KLLoss`` of ActionCLIP for one direction: the mean over all entries, times the batch."""
    truth = np.array([[float(a == b) for b in labels] for a in labels])
    wanted = np.exp(log_softmax(10 * truth))
    return float((wanted * (np.log(wanted) - log_softmax(logits))).mean() * len(labels))


def head(dim: int = 128, layers: int = 2, symmetric: bool = False) -> tuple[TemporalHead, Any, list[Any]]:
    """Return a float64 network of any weights, these weights, and videos."""
    rng = np.random.default_rng(0)
    vectors = normalised(rng.standard_normal((5, dim))).astype(np.float32)
    model = TemporalHead(dim, vectors, layers, "normal", 30.0, symmetric, torch.Generator().manual_seed(0)).double()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.from_numpy(rng.standard_normal(parameter.shape))
    weights = {name: value.detach().numpy() for name, value in model.transformer.named_parameters()}
    return model, weights, [rng.standard_normal((t, dim)) for t in LENGTHS]


@pytest.mark.parametrize(("dim", "heads"), [(128, 2), (12, 4), (10, 2)])
def test_an_embedding_is_that_of_the_released_code_for_videos_of_any_length(dim, heads):
    model, weights, videos = head(dim)
    found = model.embed(torch.from_numpy(np.concatenate(videos)), np.array(LENGTHS)).detach()
    for row, frames in zip(found, videos, strict=True):
        np.testing.assert_allclose(row, released(frames, weights, 2, heads), atol=1e-10)


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_loss_is_that_of_the_released_code(symmetric):
    model, weights, videos = head(symmetric=symmetric)
    labels = np.array([3, 1, 3])
    rows = np.stack([released(frames, weights, 2, 2) for frames in videos])
    vectors = model.vectors.numpy()
    scale = np.exp(model.log_scale.item())
    if symmetric:  # as a batch of videos and of one text each
        texts = vectors[labels]
        wanted = (released_kl(scale * rows @ texts.T, labels) + released_kl(scale * texts @ rows.T, labels)) / 2
    else:
        wanted = -log_softmax(scale * rows @ vectors.T)[np.arange(3), labels].mean()
    found = model.loss(torch.from_numpy(np.concatenate(videos)), np.array(LENGTHS), torch.from_numpy(labels), 0.0)
    assert found.item() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_gradient_of_the_loss_agrees_with_finite_differences(symmetric):
    model, _, videos = head(12, 1, symmetric)
    frames, labels = torch.from_numpy(np.concatenate(videos)), torch.tensor([3, 1, 3])

    def loss() -> torch.Tensor:
        return model.loss(frames, np.array(LENGTHS), labels, 0.0)

    gradients = torch.autograd.grad(loss(), list(model.parameters()))
    rng = np.random.default_rng(1)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        direction = torch.from_numpy(rng.standard_normal(parameter.shape))
        values = []
        for step in (1e-6, -2e-6):
            parameter.data += step * direction
            values.append(loss().item())
        parameter.data += 1e-6 * direction
        assert (values[0] - values[1]) / 2e-6 == pytest.approx((gradient * direction).sum().item(), rel=1e-4, abs=1e-6)


def test_the_untrained_network_is_the_cosine_of_the_mean_frame():
    seen, classes, videos, unseen = world()
    method = Text4Vis({**PLAIN, "epochs": 1, "min_batches": 1, "lr": 1e-12, "layers": 2})
    method.fit(seen, classes, None, Report())
    wanted = normalised(videos.pooled()) @ normalised(unseen.vectors).T
    np.testing.assert_allclose(method.score(videos, unseen), wanted, atol=1e-5)


def test_the_start_of_the_released_code_is_normal_with_a_deviation_of_two_hundredths():
    made = TemporalTransformer(64, 2, torch.Generator().manual_seed(0), "normal")
    drawn = [v for name, v in made.named_parameters() if v.ndim == 2 and "in_proj" not in name]
    assert all(v.std().item() == pytest.approx(0.02, rel=0.1) for v in drawn)
    assert len(drawn) == 1 + 2 * 3


@pytest.mark.parametrize("loss", ["cross-entropy", "symmetric"])
def test_training_lowers_the_loss(loss):
    data = world(seed=3)
    method, report = Text4Vis({"loss": loss, "lr": 1e-3, "epochs": 4, "validation_fraction": 0}), Report()
    method.fit(data[0], data[1], None, report)
    losses = [epoch["loss"] for epoch in report.epochs]
    assert losses[-1] < losses[0]


def test_the_order_of_frames_counts_and_patches_do_not():
    seen, classes, videos, unseen = world()
    method = Text4Vis({**PLAIN, "epochs": 2, "lr": 1e-2, "validation_fraction": 0})
    method.fit(seen, classes, None, Report())
    scores = method.score(videos, unseen)
    turned = Videos.from_arrays([videos.sequence(i)[::-1] for i in range(len(videos))])
    assert np.abs(method.score(turned, unseen) - scores).max() > 1e-4
    rng = np.random.default_rng(0)

    def patched(given: Any, **more: Any) -> Any:
        rows = []
        for i in range(len(given)):
            frames = given.sequence(i)[:, None]
            noise = rng.standard_normal((len(frames), 2, DIM)).astype(np.float32)
            rows.append(np.concatenate([frames, noise], axis=1).reshape(-1, DIM))
        return type(given).from_arrays(rows, tokens=3, **more)

    other = Text4Vis(method.params)
    other.fit(patched(seen, labels=seen.labels), classes, None, Report())
    np.testing.assert_allclose(other.score(patched(videos), unseen), scores, atol=1e-5)
    assert isinstance(seen, SeenVideos)


def test_bike_has_the_same_transformer_with_each_frame_of_unit_length():
    rng = np.random.default_rng(0)
    vectors = normalised(rng.standard_normal((3, 12))).astype(np.float32)
    how = How(adapter=False, layers=1)
    model = Spotter(12, vectors, how, 0.1, 1, torch.Generator().manual_seed(0)).double()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.from_numpy(rng.standard_normal(parameter.shape))
    weights = {name: value.detach().numpy() for name, value in model.transformer.named_parameters()}
    video = normalised(rng.standard_normal((3, 12)))
    found = model.encode(torch.from_numpy(video)[:1, None], torch.ones(1, 1, dtype=torch.bool))[0].detach().numpy()
    np.testing.assert_allclose(
        found, [released(video[:1], weights, 1, 4)], atol=1e-10
    )  # of one frame, which is the mean


def test_the_symmetric_loss_is_smallest_where_videos_match_their_classes():
    labels = torch.tensor([0, 1, 0])
    right = 10.0 * (labels[:, None] == labels).double()
    assert symmetric_cross_entropy(right, labels).item() == pytest.approx(0, abs=1e-12)
    assert symmetric_cross_entropy(right[[1, 0, 2]], labels).item() > 1
