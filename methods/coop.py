"""CoOp: context vectors before the class name, learnt through the frozen text tower that made the class vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.errors import ZslbenchError
from zslbench.method import Budget, Classes, MethodInfo, Report, SeenVideos, Target, TokenEncoder, Videos
from zslbench.ranges import Choices, Range
from zslbench.videos import FloatArray
from zslbench_methods._training import PooledMethod, Space, TrainingParams, precision
from zslbench_methods.nearest_text import require_joint

if TYPE_CHECKING:
    import torch

    from zslbench_methods._prompts import Prompts


class CoOp(PooledMethod):
    """``score = cos(mean_t v_t, g(c_1, ..., c_M, name))`` with a frozen text tower g and learnt token embeddings c.

    The context is the same for all classes, so it serves classes that were never seen. Zhou et al. call this unified.

    The equations are those of Zhou et al., IJCV 2022, and of their released code.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(dim=10, tower=True)
    >>> method = CoOp({"epochs": 1})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="coop",
        summary="Context vectors of the prompt, learnt through the frozen text tower of the class vectors.",
        citation="Zhou, Yang, Loy, Liu. Learning to Prompt for Vision-Language Models. IJCV, 2022.",
        budget=frozenset({Budget.CLASS_VECTORS, Budget.VISION_LANGUAGE}),
        tower=True,
    )
    useful_untrained = True
    test_task: ClassVar[Mapping[str, Any]] = {"dim": 10}  # as many as the made-up class vectors have
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "random": {"words": "", "n_context": 16},
    }

    class Params(TrainingParams):
        """Parameters.

        Attributes
        ----------
        words
            The context at the start, the embeddings of these words' tokens. Without words it is drawn from N(0, 0.02).
        n_context
            M, the number of context vectors, if there are no words.
        position
            ``end``: the class name follows the context. ``middle``: it stands behind the first half of it.
        scale
            What cosines are multiplied by in the loss: CLIP's is 100.
        """

        lr: Annotated[float, Range(1e-5, 1e-2, log=True)] = Field(1e-4, gt=0)
        batch_size: int = Field(256, ge=1)  # a step costs what the text tower costs, however many videos it has
        epochs: int = Field(10, ge=1)
        min_batches: int = Field(10, ge=1)
        patience: int = Field(3, ge=1)
        centre: bool = False
        input_scale: Literal["none", "global", "standardise", "minmax"] = "none"
        words: str = "a photo of a"
        n_context: int = Field(16, ge=1)
        position: Annotated[Literal["end", "middle"], Choices()] = "end"
        scale: Annotated[float, Range(5, 200, log=True)] = Field(100.0, gt=0)

    _encoder: TokenEncoder | None = None

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Learn the context, if that helps on held-out seen classes.

        Raises
        ------
        ZslbenchError
            Features and class vectors have different numbers of values, or the class vectors have no text tower.
        """
        require_joint(self.info.name, seen, classes)
        self._encoder = encoder = self._opened(classes)
        self._context = encoder.rows(encoder.ids([self._words], ends=False)[0]).cpu()
        self._weights = encoder.weights
        super().fit(seen, classes, target, report)

    @property
    def _words(self) -> str:
        """The words of the context; random vectors stand where ``X X ... X`` would, as in the released code."""
        return self.params.words or " ".join(["X"] * self.params.n_context)

    def _opened(self, classes: Classes) -> TokenEncoder:
        if classes.tower is None:
            raise ZslbenchError(
                f"{self.info.name} learns a prompt through the text tower of the class vectors, and got none; run it "
                f"with class vectors that 'zslbench semantics import NAME --model MODEL' makes."
            )
        return classes.tower()

    def build(self, dim: int, vectors: FloatArray, generator: torch.Generator) -> Any:
        """Return the network with the context as it starts."""
        import torch

        from zslbench_methods._prompts import PromptNetwork

        context = self._context.clone()
        if not self.params.words:
            torch.nn.init.normal_(context, std=0.02, generator=generator)
        return PromptNetwork(vectors, context, self._weights, self.params.scale)

    def inform(self, model: Any, classes: Classes, unseen: Classes | None, space: Space) -> None:
        """Give the network the encoder and the prompts of the training classes, and of no others."""
        model.inform(self._encoder, self._prompts(self._encoder, classes), space.mean)

    def _prompts(self, encoder: Any, classes: Classes) -> Prompts:
        from zslbench_methods._prompts import class_prompts

        return class_prompts(encoder, self._words, classes.phrases or classes.names, self.params.position)

    def class_scores(self, model: Any, videos: Videos, space: Space, classes: Classes) -> FloatArray:
        """Return the cosines with the prompts of any classes, (n_videos, n_classes).

        Raises
        ------
        ZslbenchError
            The text tower is not that of the training.
        """
        self._encoder = encoder = self._encoder or self._opened(classes)
        if encoder.weights != self._weights:
            raise ZslbenchError(
                f"this {self.info.name} was trained through a text tower with the weights {self._weights[:12]}, and "
                f"that of the class vectors has {encoder.weights[:12]}; put the former back, or train again."
            )
        with precision(self.device, self.kind):
            vectors = model.scored_classes(encoder, self._prompts(encoder, classes))
        scores: FloatArray = self._embed(model, videos) @ vectors.T
        return scores

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Build the network anew and give it the context; the text tower comes with the classes to score."""
        import torch

        self._encoder = None
        self._context = torch.from_numpy(np.array(state["network.context"]))
        self._weights = bytes(state["network.weights"]).decode()
        super().restore(state)
