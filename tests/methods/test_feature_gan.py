"""f-CLSWGAN and f-VAEGAN: their losses against loops and distributions, what they generate, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from loops import numeric_gradient
from sklearn.linear_model import LogisticRegression
from torch.distributions import Normal, kl_divergence

from zslbench.errors import ZslbenchError
from zslbench.method import Classes, Report
from zslbench.testing import CHECKS, CheckState, World, check_method, linear_world, tiny_task
from zslbench.testing._check import Subject
from zslbench.videos import Videos
from zslbench_methods import _feature_gan as networks
from zslbench_methods._training import frame_statistics, unit
from zslbench_methods.feature_gan import FCLSWGAN, FVAEGAN

BOTH = [FCLSWGAN, FVAEGAN]
QUICK = {
    "hidden": 64, "noise": 8, "epochs": 6, "patience": 6, "batch_size": 64, "critic_steps": 3,
    "lr": 3e-3, "per_class": 40,
}  # fmt: skip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, generator=seeded(seed), dtype=torch.float64)


def critic(dim: int = 4, d: int = 3) -> networks.Critic:
    return networks.Critic(dim, d, 7, seeded(1)).double()


def by_hand(perceptron: networks.Perceptron, *parts: np.ndarray) -> np.ndarray:
    """Return a perceptron's output for one row, in numpy."""
    (first, second), (shift, offset) = (
        [w.detach().numpy().astype(float) for w in of] for of in (perceptron.weights, perceptron.biases)
    )
    hidden = first @ np.concatenate(parts) + shift
    return second @ np.where(hidden > 0, hidden, 0.2 * hidden) + offset


def value(judge: networks.Critic, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    return judge.value(judge.hidden(x, s))


def penalty(judge: networks.Critic, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """Return the gradient penalty at x alone: the rest of the loss is nought where real and fake are the same."""
    return networks.critic_loss(judge, x, x, s, torch.zeros(len(x), 1, dtype=x.dtype), 1.0)


def test_the_critics_gradient_is_that_of_finite_differences_and_of_autograd() -> None:
    judge, x, s = critic(), normal(5, 4), normal(5, 3, seed=1)
    found = judge.gradient(judge.hidden(x, s)).detach().numpy()
    wanted = numeric_gradient(lambda x: value(judge, torch.from_numpy(x), s).sum().item(), x.numpy())
    np.testing.assert_allclose(found, wanted, atol=1e-8)
    x.requires_grad_()
    (automatic,) = torch.autograd.grad(value(judge, x, s).sum(), x)
    np.testing.assert_allclose(found, automatic, atol=1e-8)


def test_the_penalty_has_the_gradient_that_autograd_finds_by_going_through_the_critic_twice() -> None:
    judge, x, s = critic(), normal(6, 4).requires_grad_(), normal(6, 3, seed=1)
    weights = [judge.layers.weights[0], judge.layers.weights[1]]  # it depends on no bias
    found = torch.autograd.grad(penalty(judge, x, s), weights)
    (slopes,) = torch.autograd.grad(value(judge, x, s).sum(), x, create_graph=True)
    wanted = torch.autograd.grad(((slopes.norm(dim=1) - 1) ** 2).mean(), weights)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


def test_a_critic_of_a_known_slope_pays_for_what_it_differs_from_one() -> None:
    judge = critic(dim=2, d=1)
    with torch.no_grad():
        judge.layers.weights[0].zero_()[0] = torch.tensor([3.0, 4.0, 0.0])
        judge.layers.weights[1].zero_()[0, 0] = 1.0  # D(x) = 3 x_1 + 4 x_2 where that is positive, else a fifth of it
    rising, falling = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64).split(1)
    s = torch.zeros(1, 1, dtype=torch.float64)
    assert penalty(judge, rising, s).item() == pytest.approx((5 - 1) ** 2)
    assert penalty(judge, falling, s).item() == pytest.approx((1 - 1) ** 2)


def test_the_critics_loss_equals_a_loop_in_float64() -> None:
    judge, real, fake, s = critic(), normal(5, 4), normal(5, 4, seed=2), normal(5, 3, seed=3)
    share = torch.rand(5, 1, generator=seeded(4), dtype=torch.float64)
    found = networks.critic_loss(judge, real, fake, s, share, 10.0).item()
    total = 0.0
    for x, f, c, a in zip(real.numpy(), fake.numpy(), s.numpy() * 3**0.5, share.numpy(), strict=True):
        between = a * x + (1 - a) * f
        slope = numeric_gradient(lambda x, c=c: by_hand(judge.layers, x, c).item(), between)
        total += by_hand(judge.layers, f, c) - by_hand(judge.layers, x, c) + 10 * (np.linalg.norm(slope) - 1) ** 2
    assert found == pytest.approx(float(np.squeeze(total)) / 5, abs=1e-6)


def generator(output: str = "linear", dim: int = 4) -> networks.Generator:
    vectors = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    return networks.Generator(dim, vectors, 3, 6, output, seeded(5))


def test_the_divergence_is_that_of_torch_distributions() -> None:
    mean, log_variance = normal(5, 3), normal(5, 3, seed=1)
    there, here = Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros(5, 3), torch.ones(5, 3))
    wanted = kl_divergence(there, here).sum(dim=1).mean()
    assert networks.divergence(mean, log_variance).item() == pytest.approx(wanted.item())
    assert networks.divergence(torch.zeros(2, 3), torch.zeros(2, 3)).item() == 0


