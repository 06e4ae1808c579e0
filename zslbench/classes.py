"""The classes that a method may know: names, vectors, texts, and the encoder that made the vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zslbench.tokens import TokenVectors

if TYPE_CHECKING:
    import torch


class TokenEncoder(Protocol):
    """The frozen encoder that made the class vectors: texts to tokens, and token embeddings to vectors.

    Attributes
    ----------
    weights
        Digest of its weights.
    limit
        The most tokens of a text, with those at its ends.

    Examples
    --------
    >>> from zslbench.testing import tiny_task
    >>> encoder = tiny_task(tower=True).seen_classes.tower()
    >>> ids = encoder.ids(["a photo", "a video"])
    >>> context = encoder.rows(ids[0][1:2])
    >>> encoder.encode(ids, [[1], [1]], context).shape
    torch.Size([2, 10])
    """

    weights: str
    limit: int

    def ids(self, texts: Sequence[str], *, ends: bool = True) -> list[list[int]]:
        """Return the tokens of each text, with those that the encoder puts at its ends or without them."""
        ...

    def rows(self, ids: Sequence[int]) -> torch.Tensor:
        """Return the embeddings of tokens, (k, width), which need no gradient."""
        ...

    def encode(self, ids: Sequence[Sequence[int]], places: Sequence[Sequence[int]], rows: torch.Tensor) -> torch.Tensor:
        """Return the unit vectors of texts, (n, d), in which the tokens at ``places`` have other embeddings.

        Parameters
        ----------
        ids
            Tokens of each text, with those at its ends.
        places
            (n, k) positions.
        rows
            (k, width) embeddings instead of theirs, the same in each text; gradients reach them. They are on the device
            on which to compute.
        """
        ...


@dataclass(frozen=True)
class Classes:
    """The classes that a method may know at that moment.

    Attributes
    ----------
    names
        Class names, in an order without meaning.
    vectors
        (n_classes, d) float32, one class vector per row.
    texts
        Descriptions of each class; only for methods whose budget has ``class-texts``.
    attributes
        (n_classes, n_attributes); only for methods whose budget has ``attributes``.
    encode
        Texts -> their vectors, (k, d), in the space of ``vectors``; only for methods whose budget has ``class-texts``.
        Imported vectors use the model that made them, which is loaded for texts that were not imported. It raises
        :class:`~zslbench.errors.OutOfVocabularyError` if the source cannot encode a text.
    auxiliary
        (n_classes,) bool, the classes of another dataset that are used for training, too; ``None`` for none.
    tokens
        Of each class, those of its prompted name, then of its texts; as ``texts``, where the class vectors have some.
    phrases
        The name of each class as the encoder of the vectors gets it; only for methods that need ``tower``.
    tower
        Opens the encoder of the vectors; only for methods whose info says that they need it. It raises
        :class:`~zslbench.errors.ZslbenchError` if the source of the vectors has no such encoder.

    Examples
    --------
    >>> classes = Classes(("run", "walk", "jump"), np.eye(3, dtype=np.float32))
    >>> classes.take([2, 0]).names
    ('jump', 'run')
    """

    names: tuple[str, ...]
    vectors: NDArray[np.float32]
    texts: tuple[tuple[str, ...], ...] | None = None
    attributes: NDArray[np.float32] | None = None
    encode: Callable[[Sequence[str]], NDArray[np.float32]] | None = None
    auxiliary: NDArray[np.bool_] | None = None
    tokens: tuple[tuple[TokenVectors, ...], ...] | None = None
    phrases: tuple[str, ...] | None = None
    tower: Callable[[], TokenEncoder] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: NDArray[Any]) -> Classes:
        """Return the classes at ``index``, in that order."""
        index = np.arange(len(self))[np.asarray(index)]  # names are a tuple, which takes neither masks nor arrays
        return Classes(
            names=tuple(self.names[i] for i in index),
            vectors=self.vectors[index],
            texts=None if self.texts is None else tuple(self.texts[i] for i in index),
            attributes=None if self.attributes is None else self.attributes[index],
            encode=self.encode,
            auxiliary=None if self.auxiliary is None else self.auxiliary[index],
            tokens=None if self.tokens is None else tuple(self.tokens[i] for i in index),
            phrases=None if self.phrases is None else tuple(self.phrases[i] for i in index),
            tower=self.tower,
        )

    def join(self, other: Classes) -> Classes:
        """Return these classes followed by the others, with texts, attributes and tokens if both have them."""
        own, theirs = (np.zeros(len(c), dtype=bool) if c.auxiliary is None else c.auxiliary for c in (self, other))
        any_auxiliary = self.auxiliary is not None or other.auxiliary is not None
        attributes = [each.attributes for each in (self, other) if each.attributes is not None]
        return Classes(
            names=self.names + other.names,
            vectors=np.concatenate([self.vectors, other.vectors]),
            texts=None if self.texts is None or other.texts is None else self.texts + other.texts,
            attributes=np.concatenate(attributes) if len(attributes) == 2 else None,
            encode=self.encode,
            auxiliary=np.concatenate([own, theirs]) if any_auxiliary else None,
            tokens=None if self.tokens is None or other.tokens is None else self.tokens + other.tokens,
            phrases=None if self.phrases is None or other.phrases is None else self.phrases + other.phrases,
            tower=self.tower,
        )
