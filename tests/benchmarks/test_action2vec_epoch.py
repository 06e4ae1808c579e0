"""One training epoch of Action2Vec against the plain formulation, and what choices of its training cost.

The plain formulation pads every video to 52 slots and loops over steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import linear
from torch.utils.flop_counter import FlopCounterMode

from zslbench.method import Classes, Report
from zslbench.videos import Batch, SeenVideos
from zslbench_methods._recurrent import AttentiveLSTM, DualLossNetwork
from zslbench_methods.action2vec import Action2Vec

VIDEOS, SLOTS, SEGMENT, DIM, CLASSES, BATCH = 256, 52, 6, 500, 26, 64


def plain_lstm(lstm: AttentiveLSTM, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compute every step of (n, T, D), attention included, and pick the last state that mask (n, T) allows."""
    n, steps, _ = x.shape
    h = c = x.new_zeros(n, lstm.hidden)
    states = []
    for _ in range(steps):
        keys = torch.tanh(linear(x, lstm.keys.weight, lstm.keys.bias) + linear(h, lstm.query)[:, None, :])
        energy = (keys @ lstm.energy).masked_fill(~mask, float("-inf"))
        energy = energy.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)  # a segment of padding alone
        chosen = (energy.softmax(dim=1)[:, :, None] * x).sum(dim=1)
        i, f, g, o = (linear(chosen, lstm.weight_ih, lstm.bias) + linear(h, lstm.weight_hh)).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    last = (mask.sum(dim=1) - 1).clamp(min=0)
    return torch.stack(states, dim=1)[torch.arange(n), last]