def test_the_reconstruction_is_minus_a_log_likelihood_of_torch_distributions() -> None:
    found, real = normal(5, 4), normal(5, 4, seed=1)
    likelihood = Normal(found, 1.0).log_prob(real).sum(dim=1).mean().item() + 2 * np.log(2 * np.pi)
    assert networks.reconstruction(found, real, "linear").item() == pytest.approx(-likelihood)
    p, x = found.sigmoid(), real.sigmoid()
    likelihood = torch.distributions.Bernoulli(p, validate_args=False).log_prob(x).sum(dim=1).mean().item()
    assert networks.reconstruction(p, x, "sigmoid").item() == pytest.approx(-likelihood)


def drawn(*sizes: tuple[int, ...]) -> list[np.ndarray]:
    """Return what a game draws first, from a generator with the seed 9."""
    draw = seeded(9)
    return [torch.randn(*size, generator=draw).numpy().astype(float) for size in sizes]


def check_loss(
    game: networks.Game, real: torch.Tensor, labels: torch.Tensor, loop: Callable[[], float], trained: list[Any]
) -> None:
    """Compare a generator's loss, and its gradient by all that it trains, with a loop and its finite differences."""
    found = game.generator_loss(real, labels)
    gradients = torch.autograd.grad(found, trained)
    assert found.item() == pytest.approx(loop(), abs=1e-9)
    for weight, gradient in zip(trained, gradients, strict=True):

        def changed(value: np.ndarray, weight: torch.Tensor = weight) -> float:
            before = weight.detach().clone()
            weight.data = torch.from_numpy(value)
            loss = loop()
            weight.data = before
            return loss

        np.testing.assert_allclose(gradient, numeric_gradient(changed, weight.detach().numpy()), atol=1e-7)


def test_the_generators_loss_of_f_clswgan_equals_a_loop_in_float64() -> None:
    maker, real, labels = generator().double(), torch.zeros(4, 4), torch.tensor([2, 0, 2, 1])
    weights, biases = normal(3, 4), normal(3)
    params = FCLSWGAN.Params(hidden=6, noise=3, beta=0.7)
    game = networks.ClassifierGame((weights, biases), maker, 4, 2, params, seeded(6), seeded(9))
    game.critic.double()

    def loop() -> float:
        total = 0.0
        for z, y in zip(drawn((4, 3))[0], labels.tolist(), strict=True):
            s = maker.vectors[y].numpy() * 2**0.5
            fake = by_hand(maker.layers, z, s)
            logits = weights.numpy() @ fake + biases.numpy()
            total += -by_hand(game.critic.layers, fake, s)[0] + 0.7 * (np.log(np.exp(logits).sum()) - logits[y])
        return total / 4

    check_loss(game, real, labels, loop, [*maker.parameters()])


