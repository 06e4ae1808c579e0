"""The training loop of methods that learn an embedding with Adam, and choose their epochs on held-out seen classes.

Importing this module imports no torch: a method's parameters must be readable at once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.compute import native_bfloat16
from zslbench.method import Classes, Method, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Choices, Range
from zslbench.videos import FloatArray
from zslbench_methods._selection import Sides, held_out_classes
from zslbench_methods._wise import Trial, between, give_weights, mixed, weights_of

if TYPE_CHECKING:
    import torch

SCORE_BATCH = 256
_NETWORK = "network."  # before the names of a network's weights in a saved state


class TrainingParams(MethodParams):
    """Parameters of every trained method.

    Attributes
    ----------
    lr
        Learning rate of AdamW.
    weight_decay
        Weight decay of AdamW.
    batch_size
        Videos per step.
    epochs
        At most so many passes over the training videos.
    min_batches
        An epoch takes as many passes as come nearest to so many batches, one at least, so that small sets are not
        undertrained.
    patience
        Epochs without a better held-out accuracy before training stops.
    validation_fraction
        Share of the seen classes that is held out to choose the epoch; 0 trains ``epochs`` on all of them.
    folds
        Networks that choose the epoch, by their mean accuracy. Each is trained without other held-out classes, as long
        as there are classes for it: the choice takes ``folds`` times as long.
    refit
        Train anew on all seen classes for the chosen number of epochs; otherwise the best epoch's weights are kept.
    centre
        Subtract the mean of the seen class vectors from every class vector, seen or not, before normalising.
    input_scale
        ``global``: frames minus their mean, over one scale for all dimensions. ``standardise``: one scale per
        dimension. ``minmax``: every dimension between 0 and 1. All are measured on the seen training videos.
    precision
        ``tf32`` only changes a GPU; ``bf16`` computes products in bfloat16, or else in float32 with a warning where the
        device has no bfloat16 of its own.
    """

    lr: Annotated[float, Range(3e-5, 3e-3, log=True)] = Field(3e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    batch_size: int = Field(64, ge=1)
    epochs: int = Field(2, ge=1)
    min_batches: int = Field(50, ge=1)
    patience: int = Field(1, ge=1)
    validation_fraction: float = Field(0.2, ge=0, lt=1)
    folds: int = Field(1, ge=1)
    refit: Annotated[bool, Choices()] = True
    centre: bool = True
    input_scale: Literal["none", "global", "standardise", "minmax"] = "global"
    precision: Annotated[Literal["float32", "tf32", "bf16"], Choices()] = "float32"


class Network(Protocol):
    """What the loop trains: a torch.nn.Module with a loss and an embedding."""

    noise: torch.Generator | None
    vectors: torch.Tensor  # (n_classes, d) unit vectors of the training classes, among its buffers

    def loss(self, frames: torch.Tensor, lengths: NDArray[Any], labels: torch.Tensor, done: float) -> torch.Tensor:
        """Return the loss of a batch; ``done`` counts epochs, with their fractions."""
        ...

    def embed(self, frames: torch.Tensor, lengths: NDArray[Any]) -> torch.Tensor:
        """Return (n_videos, d) embeddings."""
        ...


@dataclass(frozen=True)
class Space:
    """Hold the space of the class vectors: the mean is subtracted, then each has unit length."""

    mean: FloatArray

    @classmethod
    def of(cls, vectors: FloatArray, centre: bool) -> Space:
        """Return the space of the seen class vectors, (n_classes, d)."""
        mean = unit(vectors).mean(axis=0) if centre else np.zeros(vectors.shape[1], dtype=np.float32)
        return cls(mean.astype(np.float32))

    def place(self, vectors: FloatArray) -> FloatArray:
        """Return any class vectors, (k, d), in this space."""
        return unit(unit(vectors) - self.mean)


def unit(rows: NDArray[Any]) -> FloatArray:
    """Return rows of unit length as float32; zero rows stay zero."""
    result: FloatArray = np.array(rows, dtype=np.float32)
    result /= np.maximum(np.linalg.norm(result, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return result


def frame_statistics(videos: Videos, kind: str) -> tuple[FloatArray, FloatArray]:
    """Return the shift and the scale, (D,) each, that ``input_scale`` asks for, in one pass over the frames.

    Patches have no say in them; they are shifted and scaled as their frames are.
    """
    if kind == "none":
        return np.zeros(videos.dim, dtype=np.float32), np.ones(videos.dim, dtype=np.float32)
    count, total, square = 0, np.zeros(videos.dim), np.zeros(videos.dim)
    least, most = np.full(videos.dim, np.inf), np.full(videos.dim, -np.inf)
    for batch in videos.batches(SCORE_BATCH):
        frames = batch.frames[:: videos.tokens]
        least, most = np.minimum(least, frames.min(axis=0)), np.maximum(most, frames.max(axis=0))
        count += len(frames)
        total += frames.sum(axis=0, dtype=np.float64)
        square += np.einsum("nd,nd->d", frames, frames, dtype=np.float64)
    if kind == "minmax":
        return least.astype(np.float32), np.where(most > least, most - least, 1).astype(np.float32)
    mean = total / count
    variance = np.maximum(square / count - mean**2, 0)
    if kind == "global":
        variance = np.full_like(variance, variance.mean())
    scale = np.where(variance > 0, np.sqrt(variance), 1)
    return mean.astype(np.float32), scale.astype(np.float32)


def unseen_of(target: Target | None, seen: Classes) -> Classes | None:
    """Return the target's classes that are not among the seen ones, or ``None`` where there is none or no target."""
    if target is None or target.classes is None:
        return None
    new = [i for i, name in enumerate(target.classes.names) if name not in set(seen.names)]
    return target.classes.take(np.array(new, dtype=np.int64)) if new else None


