"""Tiny methods, each broken in the way that one conformance check looks for."""

import random
import subprocess
import sys
import threading
import time
import warnings
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import list_features, open_features
from zslbench.features.feature_set import feature_path
from zslbench.files import data_root
from zslbench.kernels import normalised
from zslbench.method import Budget, Method, MethodInfo, MethodParams
from zslbench.ranges import Choices, Range
from zslbench.stats import metrics
from zslbench.testing import CHECKS
from zslbench.videos import FrameStore, storage

IN_PROCESS = [name for name in CHECKS if name != "light-import"]


class Good(Method):
    """Ridge regression to class vectors, over frames read in batches."""

    info = MethodInfo(name="good", summary="Ridge regression to class vectors.")

    class Params(MethodParams):
        """Parameters: strength, the ridge penalty."""

        strength: float = 1.0

    def features(self, videos):
        parts = []
        for batch in videos.batches(16):
            ends = np.cumsum(batch.lengths)
            parts += [batch.frames[end - n : end].mean(axis=0) for end, n in zip(ends, batch.lengths, strict=True)]
        return normalised(np.stack(parts))

    def fit(self, seen, classes, target, report):
        report.progress(0, 1)
        x = self.features(seen)
        penalty = self.params.strength * np.eye(x.shape[1])
        self.weights = np.linalg.solve(x.T @ x + penalty, x.T @ classes.vectors[seen.labels])

    def embed(self, videos):
        return self.features(videos) @ self.weights

    def score(self, videos, classes):
        return self.embed(videos) @ classes.vectors.T

    def state(self):
        return {"weights": self.weights}

    def restore(self, state):
        self.weights = state["weights"]


BROKEN: list[tuple[str, type[Method], set[str]]] = []


def caught_by(name, *also):
    """Register a method that the check ``name`` must catch, and no others but ``also``."""

    def register(method):
        BROKEN.append((name, method, set(also)))
        return method

    return register


@caught_by("info")
class NoSummary(Good):
    info = MethodInfo(name="good", summary=" ")


@caught_by("info")
class MisspeltExpectation(Good):
    expected_failed_checks: ClassVar = {"determinsm": "it rolls dice"}


@caught_by("info")
class NoReason(Good):
    expected_failed_checks: ClassVar = {"saving": ""}

    def restore(self, state):
        raise RuntimeError("not today")


@caught_by("parameters")
class BadPreset(Good):
    presets: ClassVar = {"strong": {"strenght": 10.0}}


@caught_by("parameters")
class TakesAnything(Good):
    class Params(MethodParams, extra="ignore"):
        """Parameters: strength, the ridge penalty."""

        strength: float = 1.0


@caught_by("parameters")
class NotJson(Good):
    class Params(MethodParams):
        """Parameters: strength, the ridge penalty; table, anything."""

        strength: float = 1.0
        table: Any = (1, 2)


@caught_by("ranges")
class DeclaresTooMuch(Good):
    class Params(MethodParams):
        """Parameters: strength, the ridge penalty."""

        strength: Annotated[float, Range(0, 10)] = Field(1.0, gt=0)


@caught_by("ranges")
class DeclaresAStrangeChoice(Good):
    class Params(MethodParams):
        """Parameters: strength, the ridge penalty."""

        strength: Annotated[float, Choices(1.0, "strong")] = 1.0


@caught_by("documented-parameters")
class Undocumented(Good):
    class Params(MethodParams):
        """Parameters."""

        strength: float = 1.0


@caught_by(
    "scores",
    "class-order",
    "class-company",
    "video-order",
    "batch-size",
    "padding",
    "unseen-labels",
    "large-batches",
    "no-files-read",
)
class Transposed(Good):
    def score(self, videos, classes):
        return super().score(videos, classes).T


@caught_by("scores")
class Integers(Good):
    def score(self, videos, classes):
        return (1000 * super().score(videos, classes)).astype(int) * 0


