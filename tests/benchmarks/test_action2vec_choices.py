"""What choices of Action2Vec's training cost: processor time of one thread, against the default in the same run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from test_action2vec_epoch import CLASSES, DIM, hmdb_like
from torch.utils.flop_counter import FlopCounterMode

from zslbench.method import Classes, Report
from zslbench.videos import Batch, SeenVideos
from zslbench_methods.action2vec import Action2Vec

POOL = 8  # batches whose videos are sorted by length together


class Bucketed(SeenVideos):
    """Videos whose batches hold videos of similar length."""

    def batches(self, size: int, order: Any = None) -> Iterator[Batch]:
        for start in range(0, len(order), POOL * size):
            part = order[start : start + POOL * size]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            for i in np.random.default_rng(0).permutation(-(-len(part) // size)):
                yield from super().batches(size, part[i * size : (i + 1) * size])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seconds(call: Any) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def fit(videos: SeenVideos, vectors: np.ndarray, **params: Any) -> None:
    method = Action2Vec({"epochs": 1, "min_batches": 1, **params})
    method.fit(videos, Classes(tuple(f"c{i}" for i in range(CLASSES)), vectors), None, Report())


@pytest.mark.slow
def test_what_the_choices_of_the_training_cost(benchmark: Any) -> None:
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
        rounds["product"].append(seconds(lambda: a @ b))
        rounds["default"].append(seconds(lambda: fit(videos, vectors)))
        for name, (seen, params) in choices.items():
            rounds[name].append(seconds(lambda seen=seen, params=params: fit(seen, vectors, **params)))
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
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++")
def test_what_torch_compile_costs_and_gains(benchmark: Any) -> None:
    videos, vectors = hmdb_like()
    plain, compiled = Action2Vec({}), Action2Vec({})
    networks = [m.build(DIM, vectors, torch.Generator().manual_seed(0)) for m in (plain, compiled)]
    networks[1].encoder.forward = torch.compile(networks[1].encoder.forward, dynamic=True)
    batches = [(torch.from_numpy(b.frames), b.lengths, torch.from_numpy(videos.labels[b.index]))
               for b in videos.batches(plain.params.batch_size)]  # fmt: skip

    def epoch(network: Any) -> None:
        for frames, lengths, labels in batches:
            network.loss(frames, lengths, labels, 1.0).backward()

    first = [seconds(lambda n=n: epoch(n)) for n in networks]
    later = [min(seconds(lambda n=n: epoch(n)) for _ in range(3)) for n in networks]
    benchmark.pedantic(epoch, args=(networks[0],), rounds=1)
    benchmark.extra_info.update(
        compiling_s=first[1] - later[1], plain_epoch_s=later[0], compiled_over_plain=later[1] / later[0]
    )
