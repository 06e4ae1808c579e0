"""The recurrent methods: their networks against torch.nn.LSTM and plain loops, their contract, their training."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from zslbench.method import Classes, Report
from zslbench.testing import World, linear_world
from zslbench.videos import FrameStore, SeenVideos, Videos
from zslbench_methods._ranking import classification_loss
from zslbench_methods._recurrent import AttentiveLSTM, DualLossNetwork, Encoder, Shape, pack, segments
from zslbench_methods.action2vec import Action2Vec, SingleLSTM, StackedLSTM

SMALL = {"hidden1": 16, "hidden2": 12, "epochs": 2, "batch_size": 16, "min_batches": 1, "lr": 1e-2}
# Small products on several threads wait for each other where the machine is busy.


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


LENGTHS = np.array([3, 14, 6, 1, 9, 60])
METHODS = [Action2Vec, StackedLSTM, SingleLSTM]


def encoder(**shape: Any) -> Encoder:
    shape = {"hidden1": 7, "hidden2": 5, "attn_units": 4, "dropout": 0.0, **shape}
    return Encoder(3, 6, Shape(**shape), torch.Generator().manual_seed(0)).eval()


def ragged(lengths: np.ndarray = LENGTHS, dim: int = 3) -> torch.Tensor:
    return torch.randn(int(lengths.sum()), dim, generator=torch.Generator().manual_seed(1))


def as_torch_lstm(ours: AttentiveLSTM) -> torch.nn.LSTM:
    with torch.random.fork_rng():
        lstm = torch.nn.LSTM(ours.weight_ih.shape[1], ours.hidden)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(ours.weight_ih)
        lstm.weight_hh_l0.copy_(ours.weight_hh)
        lstm.bias_ih_l0.copy_(ours.bias)
        lstm.bias_hh_l0.zero_()
    return lstm


def attend(lstm: AttentiveLSTM, sequence: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    """The equations of section 3.2, one position at a time, for one sequence."""
    h = c = torch.zeros(lstm.hidden)
    for _ in sequence:
        inputs = sequence[len(sequence) - 1] if not lstm.attention else torch.zeros_like(memory[0])
        if lstm.attention:
            e = [lstm.energy @ torch.tanh(lstm.keys.weight @ x + lstm.query @ h + lstm.keys.bias) for x in memory]
            total = sum(torch.exp(value) for value in e)
            for value, x in zip(e, memory, strict=True):
                inputs = inputs + torch.exp(value) / total * x
        gates = lstm.weight_ih @ inputs + lstm.weight_hh @ h + lstm.bias
        i, f, g, o = gates.reshape(4, lstm.hidden)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    return h


def test_without_attention_the_hierarchy_equals_torch_lstm() -> None:
    net, frames = encoder(attn_at="none"), ragged()
    lstm1, lstm2 = as_torch_lstm(net.lstm1), as_torch_lstm(net.lstm2)
    with torch.no_grad():
        wanted = []
        for video in frames.split(LENGTHS.tolist()):
            local = [lstm1(piece[:, None])[0][-1, 0] for piece in video[:52].split(6)]
            wanted.append(net.output(lstm2(torch.stack(local)[:, None])[0][-1, 0]))
        found = net(frames, LENGTHS)
    torch.testing.assert_close(found, torch.stack(wanted), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("arch", ["stacked", "single"])
def test_the_ablations_equal_torch_lstm(arch: Any) -> None:
    net, frames = encoder(arch=arch), ragged()
    with torch.no_grad():
        wanted = []
        for video in frames.split(LENGTHS.tolist()):
            states = as_torch_lstm(net.lstm1)(video[:52, None])[0]
            if arch == "stacked":
                states = as_torch_lstm(net.lstm2)(states)[0]
            wanted.append(net.output(states[-1, 0]))
        found = net(frames, LENGTHS)
    torch.testing.assert_close(found, torch.stack(wanted), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("scope", ["segment", "video"])
def test_attention_equals_a_loop_over_positions(scope: Any) -> None:
    net, frames = encoder(attn_scope=scope), ragged()
    with torch.no_grad():
        wanted = []
        for video in frames.split(LENGTHS.tolist()):
            pieces = video[:52].split(6)
            memories = pieces if scope == "segment" else [video[:52]] * len(pieces)
            local = torch.stack([attend(net.lstm1, p, m) for p, m in zip(pieces, memories, strict=True)])
            wanted.append(net.output(attend(net.lstm2, local, local)))
        found = net(frames, LENGTHS)
    torch.testing.assert_close(found, torch.stack(wanted), atol=1e-6, rtol=1e-4)


def test_gradients_of_the_attention_equal_finite_differences() -> None:
    lstm = AttentiveLSTM(3, 4, 2, torch.Generator().manual_seed(0)).double()
    packed = pack(np.array([0, 2]), np.array([2, 4]))
    x = ragged(np.array([6])).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: lstm(x, packed)[0], x)
    names, weights = zip(*lstm.named_parameters(), strict=True)

    def last(*weights: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(lstm, dict(zip(names, weights, strict=True)), (x.detach(), packed))[0]

    assert torch.autograd.gradcheck(last, weights)


@pytest.mark.parametrize("tail", ["pad", "drop"])
def test_segments_tile_each_video(tail: str) -> None:
    starts = np.cumsum(LENGTHS) - LENGTHS
    first, count, video, per_video = segments(starts, LENGTHS, 6, tail)
    wanted = []
    for v, (start, length) in enumerate(zip(starts, LENGTHS, strict=True)):
        pieces = [(start + at, min(6, length - at), v) for at in range(0, length, 6)]
        wanted += [piece for piece in pieces if tail == "pad" or piece[1] == 6] or pieces
    assert list(zip(first.tolist(), count.tolist(), video.tolist(), strict=True)) == wanted
    assert np.array_equal(per_video, np.bincount(video))


@pytest.mark.parametrize("arch", ["hrnn", "stacked", "single"])
def test_a_video_is_embedded_alike_in_any_company(arch: Any) -> None:
    net, frames = encoder(arch=arch), ragged()
    with torch.no_grad():
        together = net(frames, LENGTHS)
        alone = [net(video, np.array([len(video)])) for video in frames.split(LENGTHS.tolist())]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("arch", ["hrnn", "stacked", "single"])
def test_the_literal_setting_equals_explicit_zeros(arch: Any) -> None:
    masked, literal = encoder(arch=arch), encoder(arch=arch, mask_padding=False)
    total = 54 if arch == "hrnn" else 52
    filled = torch.zeros(len(LENGTHS), total, 3)
    for row, video in zip(filled, ragged().split(LENGTHS.tolist()), strict=True):
        row[: min(52, len(video))] = video[:52]
    masked.shape = Shape(**{**vars(masked.shape), "n_slots": total})
    with torch.no_grad():
        wanted = masked(filled.reshape(-1, 3), np.full(len(LENGTHS), total))
        found = literal(ragged(), LENGTHS)
        assert not torch.allclose(found, encoder(arch=arch)(ragged(), LENGTHS), atol=1e-3)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


# The methods.


def world(n_seen: int = 6) -> World:
    return linear_world(n_seen, d=6, per_class=16, lengths=(2, 14))


def fitted(method: type, report: Report | None = None, n_seen: int = 6, **params: Any) -> tuple[Any, Videos, Classes]:
    seen, classes, videos, unseen, *_ = world(n_seen)
    trained = method({**SMALL, **params}, seed=3)
    trained.fit(seen, classes, None, report or Report())
    return trained, videos, unseen


@pytest.mark.parametrize("method", METHODS)
def test_a_score_depends_on_nothing_but_the_video_and_the_class(method: type) -> None:
    trained, videos, classes = fitted(method)
    scores = trained.score(videos, classes)
    assert scores.shape == (len(videos), 4)
    assert np.abs(scores).max() <= 1 + 1e-6
    order, some = np.array([2, 0, 3, 1]), np.arange(0, len(videos), 5)
    np.testing.assert_allclose(trained.score(videos, classes.take(order)), scores[:, order], atol=1e-6)
    np.testing.assert_allclose(trained.score(videos, classes.take(np.array([1]))), scores[:, [1]], atol=1e-6)
    np.testing.assert_allclose(trained.score(videos.take(some), classes), scores[some], atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_training_is_repeatable_and_leaves_the_global_state_alone(method: type) -> None:
    torch_state, numpy_state, threads = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()  # noqa: NPY002
    first, videos, classes = fitted(method)
    second, _, _ = fitted(method)
    assert np.array_equal(first.score(videos, classes), second.score(videos, classes))
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("method", METHODS)
def test_absent_slots_change_nothing(method: type) -> None:
    trained, videos, classes = fitted(method)
    wanted = trained.score(videos, classes)
    lengths = videos.lengths
    frames = np.zeros((len(videos), 40, 8), dtype=np.float32)  # zeros in every absent slot
    for i, length in enumerate(lengths):
        frames[i, :length] = videos.sequence(i)
    store = FrameStore(frames.reshape(-1, 8), np.arange(len(videos)) * 40, lengths)
    np.testing.assert_allclose(trained.score(Videos(store, np.arange(len(videos))), classes), wanted, atol=1e-5)
    roomy = fitted(method, n_slots=200)[0]
    np.testing.assert_allclose(roomy.score(videos, classes), wanted, atol=1e-5)


def test_half_precision_frames_of_any_size_give_finite_scores() -> None:
    seen, classes, videos, unseen, *_ = world()
    frames = [seen.sequence(i) for i in range(len(seen))]
    for size in (1, 8000):
        view = SeenVideos.from_arrays([(size * f).astype(np.float16) for f in frames], labels=seen.labels)
        trained = Action2Vec(SMALL)
        trained.fit(view, classes, None, Report())
        assert np.isfinite(trained.score(videos, unseen)).all()


def test_constant_frames_give_finite_scores() -> None:
    seen, classes, videos, unseen, *_ = world()
    flat = SeenVideos.from_arrays(np.zeros((len(seen), 3, 8), dtype=np.float32), labels=seen.labels)
    trained = Action2Vec({**SMALL, "input_scale": "standardise"})
    trained.fit(flat, classes, None, Report())
    assert np.isfinite(trained.score(videos, unseen)).all()


def test_the_whole_set_is_never_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    most, gather = [0], FrameStore.gather

    def watched(store: FrameStore, rows: Any) -> Any:
        most[0] = max(most[0], len(rows))
        return gather(store, rows)

    monkeypatch.setattr(FrameStore, "gather", watched)
    monkeypatch.setattr("zslbench_methods._training.SCORE_BATCH", 20)
    fitted(Action2Vec)
    assert most[0] == 20


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_it_learns_classes_it_has_never_seen(method: type) -> None:
    trained, videos, classes = fitted(method, n_seen=24, epochs=8, validation_fraction=0)
    scores = trained.score(videos, classes)
    accuracy = (scores.argmax(axis=1) == np.repeat(np.arange(4), 16)).mean()
    assert accuracy > 0.6  # chance 0.25


def test_the_epoch_is_chosen_on_held_out_seen_classes_and_its_weights_are_kept() -> None:
    report = Report()
    trained, _, _ = fitted(Action2Vec, report, epochs=6, patience=2, refit=False, validation_fraction=0.34)
    accuracies = [record["held_out_accuracy"] for record in report.epochs]
    best = int(report.notes["best_epoch"])
    assert accuracies[best - 1] == max(accuracies) == report.notes["held_out_accuracy"]
    assert best == accuracies.index(max(accuracies)) + 1
    assert len(accuracies) <= min(6, best + 2)
    exact, _, _ = fitted(Action2Vec, epochs=best, patience=9, refit=False, validation_fraction=0.34)
    for one, other in zip(trained._model.parameters(), exact._model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_held_out_classes_are_unknown_while_the_epoch_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    given, train = [], Action2Vec._train

    def watched(self: Any, model: Any, videos: SeenVideos, *more: Any) -> Any:
        given.append((len(model.vectors), len(videos), np.linalg.norm(model.vectors.numpy(), axis=1)))
        return train(self, model, videos, *more)

    monkeypatch.setattr(Action2Vec, "_train", watched)
    fitted(Action2Vec, validation_fraction=0.34)
    assert [counts for *counts, _ in given] == [[4, 64], [6, 96]]  # two classes of 16 videos held out, then refit
    assert np.allclose(np.concatenate([norms for *_, norms in given]), 1, atol=1e-5)


def test_a_refit_uses_every_seen_class() -> None:
    report = Report()
    trained, _, _ = fitted(Action2Vec, report, validation_fraction=0.34)
    assert len(trained._model.vectors) == 6
    refits = [record for record in report.epochs if "refit" in record]
    assert len(refits) == report.notes["best_epoch"]


@pytest.mark.parametrize("min_batches", [1, 18])
def test_an_epoch_of_a_small_set_repeats_its_pass(min_batches: int) -> None:
    class Watch(Report):
        calls = 0

        def progress(self, done: float, total: float, what: str = "") -> None:
            assert done <= total
            self.calls += 1

    report = Watch()
    fitted(Action2Vec, report, epochs=1, min_batches=min_batches, validation_fraction=0)
    assert report.calls == (6 if min_batches == 1 else 18)  # 96 videos in batches of 16, three passes for 18


def test_too_few_classes_to_hold_any_out_is_told() -> None:
    seen, classes, *_ = world()
    report = Report()
    trained = Action2Vec({**SMALL, "validation_fraction": 0.34})
    trained.fit(seen.take(seen.labels < 3), classes.take(np.arange(3)), None, report)
    assert "too few seen classes" in report.warnings[0]


@pytest.mark.parametrize("method", METHODS)
def test_every_preset_is_valid_and_trains(method: Any) -> None:
    for preset in [{}, *method.presets.values()]:
        trained, videos, classes = fitted(method, **{**preset, **SMALL, "n_slots": 12})
        assert np.isfinite(trained.score(videos, classes)).all()


def test_lambda_starts_after_a_share_of_the_first_epoch() -> None:
    params = Action2Vec({**SMALL, "dropout": 0.0, "lambda_ce": 0.5, "lambda_before": 0.0}).params
    vectors = np.eye(4, 6, dtype=np.float32)
    net = DualLossNetwork("hrnn", 3, vectors, params, torch.Generator().manual_seed(0))
    frames, labels = ragged(), torch.tensor([0, 1, 2, 3, 0, 1])
    before, after = (net.loss(frames, LENGTHS, labels, done) for done in (0.74, 0.75))
    share = classification_loss(net.head(net.embed(frames, LENGTHS)), labels, params.ce)
    assert (after - before).item() == pytest.approx(0.5 * share.item(), abs=1e-6)


def test_reduced_precision_stays_near_and_is_undone() -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    exact, videos, classes = fitted(Action2Vec)
    wanted = exact.score(videos, classes)
    for precision in ("tf32", "bf16"):
        near, _, _ = fitted(Action2Vec, precision=precision)
        assert np.abs(near.score(videos, classes) - wanted).mean() < 0.1
        assert torch.backends.cuda.matmul.allow_tf32 == before


def test_listing_the_methods_imports_no_torch() -> None:
    code = "import zslbench_methods.action2vec, zslbench_methods.devise, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
