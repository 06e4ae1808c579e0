"""f-CLSWGAN and f-VAEGAN: features of unseen classes are generated, and a classifier is trained on them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.digests import derive_seed
from zslbench.errors import ZslbenchError
from zslbench.method import Classes, Method, MethodInfo, Report, SeenVideos, Target, Videos
from zslbench.ranges import Range
from zslbench.videos import FloatArray
from zslbench_methods._linear import multinomial
from zslbench_methods._training import PooledMethod, Space, precision

if TYPE_CHECKING:
    import torch

Linear = tuple[NDArray[Any], NDArray[Any]]  # weights (n_classes, D) and biases (n_classes,)


class FeatureGAN(PooledMethod):
    """What both methods share: the game of generator and critic, and the classifier that is trained for given classes.

    The classifier is trained when scores of classes are due. Seen classes among them are known by their names and give
    real features; all others give generated ones. A class's noise is drawn from a seed of its name. Its features depend
    neither on the order nor on the company of the classes. The last classifier is kept for further videos.
    """

    test_params: ClassVar[Mapping[str, Any]] = {
        "hidden": 16, "noise": 4, "epochs": 2, "min_batches": 3, "batch_size": 16, "per_class": 8,
    }  # fmt: skip
    expected_failed_checks: ClassVar[Mapping[str, str]] = {
        "class-company": "the softmax classifier is trained on the features of all the classes that are offered"
    }

    class Params(PooledMethod.Params):
        """Parameters of both methods.

        Attributes
        ----------
        hidden
            Size of the networks' hidden layers.
        noise
            Size of the noise z.
        output
            What bounds the generated features: ``linear`` nothing, ``relu`` from below by 0, ``sigmoid`` by 0 and 1
            (the latter two fit ``input_scale`` ``minmax``).
        average
            The generator that is kept has a running average of the trained one's weights. This is the share of the past
            per step; 0 keeps the last weights.
        critic_steps
            Steps of the critic for each step of the generator.
        penalty
            Weight of the critic's gradient penalty.
        classifier
            ``softmax``: multinomial logistic regression. ``nearest-mean``: the class with the nearest mean feature; a
            class's score does not depend on its company there.
        strength
            Strength of the penalty of logistic regression: mean loss plus strength / 2 times the squared weights.
        per_class
            Features that the classifier sees of each class: so many generated ones, at most so many real ones.
        max_iterations
            Most iterations of L-BFGS.
        """

        lr: Annotated[float, Range(3e-5, 3e-3, log=True)] = Field(3e-4, gt=0)
        epochs: int = Field(8, ge=1)
        patience: int = Field(4, ge=1)
        hidden: int = Field(256, ge=1)
        noise: int = Field(64, ge=1)
        output: Literal["linear", "relu", "sigmoid"] = "linear"
        average: float = Field(0.99, ge=0, lt=1)
        critic_steps: int = Field(5, ge=1)
        penalty: Annotated[float, Range(1, 100, log=True)] = Field(10.0, ge=0)
        classifier: Literal["softmax", "nearest-mean"] = "softmax"
        strength: Annotated[float, Range(1e-4, 1, log=True)] = Field(1e-2, gt=0)
        per_class: int = Field(100, ge=1)
        max_iterations: int = Field(200, ge=1)

    embed = Method.embed  # videos stay in the space of features

    def build(self, dim: int, vectors: NDArray[np.float32], generator: torch.Generator) -> Any:
        """Return the generator: all that is kept of the networks."""
        from zslbench_methods._feature_gan import Generator

        p = self.params
        return Generator(dim, vectors, p.noise, p.hidden, p.output, generator)

    @abstractmethod
    def game(self, features: torch.Tensor, labels: NDArray[Any], how: Sequence[Any]) -> Any:
        """Return the :class:`~zslbench_methods._feature_gan.Game` that trains the generator.

        Parameters
        ----------
        features, labels
            (n, D) scaled features of the training videos, and their (n,) classes.
        how
            The parameters of ``Game``.
        """

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Train the generator, for as many epochs as held-out seen classes ask for, and keep some real features."""
        super().fit(seen, classes, target, report)
        kept = []
        for label, name in enumerate(classes.names):
            order = np.random.default_rng(derive_seed(self.seed, "real", name)).permutation(
                np.flatnonzero(seen.labels == label)
            )
            kept.append(order[: self.params.per_class])
        rows = np.sort(np.concatenate(kept))
        self._real, self._labels, self._names = seen.take(rows).pooled(), seen.labels[rows], classes.names
        self._latest: tuple[Any, Linear] | None = None

    def _train(
        self, model: Any, videos: SeenVideos, labels: NDArray[Any], epochs: int, report: Report, before: int
    ) -> Iterator[float]:
        """Play an epoch at a time and yield the critic's mean loss; ``before`` epochs of the fit are over.

        An epoch has as many steps of the generator as there are batches in its passes over the videos. Each follows
        ``critic_steps`` steps of the critic on batches of their own.
        """
        import torch

        p, device = self.params, self.device
        x, y = self._frames(videos.pooled()), torch.tensor(labels, device=device)
        draw = torch.Generator(device).manual_seed(derive_seed(self.seed, "draw"))
        random = torch.Generator().manual_seed(derive_seed(self.seed, "critic"))
        game = self.game(x, labels, (deepcopy(model), x.shape[1], model.vectors.shape[1], p, random, draw))
        steps = max(1, round(self._passes * len(x) / p.batch_size))
        all_epochs = p.epochs * (2 if p.refit and p.validation_fraction else 1)
        for epoch in range(epochs):
            loss = torch.zeros((), device=device)
            for step in range(steps):
                batches = torch.randint(len(x), (p.critic_steps + 1, p.batch_size), generator=draw, device=device)
                with precision(device, self.kind):
                    for batch in batches[:-1]:
                        loss += game.critic_step(x[batch], y[batch])
                    game.generator_step(x[batches[-1]], y[batches[-1]])
                game.average(model)
                report.progress(before + epoch + (step + 1) / steps, all_epochs, "training")
            yield float(loss) / (steps * p.critic_steps)

    def _generated(self, model: Any, space: Space, vectors: FloatArray, names: Sequence[str]) -> list[FloatArray]:
        """Return ``per_class`` features, (per_class, D), of each class; its name is the seed of its noise."""
        import torch

        p, found = self.params, []
        for name, vector in zip(names, torch.from_numpy(space.place(vectors)), strict=True):
            random = torch.Generator().manual_seed(derive_seed(self.seed, "noise", name))
            noise = torch.randn(p.per_class, p.noise, generator=random)
            with torch.no_grad():
                features = model(noise.to(self.device), vector.expand(len(noise), -1).to(self.device))
            found.append(features.float().cpu().numpy())
        return found

    def _classifier(self, features: Sequence[FloatArray]) -> Linear:
        """Return the classifier of classes with these features, (n_i, D) each."""
        if self.params.classifier == "nearest-mean":
            means = np.stack([of_class.mean(axis=0) for of_class in features])
            return 2 * means, -np.square(means).sum(axis=1)  # minus the squared distance, less the video's own square
        labels = np.repeat(np.arange(len(features)), [len(of_class) for of_class in features])
        p = self.params
        found, _ = multinomial(np.concatenate(features), labels, p.strength, p.max_iterations)
        return found.weights.astype(np.float32), found.bias.astype(np.float32)

    def _scores(self, model: Any, videos: Videos, space: Space, vectors: FloatArray) -> FloatArray:
        """Return the scores of classes that are all generated: how an epoch is judged on held-out seen classes."""
        names = [f"held out {i}" for i in range(len(vectors))]
        return self._apply(self._classifier(self._generated(model, space, vectors, names)), videos)

    def _apply(self, classifier: Linear, videos: Videos) -> FloatArray:
        weights, biases = classifier
        scores: FloatArray = (videos.pooled() - self._shift) / self._scale @ weights.T + biases
        return scores

    def _features(self, classes: Classes) -> list[FloatArray]:
        """Return the features that stand for each class: real ones where there are any."""
        found = self._generated(self._model, self._space, classes.vectors, classes.names)
        real = (self._real - self._shift) / self._scale
        for i, name in enumerate(classes.names):
            own = real[self._labels == self._names.index(name)] if name in self._names else real[:0]
            found[i] = own if len(own) else found[i]
        return found

    def score(self, videos: Videos, classes: Classes) -> FloatArray:
        """Return the classifier's values, (n_videos, n_classes), before the softmax."""
        order = np.array(sorted(range(len(classes)), key=lambda i: classes.names[i]))
        offered = classes.take(order)
        key = offered.names, offered.vectors.tobytes()
        if self._latest is None or self._latest[0] != key:
            self._latest = key, self._classifier(self._features(offered))
        return self._apply(self._latest[1], videos)[:, np.argsort(order)]

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the generator, the scaling, and the seen classes' names and real features."""
        names = np.frombuffer("\n".join(self._names).encode(), np.uint8)
        return {**super().state(), "real": self._real, "labels": self._labels, "names": names}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        super().restore(state)
        self._real, self._labels = state["real"], state["labels"]
        self._names = tuple(state["names"].tobytes().decode().split("\n"))
        self._latest = None