class Plain(DualLossNetwork):
    """The same network and weights; the encoder as one would write it down first."""

    def embed(self, frames: torch.Tensor, lengths: np.ndarray) -> torch.Tensor:
        n, total = len(lengths), -(-SLOTS // SEGMENT) * SEGMENT
        x, mask = frames.new_zeros(n, total, DIM), torch.zeros(n, total, dtype=torch.bool)
        for i, video in enumerate(frames.split(lengths.tolist())):
            length = min(SLOTS, len(video))
            x[i, :length], mask[i, :length] = video[:length], True
        pieces = zip(x.split(SEGMENT, dim=1), mask.split(SEGMENT, dim=1), strict=True)
        local = torch.stack([plain_lstm(self.encoder.lstm1, *piece) for piece in pieces], dim=1)
        return self.encoder.output(plain_lstm(self.encoder.lstm2, local, mask[:, ::SEGMENT]))


def hmdb_like() -> tuple[SeenVideos, np.ndarray]:
    rng = np.random.default_rng(0)
    lengths = np.clip(np.round(rng.lognormal(np.log(9.2), 0.6, VIDEOS)), 1, SLOTS).astype(int)
    arrays = [rng.standard_normal((length, DIM)).astype(np.float32) for length in lengths]
    vectors = np.linalg.qr(rng.standard_normal((300, CLASSES)))[0].T
    return SeenVideos.from_arrays(arrays, labels=rng.integers(0, CLASSES, VIDEOS)), vectors.astype(np.float32)


def epoch(kind: type[DualLossNetwork], videos: SeenVideos, vectors: np.ndarray) -> float:
    """Train a new network for one epoch with the product's own loop and return the mean loss."""
    method = Action2Vec(
        {"dropout": 0.0, "input_dropout": 0.0, "batch_size": BATCH, "min_batches": 1, "input_scale": "none"}
    )
    method._shift, method._scale = np.zeros(DIM, np.float32), np.ones(DIM, np.float32)
    network = kind("hrnn", DIM, vectors, method.params, torch.Generator().manual_seed(0))
    return next(method._train(network, videos, videos.labels, 1, Report(), 0))


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.slow
def test_an_epoch_against_the_plain_formulation(benchmark: Any) -> None:
    videos, vectors = hmdb_like()
    a, b = torch.rand(2, 3072, 3072)
    peak = 2 * 3072**3 / min(seconds(lambda: a @ b) for _ in range(5))
    with FlopCounterMode(display=False) as counter:
        loss = epoch(DualLossNetwork, videos, vectors)
    plain_loss, start = None, time.perf_counter()
    plain_loss = epoch(Plain, videos, vectors)
    plain = time.perf_counter() - start
    benchmark.pedantic(epoch, args=(DualLossNetwork, videos, vectors), rounds=3)
    ours = benchmark.stats.stats.min
    achieved = counter.get_total_flops() / ours
    benchmark.extra_info.update(
        mean_slots=float(videos.lengths.mean()),
        plain_s=plain,
        speedup=plain / ours,
        achieved_gflops=achieved / 1e9,
        matrix_product_gflops=peak / 1e9,
        share_of_matrix_product=achieved / peak,
        wanted="speedup of 3 or more",
    )
    assert loss == pytest.approx(plain_loss, abs=1e-4)


POOL = 8  # batches whose videos are sorted by length together


class Bucketed(SeenVideos):
    """Videos whose batches hold videos of similar length."""

    def batches(self, size: int, order: Any = None) -> Iterator[Batch]:
        order = np.arange(len(self)) if order is None else order
        for start in range(0, len(order), POOL * size):
            part = order[start : start + POOL * size]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            for i in np.random.default_rng(0).permutation(-(-len(part) // size)):
                yield from super().batches(size, part[i * size : (i + 1) * size])


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def processor_seconds(call: Any) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def fit(videos: SeenVideos, vectors: np.ndarray, **params: Any) -> None:
    method = Action2Vec({"epochs": 1, "min_batches": 1, **params})
    method.fit(videos, Classes(tuple(f"c{i}" for i in range(CLASSES)), vectors), None, Report())


@pytest.mark.slow
def test_what_the_choices_of_the_training_cost(benchmark: Any, one_thread: None) -> None:
    videos, vectors = hmdb_like()
    bucketed = Bucketed.from_arrays([videos.sequence(i) for i in range(len(videos))], labels=videos.labels)
    choices: dict[str, tuple[SeenVideos, dict[str, Any]]] = {
        "batch_16": (videos, {"batch_size": 16}),
        "batch_64": (videos, {"batch_size": 64}),
        "batch_256": (videos, {"batch_size": 256}),
        "buckets": (bucketed, {}),
        "no_attention": (videos, {"attn_at": "none"}),
        "choice_and_refit": (videos, {"validation_fraction": 0.2, "refit": True}),
        "bf16": (videos, {"precision": "bf16"}),
    }
    a, b = torch.rand(2, 2048, 2048)
    with FlopCounterMode(display=False) as counter:
        fit(videos, vectors)
    rounds: dict[str, list[float]] = {name: [] for name in ("default", "product", *choices)}
    for _ in range(3):  # in turn, so that what else the machine does meets all alike
        rounds["product"].append(processor_seconds(lambda: a @ b))
        rounds["default"].append(processor_seconds(lambda: fit(videos, vectors)))
        for name, (seen, params) in choices.items():
            rounds[name].append(processor_seconds(lambda seen=seen, params=params: fit(seen, vectors, **params)))
    benchmark.pedantic(fit, args=(videos, vectors), rounds=1)
    best = {name: min(times) for name, times in rounds.items()}
    share = counter.get_total_flops() / best["default"] / (2 * 2048**3 / best["product"])
    benchmark.extra_info.update(
        {f"{name}_over_default": best[name] / best["default"] for name in choices},
        default_s=best["default"],
        share_of_matrix_product=share,
        wanted="share_of_matrix_product of 0.6 or more",
    )
    assert share > 0.3  # a busy machine halves it


@pytest.mark.slow
def test_what_torch_compile_costs_and_gains(benchmark: Any, one_thread: None) -> None:
    videos, vectors = hmdb_like()

    def epochs(compiled: bool) -> list[tuple[float, float]]:
        """Return the loss and the processor seconds of three epochs."""
        method = Action2Vec({"dropout": 0.0, "min_batches": 1, "input_scale": "none"})
        method._shift, method._scale = np.zeros(DIM, np.float32), np.ones(DIM, np.float32)
        network = DualLossNetwork("hrnn", DIM, vectors, method.params, torch.Generator().manual_seed(0))
        if compiled:
            network.loss = torch.compile(network.loss, dynamic=True)  # type: ignore[method-assign]
        training, found = method._train(network, videos, videos.labels, 3, Report(), 0), []
        for _ in range(3):
            start = time.process_time()
            loss = next(training)
            found.append((loss, time.process_time() - start))
        return found

    plain, compiled = epochs(False), benchmark.pedantic(epochs, args=(True,), rounds=1)
    benchmark.extra_info.update(
        compiling_s=compiled[0][1] - compiled[-1][1],
        epoch_over_plain=compiled[-1][1] / plain[-1][1],
        losses=[loss for loss, _ in plain],
        losses_compiled=[loss for loss, _ in compiled],
        wanted="none: it is not used, and the losses say whether the same is trained",
    )
    assert compiled[0][0] == pytest.approx(plain[0][0], abs=0.1)
