"""BIKE's video concept spotting: the frames that show the words of a class's name weigh more for this class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.method import Budget, Classes, Method, MethodInfo, Report, SeenVideos, Target, Validation, Videos
from zslbench.ranges import Choices, Range
from zslbench.tokens import TokenVectors
from zslbench.videos import FloatArray
from zslbench_methods._selection import held_out_accuracy
from zslbench_methods._sentences import SentenceHead, encoded, sentences, softmax
from zslbench_methods._texts import TextRows, descriptions, name_words, padded, token_rows
from zslbench_methods._training import (
    SCORE_BATCH,
    Space,
    TrainedMethod,
    TrainingParams,
    frame_statistics,
    precision,
)
from zslbench_methods._wise import SHARES
from zslbench_methods.nearest_text import require_joint

if TYPE_CHECKING:
    import torch

    from zslbench_methods._spotting import How

TEMPERATURES = (0.01, 0.03, 0.1, 0.3, 1.0)
_HEAD = "head."  # before the names of the head's arrays in a saved state
_VALUES = 1 << 25  # that a product of rows and words may have while scoring: 128 MiB


class SpotterParams(TrainingParams):
    """Parameters of BIKE and STI.

    Attributes
    ----------
    temperature
        Temperature of the softmax over time; ``None`` chooses among 0.01 to 1 on the seen classes.
    adapter
        Train a linear map that is added to the frames: it stands in for the papers' training of the image tower.
    layers
        Layers of the temporal transformer; 0 for none.
    scale
        What scores are multiplied by in the loss at the start; it is learnt.
    sharpness
        Sharpness of the loss's targets, ``softmax(sharpness * [same class])``.
    selection_videos
        How many videos the choice of the temperature looks at.
    words
        What a class's words (BIKE) or attributes (STI) are. ``alone``: each encoded by itself. ``tokens``: the token
        vectors of these words in their prompt. ``all``: those of all positions, with prompt, start, end and padding, as
        in BIKE's code. They are made by ``zslbench semantics import --tokens``.
    wise
        a in ``(1 - a) untrained + a trained`` weights (WiSE-FT); ``None`` chooses among 0.1 to 1 with the epoch.
    """

    lr: Annotated[float, Range(1e-5, 1e-3, log=True)] = Field(1e-4, gt=0)
    epochs: int = Field(10, ge=1)
    patience: int = Field(3, ge=1)
    temperature: float | None = Field(None, gt=0)
    adapter: bool = True
    layers: int = Field(0, ge=0)
    scale: float = Field(20.0, gt=0)
    sharpness: Annotated[float, Range(1, 100, log=True)] = Field(10.0, gt=0)
    selection_videos: int = Field(2000, ge=1)
    words: Annotated[Literal["alone", "tokens", "all"], Choices()] = "alone"
    wise: float | None = Field(1.0, ge=0, le=1)


class Spotting(TrainedMethod):
    """What BIKE and STI share: ``score = <sum_t a_tc v_t, s_c>`` with weights of frames by the words of class c."""

    embed = Method.embed  # a video has a place for each class
    useful_untrained = True
    test_task: ClassVar[Mapping[str, Any]] = {"dim": 10}  # as many as the made-up class vectors have

    class Params(SpotterParams):
        """Parameters of both methods."""

    @property
    def shares(self) -> tuple[float, ...]:  # type: ignore[override]
        """Return the shares of the trained weights to choose among."""
        return SHARES if self.params.wise is None else (self.params.wise,)

    def how(self) -> How:
        """Return the parts of the network."""
        from zslbench_methods._spotting import How

        params = self.params
        return How(adapter=params.adapter, layers=params.layers, scale=params.scale, sharpness=params.sharpness)

    def said(self, classes: Classes) -> Sequence[Sequence[str]]:
        """Return the words of each class."""
        return [name_words(name) for name in classes.names]

    def said_tokens(self, tokens: Sequence[TokenVectors]) -> Sequence[TokenVectors]:
        """Return those of a class's tokens that count: its name's are the first, and its texts' follow."""
        return tokens[:1]

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose the temperature on the seen classes, before anything is learnt from them, and train.

        Raises
        ------
        ZslbenchError
            Features and class vectors have different numbers of values.
        """
        params = self.params
        self._rows, self._tokens = TextRows(), seen.tokens
        how = self.how()
        if how.joint:
            require_joint(self.info.name, seen, classes)
        self._temperature = params.temperature or TEMPERATURES[2]
        self._space = Space.of(classes.vectors, params.centre)
        self._shift, self._scale = frame_statistics(seen, params.input_scale)
        self._model = self._new(seen.dim, classes, None, self._space)
        if how.temporal and params.temperature is None and how.joint:
            self._choose_temperature(seen, classes, report)
        if how.trained:
            super().fit(seen, classes, target, report)

    def _choose_temperature(self, seen: SeenVideos, classes: Classes, report: Report) -> None:
        """Take the temperature with which the untrained network is most accurate on the seen classes."""
        some = np.random.default_rng(self.seed).permutation(len(seen))[: self.params.selection_videos]
        videos, every = seen.take(np.sort(some)), np.arange(len(classes))
        found = {}
        for temperature in TEMPERATURES:
            self._model.temperature.fill_(temperature)
            scores = self.class_scores(self._model, videos, self._space, classes)
            found[temperature] = held_out_accuracy(scores, videos.labels, every)
        self._temperature = max(TEMPERATURES, key=found.__getitem__)
        self._model.temperature.fill_(self._temperature)
        report.chosen("temperature", self._temperature, TEMPERATURES)

    def build(self, dim: int, vectors: NDArray[np.float32], generator: torch.Generator) -> Any:
        """Return the untrained network."""
        from zslbench_methods._spotting import Spotter

        return Spotter(dim, vectors, self.how(), self._temperature, self._tokens, generator)

    def inform(self, model: Any, classes: Classes, unseen: Classes | None, space: Space) -> None:
        """Give the network the words of the training classes, if there are any."""
        if len(classes):
            model.inform(*self._words(classes, space))

    def _words(self, classes: Classes, space: Space) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        if self.params.words == "alone":
            rows = self._rows(classes, self.said(classes))
        else:
            said = [self.said_tokens(tokens) for tokens in classes.tokens or ()]
            rows = token_rows(self.info.name, said, len(classes), self.params.words == "all")
        words, real = padded([space.place(each) for each in rows])
        return torch.from_numpy(words), torch.from_numpy(real)

    def class_scores(self, model: Any, videos: Videos, space: Space, classes: Classes) -> FloatArray:
        """Return the scores of any classes, (n_videos, n_classes)."""
        import torch

        device = self.device
        told = (torch.from_numpy(space.place(classes.vectors)), *self._words(classes, space))
        vectors, words, real = (each.to(device) for each in told)
        size = max(1, min(SCORE_BATCH, _VALUES // (int(videos.lengths.max(initial=1)) * real.numel())))
        model.eval()
        parts = []
        with torch.no_grad(), precision(device, self.kind):
            for batch in videos.batches(size):
                rows = self._frames(batch.frames)
                scores = model.scores(rows, batch.lengths, videos.tokens, vectors, words, real)
                parts.append(scores.float().cpu().numpy())
        return np.concatenate(parts)

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Build the network anew and give it the weights."""
        self._rows, self._temperature = TextRows(), float(state["network.temperature"])
        self._tokens = int(state["network.tokens"])
        super().restore(state)