@pytest.mark.parametrize("output", ["linear", "sigmoid"])
def test_the_generators_loss_of_f_vaegan_equals_a_loop_in_float64(output: str) -> None:
    """With the sigmoid, that of TF-VAEGAN's released code without its feedback and its decoder."""
    maker, labels = generator(output).double(), torch.tensor([2, 0, 2, 1])
    real = normal(4, 4, seed=3).sigmoid()
    params = FVAEGAN.Params(hidden=6, noise=3, gamma=0.7, output=output)
    game = networks.VariationalGame(maker, 4, 2, params, seeded(6), seeded(9))
    game.critic.double()
    game.encoder.double()

    def made(noise: np.ndarray, s: np.ndarray) -> np.ndarray:
        found = by_hand(maker.layers, noise, s)
        return 1 / (1 + np.exp(-found)) if output == "sigmoid" else found

    def loop() -> float:
        total = 0.0
        for x, y, own, prior in zip(real.numpy(), labels.tolist(), *drawn((4, 3), (4, 3)), strict=True):
            s = maker.vectors[y].numpy() * 2**0.5
            mean, log_variance = np.split(by_hand(game.encoder.layers, x, s), 2)
            decoded = made(mean + np.exp(log_variance / 2) * own, s)
            if output == "sigmoid":
                total -= np.sum(x * np.log(decoded) + (1 - x) * np.log(1 - decoded))
            else:
                total += 0.5 * np.sum((decoded - x) ** 2)
            total += 0.5 * np.sum(np.exp(log_variance) + mean**2 - 1 - log_variance)
            total -= 0.7 * by_hand(game.critic.layers, made(prior, s), s)[0]
        return total / 4

    check_loss(game, real, labels, loop, [*maker.parameters(), *game.encoder.parameters()])


@pytest.mark.parametrize(
    ("average", "kept"), [(0.0, [0, 0, 0, 1]), (0.99, [1 / 4] * 4), (0.5, [1 / 8, 1 / 8, 1 / 4, 1 / 2])]
)
def test_the_kept_generator_is_the_running_average_of_the_trained_one(average: float, kept: list[float]) -> None:
    maker, mean, weights = generator(), generator(), []
    params = FCLSWGAN.Params(hidden=6, noise=3, lr=0.1, average=average)
    game = networks.ClassifierGame((normal(3, 4).float(), normal(3).float()), maker, 4, 2, params, seeded(6), seeded(9))
    for _ in range(4):
        game.generator_step(torch.zeros(2, 4), torch.tensor([2, 0]))
        game.average(mean)
        weights.append(maker.layers.weights[1].detach().numpy().copy())
    np.testing.assert_allclose(mean.layers.weights[1].detach(), np.tensordot(kept, weights, 1), atol=1e-6)


@pytest.mark.parametrize(("output", "least", "most"), [("relu", 0, np.inf), ("sigmoid", 0, 1)])
def test_the_output_bounds_what_is_generated(output: str, least: float, most: float) -> None:
    maker = generator(output)
    made = maker(10 * torch.randn(50, 3, generator=seeded()), maker.vectors[[0]].expand(50, -1)).detach().numpy()
    assert least <= made.min()
    assert made.max() <= most
    assert made.std() > 0