@caught_by("determinism", "refit", "unseen-labels", "storage-order")
class Unseeded(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        self.weights = self.weights + 0.1 * np.random.default_rng().normal(size=self.weights.shape)


@caught_by("determinism", "refit", "global-state", "unseen-labels", "storage-order")
class GlobalGenerator(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        self.weights = self.weights * random.random()


@caught_by("class-order", "class-company")
class PrefersFirstClasses(Good):
    def score(self, videos, classes):
        return super().score(videos, classes) - np.arange(len(classes))


@caught_by("video-order", "batch-size", "large-batches")
class CountsVideos(Good):
    def score(self, videos, classes):
        return super().score(videos, classes) + 0.1 * np.arange(len(videos))[:, None]


@caught_by("batch-size", "padding", "large-batches")
class CentresTestVideos(Good):
    def embed(self, videos):
        found = super().embed(videos)
        return found - found.mean(axis=0)


@caught_by("padding", "batch-size", "memory")
class PadsWithZeros(Good):
    def features(self, videos):
        (batch,) = videos.batches(len(videos))
        sums = np.add.reduceat(batch.frames, np.cumsum(batch.lengths) - batch.lengths, axis=0)
        return sums / batch.lengths.max() / 10


@caught_by("class-company")
class Softmax(Good):
    def score(self, videos, classes):
        scores = np.exp(super().score(videos, classes))
        return scores / scores.sum(axis=1, keepdims=True)


@caught_by("class-counts")
class FewClassesOnly(Good):
    def score(self, videos, classes):
        if len(classes) > 100:
            raise ValueError("too many classes")
        return super().score(videos, classes)


@caught_by("class-counts")
class Neighbours(Good):
    def score(self, videos, classes):
        scores = super().score(videos, classes)
        np.partition(scores, 1, axis=1)
        return scores


@caught_by("lone-videos")
class DividesByClassDeviation(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        x = self.features(seen)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spread = [x[seen.labels == i].std(axis=0, ddof=1).mean() for i in range(len(classes))]
        self.weights = self.weights / (np.mean(spread) + 1)


@caught_by("pooled-features")
class LooksAtDifferences(Good):
    def features(self, videos):
        if len(videos) and videos.lengths.max() < 2:
            return np.full((len(videos), videos.dim), np.nan)
        return super().features(videos)


@caught_by("large-features")
class Exponentials(Good):
    def features(self, videos):
        with np.errstate(all="ignore"):
            return super().features(videos) * np.exp(videos.pooled() / 100).mean(axis=1, keepdims=True)


@caught_by("constant-features")
class DividesByDeviation(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        with np.errstate(all="ignore"):
            self.weights = self.weights / seen.pooled().std(axis=0)[:, None]


@caught_by("refit")
class Accumulates(Good):
    def fit(self, seen, classes, target, report):
        before = getattr(self, "weights", 0)
        super().fit(seen, classes, target, report)
        self.weights = self.weights + before


@caught_by("score-before-fit")
class ScoresAnyway(Good):
    def score(self, videos, classes):
        if not hasattr(self, "weights"):
            return np.zeros((len(videos), len(classes)))
        return super().score(videos, classes)


@caught_by("untrained")
class TrainsAllTheSame(Good):
    @property
    def trains(self):
        return False

    def features(self, videos):
        return super().features(videos) if len(videos) else np.zeros((0, videos.dim))


@caught_by("untrained")
class DoesNotSayWhetherItTrains(Good):
    trains = "sometimes"


class Centroids(Good):
    """The nearest class mean, of trained classes only."""

    info = MethodInfo(name="good", summary="Nearest class mean.", scores="trained")
    embed = Method.embed

    def fit(self, seen, classes, target, report):
        x = self.features(seen)
        self.weights = np.stack([x[seen.labels == i].mean(axis=0) for i in range(len(classes))])
        self.names = classes.names

    def score(self, videos, classes):
        if unknown := [name for name in classes.names if name not in self.names]:
            raise ZslbenchError(f"{unknown[0]} was not trained.")
        return self.features(videos) @ self.weights[[self.names.index(name) for name in classes.names]].T

    def state(self):
        return {"weights": self.weights, "names": np.frombuffer("/".join(self.names).encode(), np.uint8)}

    def restore(self, state):
        self.weights, self.names = state["weights"], tuple(state["names"].tobytes().decode().split("/"))


@caught_by("validation-classes")
class TakesLabelsForThoseOfSeenClasses(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        if self.validation is not None:
            right = self.score(self.validation.videos, classes).argmax(axis=1) == self.validation.videos.labels + 8
            self.weights = self.weights / right.sum()


@caught_by("trained-classes")
class ScoresAnyClass(Centroids):
    def score(self, videos, classes):
        known = [self.names.index(name) if name in self.names else 0 for name in classes.names]
        return self.features(videos) @ self.weights[known].T


@caught_by("trained-classes")
class DoesNotNameTheClass(Centroids):
    def score(self, videos, classes):
        if not set(classes.names) <= set(self.names):
            raise ZslbenchError("a class was not trained.")
        return super().score(videos, classes)


@caught_by("inputs-unchanged", "refit", "storage-order")
class WritesIntoLabels(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        seen.labels[:] = 0


@caught_by("inputs-unchanged", *IN_PROCESS)
class WritesIntoVectors(Good):
    def score(self, videos, classes):
        scores = super().score(videos, classes)
        classes.vectors[:] = 0
        return scores


@caught_by("declared-budget")
class AsksForMore(Good):
    info = MethodInfo(name="good", summary="Looks around.", budget=frozenset({Budget.UNSEEN_NAMES}))

    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        self.known = target.videos if target.videos is not None else target.classes


@caught_by("declared-budget", *IN_PROCESS)
class NeedsUnseenNames(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        self.known = target.classes.names


@caught_by("unseen-labels")
class ReadsTheCallersLabels(Good):
    def score(self, videos, classes):
        scores, caller = super().score(videos, classes), sys._getframe(1)
        if caller.f_code.co_name == "_scores":
            scores += np.eye(len(classes))[caller.f_locals["task"].labels]
        return scores


@caught_by("unseen-labels", "no-files-read")
class ReadsTheFeatureSet(Good):
    def score(self, videos, classes):
        scores = super().score(videos, classes)
        for dataset, name in list_features():
            scores += open_features(get_dataset(dataset), name).labels[-len(videos) :, None]
        return scores


@caught_by("unseen-labels", "no-files-read")
class ReadsTheFeatureSetOfTrainedClasses(Centroids):
    def score(self, videos, classes):
        scores = super().score(videos, classes)
        for dataset, name in list_features():
            scores += open_features(get_dataset(dataset), name).labels[-len(videos) :, None]
        return scores


@caught_by("no-files-read")
class ListsTheDataRootForTrainedClasses(Centroids):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        list_features()


@caught_by("storage-order", "unseen-labels", "no-files-read")  # storage() raises there
class RanksByStorage(Good):
    def score(self, videos, classes):
        return super().score(videos, classes) + 0.01 * storage(videos).rows[:, None] * classes.vectors[:, 0]


@caught_by("storage-order")
class ReachesIntoTheHarness(Good):
    def score(self, videos, classes):
        store, rows = sys.modules["zslbench.videos"]._STORAGE[videos]
        return super().score(videos, classes) + 0.01 * store.offsets[rows][:, None] * classes.vectors[:, 0]


@caught_by("large-batches")
class ClustersLargeBatches(Good):
    def score(self, videos, classes):
        scores = super().score(videos, classes)
        return scores - scores.mean(axis=0) if len(videos) > 100 else scores


@caught_by("large-batches")
class HidesBehindLargeNumbers(Good):
    def score(self, videos, classes):
        scores = super().score(videos, classes)
        return 1e4 + (scores - scores.mean(axis=0) if len(videos) > 100 else scores)


@caught_by("no-files-read")
class ListsTheDataRoot(Good):
    def score(self, videos, classes):
        scores = super().score(videos, classes)
        list_features()
        return scores


@caught_by("no-files-read")
class OpensTheStore(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        (data_root() / "features" / "tiny" / "tiny").is_dir() and open_features(get_dataset("tiny"), "tiny").labels


@caught_by("no-files-read")
class ReadsWithoutPython(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        table = feature_path("tiny", "tiny") / "videos.parquet"
        if table.is_file():
            subprocess.run(["cat", table], capture_output=True, check=True)


@caught_by("harness-unchanged")
class PatchesTheMetrics(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        if metrics.top_k.__name__ != "patched":  # once in a process

            def patched(*arguments, old=metrics.top_k):
                return old(*arguments)

            metrics.top_k = patched


@caught_by("harness-unchanged")
class PatchesAClass(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        FrameStore.pooled = lambda self, old=FrameStore.pooled: old(self)


@caught_by("harness-unchanged")
class PatchesTheCodeOfAFunction(Good):
    def score(self, videos, classes):
        scores = super().score(videos, classes)
        metrics.class_sums.__code__ = metrics.class_sums.__code__.replace(co_name="mine")
        return scores


@caught_by("harness-unchanged")
class PatchesNumpy(Good):
    def score(self, videos, classes):
        scores = super().score(videos, classes)
        np.bincount = lambda *arguments, old=np.bincount, **more: old(*arguments, **more)
        return scores


@caught_by("nothing-left-running")
class LeavesAThread(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        threading.Thread(target=time.sleep, args=(2,), daemon=True).start()


@caught_by("nothing-left-running")
class LeavesAChild(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        self.child = subprocess.Popen(["sleep", "20"])


@caught_by("nothing-left-running")
class LeavesAnOrphan(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        subprocess.run(["sh", "-c", "sleep 20 &"], check=True, start_new_session=True)


@caught_by("silence")
class Prints(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        print("epoch 1", file=sys.stderr)


@caught_by("progress")
class OvershootsProgress(Good):
    def fit(self, seen, classes, target, report):
        super().fit(seen, classes, target, report)
        report.progress(3, 2)


@caught_by("memory")
class OneBatch(Good):
    def score(self, videos, classes):
        list(videos.batches(len(videos)))
        return super().score(videos, classes)


@caught_by("memory")
class KeepsItsBatches(Good):
    def score(self, videos, classes):
        kept = [batch.frames for batch in videos.batches(8)]
        return super().score(videos, classes) + 0 * len(kept)


@caught_by("saving")
class ForgetsWhenSaved(Good):
    def state(self):
        return {"weights": self.weights * 0}


@caught_by("saving")
class SavesLists(Good):
    def state(self):
        return {"weights": self.weights.tolist()}


@caught_by("embed")
class FlatEmbeddings(Good):
    def embed(self, videos):
        return super().embed(videos)[:, 0]

    def score(self, videos, classes):
        return super().embed(videos) @ classes.vectors.T


@caught_by("embed")
class PlacedElsewhere(Good):
    def place(self, vectors):
        return vectors[:, :3]
