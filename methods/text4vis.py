"""Text4Vis and ActionCLIP on fixed features: a temporal transformer over the frames, trained against class vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.method import Budget, Classes, MethodInfo, Report, SeenVideos, Target, Videos
from zslbench.ranges import Choices, Range
from zslbench_methods._training import TrainedMethod, TrainingParams
from zslbench_methods.nearest_text import require_joint

if TYPE_CHECKING:
    import torch

_RELEASED = {
    "layers": 6, "start": "normal", "centre": False, "input_scale": "none", "scale": 100.0, "lr": 5e-5,
    "weight_decay": 0.2,
}  # fmt: skip


class Text4Vis(TrainedMethod):
    """``score = cos(mean_t (v_t + T(v + p)_t), s)`` of frames v, a transformer T over them, and class vectors s.

    The equations are those of the released code of Wang et al. (ActionCLIP, 2021) and Wu et al. (Text4Vis, AAAI 2023),
    whose image towers are trained too. Here features are fixed.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(dim=10)
    >>> method = Text4Vis({"epochs": 1, "layers": 1})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="text4vis",
        summary="A temporal transformer over frames, trained against the class vectors of the frames' own space.",
        citation="Wu, Sun, Ouyang. Revisiting Classifier: Transferring Vision-Language Models for Video Recognition. "
        "AAAI, 2023.",
        budget=frozenset({Budget.CLASS_VECTORS, Budget.VISION_LANGUAGE}),
        wants="sequences",
    )
    useful_untrained = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {**_RELEASED, "epochs": 30},
        "actionclip": {**_RELEASED, "epochs": 50, "loss": "symmetric"},
    }
    test_task: ClassVar[Mapping[str, Any]] = {"dim": 10}  # as many as the made-up class vectors have

    class Params(TrainingParams):
        """Parameters.

        Attributes
        ----------
        loss
            ``cross-entropy``: of the softmax over all seen classes (Text4Vis). ``symmetric``: of both directions
            between a batch's videos and their classes (ActionCLIP).
        layers
            Layers of the temporal transformer; 0 for none.
        start
            ``identity``: the untrained network leaves frames as they are. ``normal``: the papers' initial weights.
        scale
            What cosines are multiplied by in the loss at the start; it is learnt.
        """

        lr: Annotated[float, Range(1e-6, 1e-3, log=True)] = Field(2e-5, gt=0)
        epochs: int = Field(10, ge=1)
        patience: int = Field(3, ge=1)
        loss: Annotated[Literal["cross-entropy", "symmetric"], Choices()] = "cross-entropy"
        layers: int = Field(1, ge=0)
        start: Literal["identity", "normal"] = "identity"
        scale: Annotated[float, Range(1, 100, log=True)] = Field(20.0, gt=0)

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Train, if that helps on held-out seen classes.

        Raises
        ------
        ZslbenchError
            Features and class vectors have different numbers of values.
        """
        require_joint(self.info.name, seen, classes)
        super().fit(seen, classes, target, report)

    def inputs(self, videos: Any) -> Any:
        """Return the videos without the patches of their frames."""
        if videos.tokens == 1:
            return videos
        frames = [videos.sequence(i)[:: videos.tokens] for i in range(len(videos))]
        if isinstance(videos, SeenVideos):
            return SeenVideos.from_arrays(frames, labels=videos.labels)
        return Videos.from_arrays(frames)

    def build(self, dim: int, vectors: NDArray[np.float32], generator: torch.Generator) -> Any:
        """Return the untrained network."""
        from zslbench_methods._temporal import TemporalHead

        params = self.params
        symmetric = params.loss == "symmetric"
        return TemporalHead(dim, vectors, params.layers, params.start, params.scale, symmetric, generator)