class FCLSWGAN(FeatureGAN):
    """f-CLSWGAN: ``min_G max_D E D(x, s) - E D(G(z, s), s) - penalty E (|dD/dx'| - 1)^2 + beta E CE(p(G(z, s)), y)``.

    x is a seen video's mean-pooled feature, s its class vector, z Gaussian noise, and x' a point between x and G(z, s).
    p is a softmax classifier of the seen classes, trained on real features beforehand (Xian et al., CVPR 2018).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = FCLSWGAN({"epochs": 1, "min_batches": 1})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="f-clswgan",
        summary="features generated by a conditional Wasserstein GAN with a classification loss; softmax classifier",
        citation="Xian, Lorenz, Schiele, Akata. Feature Generating Networks for Zero-Shot Learning. CVPR, 2018.",
    )

    class Params(FeatureGAN.Params):
        """Parameters of f-CLSWGAN.

        Attributes
        ----------
        beta
            Weight of the classification loss.
        """

        beta: float = Field(0.01, ge=0)

    def game(self, features: torch.Tensor, labels: NDArray[Any], how: Sequence[Any]) -> Any:
        """Train the seen classes' classifier, and return the game with its loss."""
        import torch

        from zslbench_methods._feature_gan import ClassifierGame

        p, generator = self.params, how[0]
        found, present = multinomial(features.cpu().numpy(), labels, p.strength, p.max_iterations)
        weights = torch.zeros(len(generator.vectors), features.shape[1], device=features.device)
        biases = torch.full((len(generator.vectors),), -torch.inf, device=features.device)
        weights[present] = torch.from_numpy(found.weights).float().to(features.device)
        biases[present] = torch.from_numpy(found.bias).float().to(features.device)
        return ClassifierGame((weights, biases), *how)


