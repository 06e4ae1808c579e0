"""A tiny made-up task, in the form that a method gets in a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import Split, VideoChoice
from zslbench.digests import derive_seed
from zslbench.kernels import normalised
from zslbench.method import Budget, Classes
from zslbench.run.task import Task
from zslbench.tokens import TokenVectors
from zslbench.videos import FrameStore, SeenVideos, Videos

if TYPE_CHECKING:
    import torch

NAME = "tiny"


def encoder(names: tuple[str, ...], vectors: NDArray[np.float32]) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """Return an encoder of texts: near the vector of the class that a text names, or else a random vector."""

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), vectors.shape[1]))
        for row, text in zip(rows, texts, strict=True):
            row += 0.3 * np.random.default_rng(derive_seed("text", text)).normal(size=len(row))
            row += sum(vector for name, vector in zip(names, vectors, strict=True) if name in text)
        return normalised(rows).astype(np.float32)

    return encode


def token_vectors(
    encode: Callable[[Sequence[str]], NDArray[np.float32]], names: Sequence[str], texts: Sequence[Sequence[str]]
) -> tuple[tuple[TokenVectors, ...], ...]:
    """Return made-up token vectors of each class: of its name, then of its texts. The last token is that of the end."""

    def tokens(text: str) -> TokenVectors:
        words = text.split()
        return TokenVectors(encode([*words, text]), np.arange(len(words) + 1) < len(words))

    return tuple(tuple(map(tokens, (name, *more))) for name, more in zip(names, texts, strict=True))


class TinyTokens:
    """A :class:`~zslbench.classes.TokenEncoder` of random numbers: a text's vector is made of the mean of its words'.

    Examples
    --------
    >>> TinyTokens(10).ids(["a photo"])[0][0], len(TinyTokens(10).ids(["a photo"])[0])
    (0, 4)
    """

    weights = "tiny"
    limit = 77
    _size, _width = 97, 6

    def __init__(self, dim: int) -> None:
        rng = np.random.default_rng(derive_seed("tokens"))
        self._table = rng.normal(size=(self._size, self._width)).astype(np.float32)
        self._map = rng.normal(size=(self._width, dim)).astype(np.float32)

    def ids(self, texts: Sequence[str], *, ends: bool = True) -> list[list[int]]:
        """Return a token for each word and full stop, between 0 and 1 at the ends."""
        words = [text.replace(".", " .").split() for text in texts]
        found = [[2 + derive_seed("word", word) % (self._size - 2) for word in each] for each in words]
        return [[0, *each, 1] for each in found] if ends else found

    def rows(self, ids: Sequence[int]) -> torch.Tensor:
        """Return the embeddings of tokens."""
        import torch

        return torch.from_numpy(self._table[list(ids)])

    def encode(self, ids: Sequence[Sequence[int]], places: Sequence[Sequence[int]], rows: torch.Tensor) -> torch.Tensor:
        """Return the unit vectors of texts."""
        import torch

        means = []
        for own, at in zip(ids, places, strict=True):
            table = self.rows(own).to(rows.device)
            means.append(table.index_put((torch.tensor(list(at), device=rows.device),), rows.float()).tanh().mean(0))
        found = torch.stack(means) @ torch.from_numpy(self._map).to(rows.device)
        return torch.nn.functional.normalize(found, dim=1)


def tiny_task(
    *,
    n_seen: int = 8,
    n_unseen: int = 5,
    per_class: int | tuple[int, ...] = 6,
    dim: int = 12,
    lengths: tuple[int, int] = (2, 5),
    frames: Callable[[NDArray[np.float64]], NDArray[Any]] | None = None,
    dtype: DTypeLike = np.float32,
    budget: frozenset[Budget] = frozenset(),
    scores: Literal["any", "trained"] = "any",
    store: type[FrameStore] = FrameStore,
    tower: bool = False,
    seed: int = 0,
) -> Task:
    """Return a task whose features are a noisy linear map of the class vectors.

    Training and test videos are in one feature set, as in a run, and test videos are in random order. Features are not
    negative, like those after a ReLU.

    Parameters
    ----------
    n_seen, n_unseen
        Number of classes.
    per_class
        Number of videos of every class, or one number per class, the seen classes first.
    dim
        Values per frame.
    lengths
        Smallest and largest number of frames per video.
    frames
        A function that changes the frames, (n_frames, dim).
    dtype
        Type of the stored frames.
    budget
        With ``class-texts`` and ``attributes``, the classes have descriptions and attributes.
    scores
        With ``trained``, the test classes are trained on too, on as many videos of them as are tested.
    store
        Class of the frames' store.
    tower
        Whether the classes have phrases and an encoder of tokens.
    seed
        Seed of all random numbers.
    """
    rng = np.random.default_rng(seed)
    n = n_seen + n_unseen
    names = tuple(f"action {i:03d}" for i in range(n))
    vectors = normalised(rng.normal(size=(n, 10))).astype(np.float32)
    labels = np.repeat(np.arange(n), per_class)
    if scores == "trained":
        labels = np.concatenate([labels[labels >= n_seen], labels])
    tested = (labels >= n_seen) & (np.arange(len(labels)) >= len(labels) - np.sum(np.broadcast_to(per_class, n)))
    counts = rng.integers(lengths[0], lengths[1] + 1, size=len(labels))
    means = (vectors @ rng.normal(size=(10, dim)))[np.repeat(labels, counts)]
    values = np.maximum(means + 0.2 * rng.normal(size=means.shape) + 3, 0)
    kept = store((values if frames is None else frames(values)).astype(dtype), np.cumsum(counts) - counts, counts)
    encode = encoder(names, vectors)
    texts = tuple((name, f"a person does {name}") for name in names) if Budget.CLASS_TEXTS in budget else None
    classes = Classes(
        names,
        vectors,
        texts=texts,
        attributes=rng.random((n, 7), dtype=np.float32) if Budget.ATTRIBUTES in budget else None,
        encode=encode if texts else None,
        tokens=token_vectors(encode, names, texts) if texts else None,
        phrases=names if tower else None,
        tower=partial(TinyTokens, vectors.shape[1]) if tower else None,
    )
    train, test = np.flatnonzero(~tested), rng.permutation(np.flatnonzero(tested))
    return Task(
        seen_classes=classes.take(np.arange(n if scores == "trained" else n_seen)),
        test_classes=classes.take(np.arange(n_seen, n)),
        train=SeenVideos(kept, train, labels[train]),
        train_keys=[f"video {i}" for i in train],
        test=Videos(kept, test),
        ids=[f"video {i}" for i in test],
        labels=labels[test] - n_seen,
        seen=np.full(n_unseen, scores == "trained"),
        split=Split(names, (), videos=VideoChoice("official-1"))
        if scores == "trained"
        else Split(names[:n_seen], names[n_seen:]),
        dataset=Dataset(NAME, "Tiny", names, {"plain": {name: name for name in names}}),
    )