def test_the_trained_critic_knows_how_far_two_clouds_are_apart() -> None:
    """Moved by t, a point is |t| away: the best slope of a critic with penalty 10 is 1 + |t| / 20, as it pays for more.

    It maximises ``slope |t| - 10 (slope - 1)^2``.
    """
    maker = generator(dim=2)
    with torch.no_grad():
        for weight in maker.layers.parameters():
            weight.zero_()  # it generates the origin alone
    params = FCLSWGAN.Params(hidden=32, noise=3, lr=1e-2, penalty=10)
    game = networks.ClassifierGame((torch.zeros(3, 2), torch.zeros(3)), maker, 2, 2, params, seeded(6), seeded(9))
    moved, labels = torch.tensor([[3.0, 4.0]]).expand(64, -1), torch.arange(64) % 3
    for _ in range(300):
        game.critic_step(moved, labels)
    s = maker.vectors[labels]
    distance = (game.opinion(moved, s) - game.opinion(torch.zeros(64, 2), s)).item()
    assert distance == pytest.approx(5 * (1 + 5 / 20), rel=1e-3)


def world() -> World:
    """Return the world of this module's methods; a video is one frame, so that its noise has a known size."""
    return linear_world(20, 0.25, per_class=30, lengths=(1, 1))


@pytest.fixture(scope="module")
def fitted() -> dict[type, tuple[Any, Report]]:
    seen, classes, *_ = world()
    found = {}
    for method in BOTH:
        report = Report()
        found[method] = method(QUICK), report
        found[method][0].fit(seen, classes, None, report)
    return found


@pytest.mark.parametrize("method", BOTH)
def test_generated_features_of_unseen_classes_lie_around_their_mean(method: Any, fitted: Any) -> None:
    seen, _, _, unseen, _, image = world()
    means = unit(unseen.vectors) @ image
    model, _ = fitted[method]
    made = [f * model._scale + model._shift for f in model._features(unseen)]
    away = np.linalg.norm(np.stack([f.mean(axis=0) for f in made]) - means, axis=1)
    overall = np.linalg.norm(seen.pooled().mean(axis=0) - means, axis=1)
    assert (away < 0.7 * overall).all()
    assert away.mean() < 0.5 * overall.mean()
    assert 0.08 < np.mean([f.std(axis=0).mean() for f in made]) < 0.45  # 0.25


@pytest.mark.parametrize("method", BOTH)
def test_it_learns_classes_it_has_never_seen(method: Any, fitted: Any) -> None:
    _, _, videos, unseen, *_ = world()
    model, report = fitted[method]
    assert (model.score(videos, unseen).argmax(axis=1) == np.repeat(np.arange(4), 30)).mean() > 0.7  # chance 0.25
    assert 1 <= report.notes["best_epoch"] <= 6
    assert report.notes["held_out_classes"] == 4
    assert report.notes["held_out_accuracy"] > 0.5  # chance 0.25


def test_scores_are_those_of_scikit_learns_logistic_regression_on_the_same_features(fitted: Any) -> None:
    _, _, videos, unseen, *_ = world()
    model, _ = fitted[FCLSWGAN]
    x = np.concatenate(model._features(unseen)).astype(float)
    own = LogisticRegression(C=1 / (model.params.strength * len(x)), tol=1e-8, max_iter=5000)
    own.fit(x, np.repeat(np.arange(4), 40))
    wanted = own.decision_function((videos.pooled() - model._shift) / model._scale)
    np.testing.assert_allclose(model.score(videos, unseen), wanted, atol=0.02 * np.abs(wanted).max())


@pytest.mark.parametrize("method", BOTH)
def test_a_classs_features_depend_neither_on_the_order_nor_on_the_company_of_the_classes(
    method: Any, fitted: Any
) -> None:
    unseen = world().unseen
    model, _ = fitted[method]
    whole = model._features(unseen)
    for i, features in zip([3, 1], model._features(unseen.take(np.array([3, 1]))), strict=True):
        np.testing.assert_array_equal(features, whole[i])
    assert not np.allclose(whole[0] - whole[0].mean(axis=0), whole[1] - whole[1].mean(axis=0))  # noise of their own