class TrainedMethod(Method):
    """A method that trains a network whose embedding's cosine with a class vector is the score.

    Attributes
    ----------
    useful_untrained
        Whether the network scores sensibly before any training, so that epoch 0 can be the best one.
    """

    useful_untrained: ClassVar[bool] = False
    test_params: ClassVar[Mapping[str, Any]] = {"epochs": 2, "min_batches": 1}

    class Params(TrainingParams):
        """Parameters of the training alone."""

    _passes = 1  # over the training videos per epoch
    shares: tuple[float, ...] = (1.0,)  # of the trained weights, to choose among; the rest is of the untrained ones

    @abstractmethod
    def build(self, dim: int, vectors: FloatArray, generator: torch.Generator) -> Any:
        """Return an untrained :class:`Network` for frames of ``dim`` values and class vectors (n_classes, d)."""

    def inform(self, model: Any, classes: Classes, unseen: Classes | None, space: Space) -> None:
        """Give an untrained network what the vectors of its training classes do not say; nothing by default.

        Parameters
        ----------
        unseen
            The classes that play the unseen ones: the held-out ones while the epoch is chosen, then those of the
            target. ``None`` where there are none, or the budget does not grant them.
        """

    def inputs(self, videos: Any) -> Any:
        """Return the videos as the network sees them; the same by default."""
        return videos

    @cached_property
    def kind(self) -> str:
        """The precision: that of the parameters, but ``float32`` where the device would imitate bfloat16."""
        kind: str = self.params.precision
        return "float32" if kind == "bf16" and not native_bfloat16(self.device) else kind

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Train; the number of epochs is chosen on held-out seen classes (see :class:`TrainingParams`)."""
        params = self.params
        if self.kind != params.precision:
            report.warn(f"{self.device} is not known to have bfloat16 of its own, so precision={self.kind} was used")
            report.note(precision=self.kind)
        seen = self.inputs(seen)
        self._space = Space.of(classes.vectors, params.centre)
        self._shift, self._scale = frame_statistics(seen, params.input_scale)
        # The same for the choice of the epoch and the refit, so that an epoch means the same in both.
        self._passes = max(1, round(params.min_batches * params.batch_size / len(seen)))
        how = seen.labels, len(classes), params.validation_fraction, self.seed
        given = self.validation if params.validation_fraction else None
        held = [] if given else [out for fold in range(params.folds) if len(out := held_out_classes(*how, fold)[2])]
        choices = [Sides.given(seen, classes, given)] if given else [Sides.without(seen, classes, out) for out in held]
        select, epochs, share = bool(choices), params.epochs, self.shares[-1]
        if select:
            self._model, epochs, share, selected = self._select(choices, report)
        elif params.validation_fraction:
            report.warn(f"too few seen classes to hold any out: trained {epochs} epochs without early stopping")
        if (params.refit and not given) or not select:
            self._model = self._new(seen.dim, classes, unseen_of(target, classes), self._space)
            start = weights_of(self._model)
            losses = self._train(self._model, seen, seen.labels, epochs, report, params.epochs * select)
            for epoch, loss in enumerate(losses, start=1):
                report.epoch(refit=float(select), epoch=epoch, loss=loss)
            give_weights(self._model, between(start, weights_of(self._model), share))
        else:
            self._space = selected  # the kept network was trained in this one

    def _select(self, choices: list[Sides], report: Report) -> tuple[Any, int, float, Space]:
        """Train on one side of each choice, an epoch of each at a time, and test the other.

        Returns
        -------
        model, epoch, share, space
            The first choice's network at the epoch and the share of trained weights with the best mean accuracy, these
            two, and the network's space.
        """
        params, first = self.params, int(not self.useful_untrained)
        trials = [self._trial(sides, Report() if i else report) for i, sides in enumerate(choices)]
        best, best_epoch, best_share, state = [-1.0], 0, self.shares[-1], {}
        for epoch in range(first, params.epochs + 1):
            losses = {"loss": float(np.mean([next(trial.losses) for trial in trials]))} if epoch else {}
            shares = self.shares if epoch else self.shares[-1:]  # before training all are the same
            accuracies = {share: [self._accuracy(trial, share) for trial in trials] for share in shares}
            share, found = max(accuracies.items(), key=lambda each: float(np.mean(each[1])))
            report.epoch(epoch=epoch, **losses, held_out_accuracy=float(np.mean(found)))
            if np.mean(found) > np.mean(best):
                best, best_epoch, best_share = found, epoch, share
                with mixed(trials[0].model, trials[0].start, share):
                    state = {name: value.clone() for name, value in trials[0].model.state_dict().items()}
            elif epoch - best_epoch >= params.patience:
                break
        trials[0].model.load_state_dict(state)
        report.chosen("best_epoch", best_epoch, range(first, params.epochs + 1), least=first)
        if len(self.shares) > 1:
            report.chosen("wise", best_share, self.shares, least=0.0, most=1.0)
        report.note(held_out_accuracy=float(np.mean(best)), held_out_classes=len(choices[0].held_out))
        if len(trials) > 1:
            report.note(held_out_sd=float(np.std(best, ddof=1)), held_out_folds=len(trials))
        return trials[0].model, best_epoch, best_share, trials[0].space

    def _trial(self, sides: Sides, report: Report) -> Trial:
        space = Space.of(sides.classes.vectors, self.params.centre)
        model = self._new(sides.seen.dim, sides.classes, sides.held_out, space)
        losses = self._train(model, sides.seen, sides.seen.labels, self.params.epochs, report, 0)
        return Trial(model, weights_of(model), space, losses, sides)

    def _accuracy(self, trial: Trial, share: float) -> float:
        sides = trial.sides
        with mixed(trial.model, trial.start, share):
            return sides.accuracy(self.class_scores(trial.model, sides.tested, trial.space, sides.held_out))

    def _new(self, dim: int, classes: Classes, unseen: Classes | None, space: Space) -> Any:
        import torch

        model = self.build(dim, space.place(classes.vectors), torch.Generator().manual_seed(self.seed))
        self.inform(model, classes, unseen, space)
        return model.to(self.device)

    def _frames(self, frames: FloatArray) -> torch.Tensor:
        import torch

        return torch.from_numpy((frames - self._shift) / self._scale).to(self.device)

    def _train(
        self, model: Any, videos: SeenVideos, labels: NDArray[Any], epochs: int, report: Report, before: int
    ) -> Iterator[float]:
        """Train an epoch at a time and yield its mean loss; ``before`` epochs of the fit are over."""
        import torch

        from zslbench_methods._networks import descend

        params, device = self.params, self.device
        model.noise = torch.Generator(device).manual_seed(self.seed + 1)
        order = np.random.default_rng(self.seed)
        optimizer = torch.optim.AdamW(model.parameters(), lr=params.lr, weight_decay=params.weight_decay, fused=True)
        total = self._passes * len(videos)
        all_epochs = params.epochs * (2 if params.refit and params.validation_fraction else 1)
        for epoch in range(epochs):
            model.train()
            losses, done = 0.0, 0
            places = np.concatenate([order.permutation(len(videos)) for _ in range(self._passes)])
            for batch in videos.batches(params.batch_size, places):
                wanted = torch.from_numpy(labels[batch.index]).to(device)
                with precision(device, self.kind):
                    at = epoch + done / total
                    loss = model.loss(self._frames(batch.frames), batch.lengths, wanted, at)
                descend(loss, optimizer)
                losses += float(loss.detach()) * len(batch.index)
                done += len(batch.index)
                report.progress(before + epoch + done / total, all_epochs, "training")
            yield losses / total

    def _embed(self, model: Any, videos: Videos) -> FloatArray:
        """Return unit embeddings, (n, d), a batch at a time."""
        import torch

        model.eval()
        parts = []
        with torch.no_grad(), precision(self.device, self.kind):
            for batch in videos.batches(SCORE_BATCH):
                parts.append(model.embed(self._frames(batch.frames), batch.lengths).float().cpu().numpy())
        return unit(np.concatenate(parts))

    def embed(self, videos: Videos) -> FloatArray:
        """Return (n, d) unit embeddings in the space of the (centred) class vectors."""
        return self._embed(self._model, self.inputs(videos))

    def score(self, videos: Videos, classes: Classes) -> FloatArray:
        """Return (n_videos, n_classes) scores: cosines of embeddings and class vectors unless the method says else."""
        return self.class_scores(self._model, self.inputs(videos), self._space, classes)

    def class_scores(self, model: Any, videos: Videos, space: Space, classes: Classes) -> FloatArray:
        """Return the scores of videos as the network sees them.

        Override it where classes are more than vectors.
        """
        return self._scores(model, videos, space, classes.vectors)

    def _scores(self, model: Any, videos: Videos, space: Space, vectors: FloatArray) -> FloatArray:
        """Return the scores of videos as the network sees them. Override it where the score is no cosine."""
        return self._embed(model, videos) @ space.place(vectors).T

    def place(self, vectors: FloatArray) -> FloatArray:
        """Return class vectors as the network sees them: less the seen classes' mean if ``centre``, of unit length."""
        return self._space.place(vectors)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the mean class vector, the frames' shift and scale, and the network's weights."""
        weights = {_NETWORK + name: value.cpu().numpy() for name, value in self._model.state_dict().items()}
        return {"mean": self._space.mean, "shift": self._shift, "scale": self._scale, **weights}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Build the network anew and give it the weights."""
        import torch

        self._space, self._shift, self._scale = Space(state["mean"]), state["shift"], state["scale"]
        weights = {
            name.removeprefix(_NETWORK): torch.from_numpy(array)
            for name, array in state.items()
            if name.startswith(_NETWORK)
        }
        model = self.build(len(self._shift), state[f"{_NETWORK}vectors"], torch.Generator().manual_seed(self.seed))
        model.load_state_dict(weights)
        self._model = model.to(self.device)


class PooledMethod(TrainedMethod):
    """A trained method that sees the mean of each video's frames; its epochs are short, so there are more of them."""

    class Params(TrainingParams):
        """Parameters of the training, with other defaults."""

        lr: Annotated[float, Range(1e-4, 1e-2, log=True)] = Field(1e-3, gt=0)
        epochs: int = Field(20, ge=1)
        patience: int = Field(5, ge=1)

    def inputs(self, videos: Any) -> Any:
        """Return the videos as sequences of one frame, their mean; with the labels if there are any."""
        if isinstance(videos, SeenVideos):
            return SeenVideos.from_arrays(videos.pooled(), labels=videos.labels)
        return Videos.from_arrays(videos.pooled())


@contextmanager
def precision(device: str, kind: str) -> Iterator[None]:
    """Compute with this precision, and leave torch's global setting as it was."""
    import torch

    if kind == "bf16":
        with torch.autocast(device, dtype=torch.bfloat16):
            yield
        return
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
