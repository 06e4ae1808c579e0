"""The networks and losses of f-CLSWGAN and f-VAEGAN: features generated from noise and a class vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from zslbench_methods._networks import ClassNetwork, Perceptron, descend

SLOPE = 0.2  # of the leaky rectifiers
LEAKY = partial(functional.leaky_relu, negative_slope=SLOPE)


def conditions(vectors: Tensor) -> Tensor:
    """Return unit class vectors, (n, d), scaled so that a value is as large as one of the noise on average."""
    scaled: Tensor = vectors * vectors.shape[1] ** 0.5
    return scaled


class Generator(ClassNetwork):
    """G(z, s), from noise and a class vector to a feature.

    Parameters
    ----------
    dim
        D, values per feature.
    vectors
        (n_classes, d) unit vectors of the training classes.
    noise
        Values of z.
    hidden
        Size of the hidden layer.
    output
        What bounds the features: ``linear`` nothing, ``relu`` from below by 0, ``sigmoid`` by 0 and 1.
    random
        Source of the initial weights.
    """

    def __init__(
        self, dim: int, vectors: NDArray[np.float32], noise: int, hidden: int, output: str, random: torch.Generator
    ) -> None:
        super().__init__(vectors)
        self.layers = Perceptron(noise + vectors.shape[1], hidden, dim, LEAKY, random)
        self.bounded = {"linear": nn.Identity(), "relu": nn.ReLU(), "sigmoid": nn.Sigmoid()}[output]

    def forward(self, noise: Tensor, vectors: Tensor) -> Tensor:
        """Return features, (n, D), for noise (n, noise) and unit class vectors (n, d)."""
        features: Tensor = self.bounded(self.layers(noise, conditions(vectors)))
        return features


class Critic(nn.Module):
    """D(x, s): how real a feature looks beside a class vector, as a number without bounds."""

    def __init__(self, dim: int, d: int, hidden: int, random: torch.Generator) -> None:
        super().__init__()
        self.dim, self.layers = dim, Perceptron(dim + d, hidden, 1, LEAKY, random)

    def hidden(self, features: Tensor, vectors: Tensor) -> Tensor:
        """Return the hidden layer before its rectifiers, (n, hidden), linear in features (n, D); (n, d) vectors."""
        return self.layers.hidden(features, conditions(vectors))

    def value(self, hidden: Tensor) -> Tensor:
        """Return D(x, s), (n,)."""
        return self.layers.output(hidden)[:, 0]

    def gradient(self, hidden: Tensor) -> Tensor:
        """Return dD/dx, (n, D), as a function of the weights.

        With one hidden layer it is a product of its weights with the slopes of its rectifiers. The slopes change at the
        kinks only. Autograd therefore goes through the critic once instead of twice.
        """
        slopes = torch.where(hidden.detach() > 0, 1.0, SLOPE)
        gradient: Tensor = (slopes * self.layers.weights[1]) @ self.layers.weights[0][:, : self.dim]
        return gradient


def critic_loss(critic: Critic, real: Tensor, fake: Tensor, vectors: Tensor, share: Tensor, strength: float) -> Tensor:
    """Return ``mean D(fake) - mean D(real) + strength mean (|dD/dx| - 1)^2``, the last at points between the two.

    Parameters
    ----------
    real, fake
        (n, D) features of the classes with the unit vectors ``vectors``, (n, d).
    share
        (n, 1) the share of the real feature in each point between.
    strength
        lambda of the gradient penalty.
    """
    at_real, at_fake = critic.hidden(real, vectors), critic.hidden(fake, vectors)
    slopes = critic.gradient(share * at_real + (1 - share) * at_fake).norm(dim=1)  # the hidden layer is linear
    loss: Tensor = critic.value(at_fake).mean() - critic.value(at_real).mean() + strength * (slopes - 1).square().mean()
    return loss


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of N(mean, variance) from N(0, 1): sums over rows of (n, k), averaged."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()


def reconstruction(found: Tensor, real: Tensor, output: str) -> Tensor:
    """Return minus the log-likelihood of features, (n, D), but for a constant, summed over D and averaged.

    Binary cross-entropy where a sigmoid bounds the output, else half the squared error (a Gaussian of variance 1).
    """
    if output == "sigmoid":
        return functional.binary_cross_entropy(found, real, reduction="sum") / len(real)
    return 0.5 * (found - real).square().sum(dim=1).mean()


class Encoder(nn.Module):
    """E(x, s): mean and logarithm of the variance of the noise that a feature may have come from."""

    def __init__(self, dim: int, d: int, noise: int, hidden: int, random: torch.Generator) -> None:
        super().__init__()
        self.layers = Perceptron(dim + d, hidden, 2 * noise, LEAKY, random)

    def forward(self, features: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return two (n, noise) for features (n, D) and unit class vectors (n, d)."""
        mean, log_variance = self.layers(features, conditions(vectors)).chunk(2, dim=1)
        return mean, log_variance


