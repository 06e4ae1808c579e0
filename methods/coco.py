"""CoCo-style alignment of videos with class labels and many descriptions, with a cycle between seen and unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.method import Budget, Classes, Method, MethodInfo, Report, SeenVideos, Target, Videos
from zslbench.ranges import Range
from zslbench.videos import FloatArray
from zslbench_methods._texts import TextRows, definition, descriptions
from zslbench_methods._training import PooledMethod, Space, unit, unseen_of
from zslbench_methods.nearest_text import require_joint

if TYPE_CHECKING:
    import torch


class CoCo(PooledMethod):
    """Class feature ``t = norm(A def + B mean_k desc_k)``, video ``v = norm(V x)``, trained with three losses.

    Class level: softmax cross entropy of ``<v, t_c>`` over the seen classes. Instance level: InfoNCE between a video
    and a description of its class. Cross action: the seen classes' features, rebuilt from the unseen ones' which are
    rebuilt from the seen ones', stay where they are. CoCo-*style*: its paper's equations could not be read.

    Examples
    --------
    >>> from zslbench.method import Report, Target
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(budget=CoCo.info.budget)
    >>> method = CoCo({"epochs": 1})
    >>> method.fit(task.train, task.seen_classes, Target(classes=task.test_classes), Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="coco",
        summary="CoCo-style: videos aligned with labels and descriptions of classes; seen-unseen cycle of class texts",
        citation="Zhou, Liang, Lin, Yang, Zheng. ActionHub: A Large-scale Action Video Description Dataset for "
        "Zero-shot Action Recognition. arXiv:2401.11654, 2024.",
        budget=frozenset({Budget.CLASS_VECTORS, Budget.CLASS_TEXTS, Budget.UNSEEN_NAMES}),
        reconstruction=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "joint": {"space": "joint", "lr": 1e-4, "temperature": 0.1, "cycle_weight": 1.0, "cycle_temperature": 0.1}
    }
    test_task: ClassVar[Mapping[str, Any]] = {"dim": 10}  # as many as the made-up class vectors have, for space=joint

    class Params(PooledMethod.Params):
        """Parameters of CoCo.

        Attributes
        ----------
        space
            ``learnt``: the maps start at random. ``joint``: features and class vectors are of one model of vision and
            language, and the maps start as the identity (budget ``vision-language-pretraining``).
        label
            What def is: the class ``vector``, or the ``definition``, the first of the class's texts.
        temperature
            Temperature of the class and the instance loss.
        instance_weight
            Weight of the instance loss; the class loss has weight 1.
        cycle_weight
            Weight of the cycle loss. Without it, the tested classes stay unknown in training.
        cycle_temperature
            Temperature of the softmaxes between seen and unseen classes.
        """

        space: Literal["learnt", "joint"] = "learnt"
        label: Literal["vector", "definition"] = "vector"
        temperature: Annotated[float, Range(0.03, 3, log=True)] = Field(0.3, gt=0)
        instance_weight: Annotated[float, Range(0, 2)] = Field(0.5, ge=0)
        cycle_weight: Annotated[float, Range(0, 1)] = Field(0.1, ge=0)
        cycle_temperature: float = Field(0.3, gt=0)

    embed = Method.embed  # a class lies where its texts say: its vector alone has no place among the videos

    @property
    def budget(self) -> frozenset[Budget]:
        """Return the budget: no unseen names without the cycle; vision-language pretraining in a joint space."""
        without = set() if self.params.cycle_weight else {Budget.UNSEEN_NAMES}
        return self.info.budget - without | ({Budget.VISION_LANGUAGE} if self.params.space == "joint" else set())

    @property
    def useful_untrained(self) -> bool:  # type: ignore[override]
        """Return whether the space is joint: untrained maps then compare videos with texts as they are."""
        return bool(self.params.space == "joint")

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Train; the held-out seen classes play the unseen ones while the number of epochs is chosen.

        Raises
        ------
        ZslbenchError
            The space is said to be joint, and features and class vectors have different numbers of values.
        """
        if self.params.space == "joint":
            require_joint("coco with space=joint", seen, classes)
        self._rows = TextRows()
        self._cycle = unseen_of(target, classes) is not None
        if self.params.cycle_weight and not self._cycle:
            report.warn("there are no unseen classes: trained without the cycle loss")
        super().fit(seen, classes, target, report)

    def build(self, dim: int, vectors: NDArray[np.float32], generator: torch.Generator) -> Any:
        """Return the three maps."""
        from zslbench_methods._coco import DualAlignment

        return DualAlignment(dim, vectors, self.params, generator)

    def inform(self, model: Any, classes: Classes, unseen: Classes | None, space: Space) -> None:
        """Give the network the texts of the training classes, and of those that play the unseen ones."""
        model.inform(*self._said(classes), self._said(unseen) if unseen is not None and self._cycle else None)

    def _said(self, classes: Classes) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the label vectors, (n, d), and the descriptions of each class, (k_c, d), of unit length."""
        import torch

        texts = classes.texts or ()
        described = self._rows(classes, [descriptions(each) for each in texts])
        if self.params.label == "vector":
            labels = unit(classes.vectors)
        else:
            labels = np.concatenate(self._rows(classes, [[definition(each)] for each in texts]))
        return torch.from_numpy(labels), [torch.from_numpy(each) for each in described]

    def class_scores(self, model: Any, videos: Videos, space: Space, classes: Classes) -> FloatArray:
        """Return the cosines of videos and class features."""
        import torch

        from zslbench_methods._coco import pool

        labels, described = self._said(classes)
        with torch.no_grad():
            placed = model.classes(labels.to(self.device), pool(described).to(self.device)).float().cpu().numpy()
        scores: FloatArray = self._embed(model, videos) @ placed.T
        return scores

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Build the network anew and give it the weights."""
        self._rows = TextRows()
        super().restore(state)