def test_seen_classes_are_known_by_real_features_and_all_others_by_generated_ones() -> None:
    seen, classes, videos, unseen, *_ = world()
    model = FCLSWGAN({**QUICK, "classifier": "nearest-mean", "per_class": 20, "epochs": 1, "validation_fraction": 0})
    model.fit(seen, classes, None, Report())
    offered = Classes((*unseen.names, *classes.names[:3]), np.concatenate([unseen.vectors, classes.vectors[:3]]))
    features = model._features(offered)
    assert [len(of_class) for of_class in features] == [20] * 7
    for label in range(3):  # 20 of its 30 videos
        own = seen.pooled()[seen.labels == label]
        back = features[4 + label] * model._scale + model._shift
        assert all(np.abs(own - row).sum(axis=1).min() < 1e-4 for row in back)
    means = np.stack([of_class.mean(axis=0) for of_class in features])
    x = (videos.pooled() - model._shift) / model._scale
    away = ((x[:, None] - means) ** 2).sum(axis=2)
    scores = model.score(videos, offered)
    np.testing.assert_allclose(scores - scores[:, :1], away[:, :1] - away, atol=1e-3)


def test_the_classifier_is_trained_once_for_a_set_of_classes_in_any_order(
    fitted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, videos, unseen, *_ = world()
    model, _ = fitted[FVAEGAN]
    scores = model.score(videos, unseen)
    monkeypatch.setattr(model, "_classifier", lambda features: pytest.fail("trained again"))
    np.testing.assert_array_equal(model.score(videos, unseen.take(np.array([2, 0, 3, 1]))), scores[:, [2, 0, 3, 1]])
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        model.score(videos, unseen.take(np.array([2, 0])))


def test_a_restored_model_knows_its_seen_classes_and_holds_neither_critic_nor_encoder(fitted: Any) -> None:
    _, classes, videos, unseen, *_ = world()
    model, _ = fitted[FVAEGAN]
    offered = Classes((*classes.names, *unseen.names), np.concatenate([classes.vectors, unseen.vectors]))
    state = model.state()
    assert {name for name in state if name.startswith("network.")} == {
        "network.vectors", "network.layers.weights.0", "network.layers.weights.1",
        "network.layers.biases.0", "network.layers.biases.1",
    }  # fmt: skip
    restored = FVAEGAN(QUICK)
    restored.restore(state)
    np.testing.assert_array_equal(restored.score(videos, offered), model.score(videos, offered))


def test_minmax_brings_training_features_between_0_and_1_and_leaves_constant_ones() -> None:
    x = np.random.default_rng(0).standard_normal((700, 3)).astype(np.float32) * [1, 50, 0] + [0, -7, 4]
    shift, scale = frame_statistics(Videos.from_arrays(x.astype(np.float32)), "minmax")
    scaled = (x - shift) / scale
    np.testing.assert_allclose(scaled.min(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.max(axis=0), [1, 1, 0], atol=1e-6)


@pytest.mark.parametrize("method", BOTH)
def test_the_nearest_mean_gives_a_class_the_same_score_in_any_company(method: Any) -> None:
    CHECKS["class-company"].run(Subject.of(method, {"classifier": "nearest-mean"}))


@pytest.mark.slow
@pytest.mark.parametrize("method", BOTH)
def test_with_the_nearest_mean_it_conforms_in_the_rest(method: Any) -> None:
    params = {"classifier": "nearest-mean"}
    others = [name for name in CHECKS if name != "class-company"]
    assert [v for v in check_method(method, params, only=others) if v.state is CheckState.FAILED] == []


def test_f_vaegan_with_a_sigmoid_asks_for_features_between_0_and_1():
    task = tiny_task()
    small = {**FVAEGAN.test_params, "output": "sigmoid"}
    with pytest.raises(ZslbenchError, match="add --set f-vaegan.input_scale=minmax"):
        FVAEGAN(small).fit(task.train, task.seen_classes, None, Report())
    FVAEGAN({**small, "input_scale": "minmax"}).fit(task.train, task.seen_classes, None, Report())