class BIKE(Spotting):
    """Saliency ``a_tc = mean_w softmax_t(<v_t, w> / temperature)`` over the words w of class c's name.

    The released code takes the token vectors of all positions of the prompted name for the words (``words=all``). By
    default they are the words of the class name, each encoded by itself by the class vectors' source.

    The equations are those of Wu et al. (CVPR 2023).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(dim=10, budget=BIKE.info.budget)
    >>> method = BIKE({"epochs": 1})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="bike",
        summary="video concept spotting: frames weighed by their likeness to the words of a class's name",
        citation="Wu, Wang, Luo, Wang, Yang, Ouyang. Bidirectional Cross-Modal Knowledge Exploration for Video "
        "Recognition with Pre-trained Vision-Language Models. CVPR, 2023.",
        budget=frozenset({Budget.CLASS_VECTORS, Budget.CLASS_TEXTS, Budget.VISION_LANGUAGE}),
        wants="sequences",
        reconstruction=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "parameter-free": {"adapter": False, "temperature": 0.01, "centre": False, "input_scale": "none"},
        "released": {
            "adapter": False, "temperature": 0.01, "centre": False, "input_scale": "none", "words": "all",
        },
        "attributes": {"attributes": "cosine"},
        "paper": {
            "adapter": False, "layers": 6, "temperature": 0.01, "centre": False, "input_scale": "none", "scale": 100.0,
            "lr": 5e-5, "weight_decay": 0.2, "epochs": 20,
        },
    }  # fmt: skip

    class Params(SpotterParams):
        """Parameters of BIKE.

        Attributes
        ----------
        attributes
            The branch of attributes: a sentence of what a video shows, encoded. ``cosine``: its cosine with the class
            vector. ``head``: the same behind a trained perceptron of each, as in BIKE's code. Scores are then shares.
        lexicon
            The phrases among which a video's attributes are: the ``attributes`` or the ``names`` of the seen classes.
        n_attributes
            Phrases of a sentence.
        share
            What the branch of attributes counts; that of frames counts the rest.
        """

        attributes: Annotated[Literal["none", "cosine", "head"], Choices()] = "none"
        lexicon: Annotated[Literal["attributes", "names"], Choices()] = "attributes"
        n_attributes: int = Field(5, ge=1)
        share: float = Field(0.3, ge=0, le=1)

    @property
    def expected_failed_checks(self) -> Mapping[str, str]:  # type: ignore[override]
        """Return that the branch of attributes looks at the other classes, where it is on."""
        if self.params.attributes == "none":
            return {}
        return {"class-company": "the branches' scores are made shares by a softmax over the classes on offer"}

    @property
    def trains(self) -> bool:
        """Whether a part is learnt, seen classes or videos are averaged or tell words, or the temperature is chosen."""
        params = self.params
        averages = params.centre or params.input_scale != "none"
        tells = params.attributes != "none"
        return self.how().trained or averages or tells or params.temperature is None

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Fit the branch of frames, then that of attributes, if there is one."""
        super().fit(seen, classes, target, report)
        params = self.params
        if params.attributes == "none":
            return
        if params.lexicon == "names":
            phrases = [" ".join(name_words(name)) for name in classes.names]
        else:
            phrases = [text for texts in classes.texts or () for text in descriptions(texts)]
        self._lexicon = tuple(dict.fromkeys(phrases))
        if params.attributes == "head":
            said = SeenVideos.from_arrays(self._said(seen, classes), labels=seen.labels)
            self._head = self._new_head()
            self._head.validation = self._given(classes)
            self._head.fit(said, classes, None, report)

    def _new_head(self) -> SentenceHead:
        shared = set(SentenceHead.Params.model_fields) - {"input_scale"}
        values = {name: value for name, value in self.params.model_dump().items() if name in shared}
        return SentenceHead({**values, "input_scale": "none"}, seed=self.seed)

    def _given(self, classes: Classes) -> Validation | None:
        """Return the family's validation videos as sentences, if there are some."""
        if (given := self.validation) is None:
            return None
        said = SeenVideos.from_arrays(self._said(given.videos, classes), labels=given.videos.labels)
        return Validation(said, given.classes)

    def _said(self, videos: Videos, classes: Classes) -> FloatArray:
        """Return the vector of each video's sentence, (n, d)."""
        vectors = encoded(self._rows, classes, self._lexicon)
        return encoded(self._rows, classes, sentences(videos, self._lexicon, vectors, self.params.n_attributes))

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the scores of the frames, (n_videos, n_classes), or the weighted sum of both branches' shares."""
        scores, params = super().score(videos, classes), self.params
        if params.attributes == "none":
            return scores
        said = self._said(videos, classes)
        if params.attributes == "head":
            cosines = self._head.score(Videos.from_arrays(said), classes)
        else:
            cosines = self._space.place(said) @ self._space.place(classes.vectors).T
        shares: NDArray[np.floating[Any]] = (1 - params.share) * softmax(scores) + params.share * softmax(cosines)
        return shares

    def state(self) -> dict[str, NDArray[Any]]:
        """Return that of the branch of frames, the lexicon, and that of the head."""
        state = super().state()
        if self.params.attributes != "none":
            state["lexicon"] = np.frombuffer("\n".join(self._lexicon).encode(), np.uint8)
        if self.params.attributes == "head":
            state |= {_HEAD + name: array for name, array in self._head.state().items()}
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Build both branches anew."""
        super().restore(state)
        if "lexicon" in state:
            self._lexicon = tuple(state["lexicon"].tobytes().decode().split("\n"))
        if self.params.attributes == "head":
            self._head = self._new_head()
            self._head.restore({n.removeprefix(_HEAD): a for n, a in state.items() if n.startswith(_HEAD)})