class FVAEGAN(FeatureGAN):
    """f-VAEGAN: ``KL(q(z | x, s) | N(0, 1)) - E log p(x | z, s)``, plus ``gamma`` times the Wasserstein game.

    G is the decoder of a variational autoencoder and the generator of f-CLSWGAN's game at once. This is the inductive
    half of f-VAEGAN-D2; the other half has a second critic, of unlabelled videos of unseen classes.

    The equations follow Xian et al. (CVPR 2019).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = FVAEGAN({"epochs": 1, "min_batches": 1})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="f-vaegan",
        summary="features generated by a conditional variational autoencoder and Wasserstein GAN; softmax classifier",
        citation="Xian, Sharma, Schiele, Akata. f-VAEGAN-D2: A Feature Generating Framework for Any-Shot Learning. "
        "CVPR, 2019.",
        reconstruction=True,
    )

    class Params(FeatureGAN.Params):
        """Parameters of f-VAEGAN.

        Attributes
        ----------
        gamma
            Weight of the game beside the autoencoder.
        """

        gamma: float = Field(10.0, ge=0)

    def game(self, features: torch.Tensor, labels: NDArray[Any], how: Sequence[Any]) -> Any:
        """Return the game of the autoencoder; with a sigmoid its likelihood is one of features between 0 and 1."""
        from zslbench_methods._feature_gan import VariationalGame

        if self.params.output == "sigmoid" and (features.min() < 0 or features.max() > 1):
            raise ZslbenchError(
                f"{self.info.name} with output=sigmoid needs features between 0 and 1; add --set "
                f"{self.info.name}.input_scale=minmax."
            )

        return VariationalGame(*how)