class Game(ABC):
    """WGAN-GP: a critic learns to tell real features from generated ones, the generator to please it.

    Parameters
    ----------
    generator
        Trained in place.
    dim, d
        Values per feature and per class vector.
    params
        Those of :class:`~zslbench_methods.feature_gan.FeatureGAN`.
    random
        Source of the critic's initial weights.
    draw
        Source of the noise, on the device of the generator.
    """

    def __init__(
        self, generator: Generator, dim: int, d: int, params: Any, random: torch.Generator, draw: torch.Generator
    ) -> None:
        self.generator, self.params, self.draw = generator, params, draw
        self.device, self.steps = generator.vectors.device, 0
        self.critic = Critic(dim, d, params.hidden, random).to(self.device)
        self.critic_optimizer = self._adam(self.critic)
        self.generator_optimizer = self._adam(*self.learners())

    def _adam(self, *networks: nn.Module) -> torch.optim.Optimizer:
        weights = [weight for network in networks for weight in network.parameters()]
        p = self.params
        return torch.optim.AdamW(weights, lr=p.lr, betas=(0.5, 0.999), weight_decay=p.weight_decay, fused=True)

    def learners(self) -> tuple[nn.Module, ...]:
        """Return what the generator's loss trains."""
        return (self.generator,)

    def fake(self, vectors: Tensor) -> Tensor:
        """Return a new feature of each class with a vector in ``vectors``, (n, d)."""
        noise = torch.randn(len(vectors), self.params.noise, generator=self.draw, device=self.device)
        features: Tensor = self.generator(noise, vectors)
        return features

    def opinion(self, features: Tensor, vectors: Tensor) -> Tensor:
        """Return the critic's mean value of features, (n, D), of classes (n, d)."""
        return self.critic.value(self.critic.hidden(features, vectors)).mean()

    def critic_step(self, real: Tensor, labels: Tensor) -> Tensor:
        """Train the critic on a batch and return its loss."""
        vectors = self.generator.vectors[labels]
        with torch.no_grad():
            fake = self.fake(vectors)
        share = torch.rand(len(real), 1, generator=self.draw, device=self.device)
        loss = critic_loss(self.critic, real, fake, vectors, share, self.params.penalty)
        descend(loss, self.critic_optimizer)
        return loss.detach()

    def generator_step(self, real: Tensor, labels: Tensor) -> None:
        """Train the generator for the classes of a batch."""
        descend(self.generator_loss(real, labels), self.generator_optimizer)
        self.steps += 1

    def average(self, kept: Generator) -> None:
        """Move the weights of ``kept`` towards the generator's, less at every step."""
        past = min(self.params.average, (self.steps - 1) / self.steps)
        with torch.no_grad():
            for mean, weight in zip(kept.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(weight, 1 - past)

    @abstractmethod
    def generator_loss(self, real: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of the generator for the classes of a batch, features (n, D) and labels (n,)."""


class ClassifierGame(Game):
    """f-CLSWGAN: a softmax classifier of real features, with weights (n_classes, D), must know the generated ones."""

    def __init__(self, classifier: tuple[Tensor, Tensor], *how: Any) -> None:
        self.classifier = classifier
        super().__init__(*how)

    def generator_loss(self, real: Tensor, labels: Tensor) -> Tensor:
        """Return ``-mean D(G(z, s)) + beta CE(classifier(G(z, s)), labels)``."""
        vectors = self.generator.vectors[labels]
        fake = self.fake(vectors)
        cost = functional.cross_entropy(functional.linear(fake, *self.classifier), labels)
        loss: Tensor = -self.opinion(fake, vectors) + self.params.beta * cost
        return loss


class VariationalGame(Game):
    """f-VAEGAN: the generator is the decoder of a variational autoencoder, too."""

    def __init__(self, generator: Generator, dim: int, d: int, params: Any, random: torch.Generator, *how: Any) -> None:
        self.encoder = Encoder(dim, d, params.noise, params.hidden, random).to(generator.vectors.device)
        super().__init__(generator, dim, d, params, random, *how)

    def learners(self) -> tuple[nn.Module, ...]:
        """Return generator and encoder."""
        return (self.generator, self.encoder)

    def generator_loss(self, real: Tensor, labels: Tensor) -> Tensor:
        """Return ``KL(E(x, s) | N(0, 1)) - log p(x | E(x, s), s) - gamma mean D(G(z, s))``."""
        vectors = self.generator.vectors[labels]
        mean, log_variance = self.encoder(real, vectors)
        drawn = torch.randn(mean.shape, generator=self.draw, device=self.device)
        decoded = self.generator(mean + (log_variance / 2).exp() * drawn, vectors)
        autoencoder = reconstruction(decoded, real, self.params.output) + divergence(mean, log_variance)
        loss: Tensor = autoencoder - self.params.gamma * self.opinion(self.fake(vectors), vectors)
        return loss
