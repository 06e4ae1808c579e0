"""One training epoch of Action2Vec against the plain formulation: every video padded to 52 slots, a loop over steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import linear
from torch.utils.flop_counter import FlopCounterMode

from zslbench.method import Report
from zslbench.videos import SeenVideos
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
