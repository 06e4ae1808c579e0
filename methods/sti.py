"""STI: frames weighed by a class's description attributes, in time and by their patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from zslbench.errors import ZslbenchError
from zslbench.method import Budget, Classes, MethodInfo, Report, SeenVideos, Target, Videos
from zslbench.tokens import TokenVectors
from zslbench.videos import FloatArray
from zslbench_methods._texts import descriptions
from zslbench_methods._training import Space
from zslbench_methods.bike import SpotterParams, Spotting

if TYPE_CHECKING:
    from zslbench_methods._spotting import How


class STI(Spotting):
    """Weights of frames by the attributes w of class c: BIKE's saliency, and the best patch of each frame.

    ``f_tc = max_p max_w <g(P_tp), h(w)>`` enters the saliency S_tc as ``spatial`` says. Without patches in the features
    that part is off.

    The equations follow Kim, Kim and Lee (arXiv:2510.27255).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(dim=10, budget=STI.info.budget)
    >>> method = STI({"epochs": 1, "spatial": "none"})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="sti",
        summary="spatial and temporal interaction: frames weighed by a class's description attributes",
        citation="Kim, Kim, Lee. Enhancing Spatio-Temporal Zero-shot Action Recognition with Language-driven "
        "Description Attributes. arXiv:2510.27255, 2025.",
        budget=frozenset({Budget.CLASS_VECTORS, Budget.CLASS_TEXTS, Budget.VISION_LANGUAGE}),
        wants="sequences",
        reconstruction=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "learnt": {"space": "learnt", "lr": 1e-3, "scale": 2.0},
        "no-spatial": {"spatial": "none"},
        "no-temporal": {"temporal": False},
    }

    class Params(SpotterParams):
        """Parameters of STI.

        Attributes
        ----------
        n_attributes
            N_a: how many of a class's attributes count, the first ones of its texts behind the definition.
        spatial
            How f enters: ``none``, ``mul`` (S f), ``add`` (S + f / T) or ``gate`` (S sigmoid(a f + b), a and b learnt).
        temporal
            Whether S is the saliency, or 1 / T for each of the T frames.
        space
            ``joint``: features and class vectors are of one model of vision and language. ``learnt``: a linear map
            takes frames to the class vectors, from a random start; the temperature is then 0.1 unless it is given.
        """

        n_attributes: int = Field(8, ge=1)
        spatial: Literal["none", "mul", "add", "gate"] = "mul"
        temporal: bool = True
        space: Literal["joint", "learnt"] = "joint"

    @property
    def budget(self) -> frozenset[Budget]:
        """Return the budget, without vision-language pretraining where the space is learnt."""
        return self.info.budget - ({Budget.VISION_LANGUAGE} if self.params.space == "learnt" else set())

    @property
    def useful_untrained(self) -> bool:  # type: ignore[override]
        """Return whether the space is joint: frames are then compared with texts as they are."""
        return bool(self.params.space == "joint")

    def how(self) -> How:
        """Return the parts of the network."""
        params = self.params
        how = replace(super().how(), joint=params.space == "joint", temporal=params.temporal)
        return replace(how, spatial=params.spatial) if self._tokens > 1 else how

    def said(self, classes: Classes) -> Sequence[Sequence[str]]:
        """Return the attributes of each class."""
        return [descriptions(texts)[: self.params.n_attributes] for texts in classes.texts or ()]

    def said_tokens(self, tokens: Sequence[TokenVectors]) -> Sequence[TokenVectors]:
        """Return the tokens of the attributes."""
        return descriptions(tokens[1:])[: self.params.n_attributes]

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Fit as BIKE; the spatial part is off, and a warning says so, where frames have no patches."""
        if self.params.spatial != "none" and seen.tokens == 1:
            report.warn("the features have no patches (tokens=patch of the backbone clip): the spatial part is off")
        super().fit(seen, classes, target, report)

    def class_scores(self, model: Any, videos: Videos, space: Space, classes: Classes) -> FloatArray:
        """Return the scores of any classes, (n_videos, n_classes).

        Raises
        ------
        ZslbenchError
            The training videos had patches, which the spatial part looks at, and these videos have none.
        """
        if model.how.spatial != "none" and videos.tokens == 1:
            raise ZslbenchError("sti was trained on frames with patches and cannot score frames without; keep them.")
        return super().class_scores(model, videos, space, classes)
