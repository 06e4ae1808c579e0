"""Ensembles of feature sets, such as ``captions+clip``: the videos that all of them have."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np

from zslbench.datasets.video_ids import video_key
from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet, Manifest
from zslbench.features.transforms import Projection
from zslbench.videos import FloatArray, FrameStore, IntArray

ENSEMBLE_CITATION = (
    "Auckenthaler, Carey and Lloyd-Thomas, Score Normalization for Text-Independent Speaker Verification Systems, "
    "Digital Signal Processing 2000; Kittler, Hatef, Duin and Matas, On Combining Classifiers, TPAMI 1998"
)
PLUS = "+"  # between the names of an ensemble's feature sets; no feature set has it in its name


def part_names(name: str) -> tuple[str, ...]:
    """Return the names of an ensemble's feature sets, sorted; the name itself if it is that of one set.

    Raises
    ------
    ZslbenchError
        A name is empty or occurs twice.

    Examples
    --------
    >>> part_names("clip+captions"), part_names("clip")
    (('captions', 'clip'), ('clip',))
    """
    names = sorted(name.split(PLUS))
    if len(names) > 1 and (not all(names) or len(set(names)) < len(names)):
        raise ZslbenchError(f"--features {name} does not name different feature sets; write each name once, as in a+b.")
    return tuple(names)


def single(features: FeatureSet) -> FeatureSet:
    """Return a feature set that is no ensemble.

    Raises
    ------
    ZslbenchError
        It is one.
    """
    if len(features.parts) > 1:
        names = ", ".join(part.manifest.name for part in features.parts)
        raise ZslbenchError(
            f"{features.dataset.name}@{features.manifest.name} is an ensemble, which only 'zslbench run' takes; name "
            f"one feature set: {names}."
        )
    return features


class EnsembleFeatures(FeatureSet):
    """The videos that several feature sets of one dataset have, in the order of the first set.

    It has no frames: each set of :attr:`parts` has its own, of these videos only.

    Raises
    ------
    ZslbenchError
        No video is in all sets, or two sets put one into different classes, source groups or official lists.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> from zslbench.features.catalog import derive_features, open_features
    >>> from zslbench.features.simulated import simulate
    >>> dataset = get_dataset("hmdb51")
    >>> parent = simulate(dataset, name="small", videos_per_class=2)
    >>> derived = derive_features(dataset, "small", "small-pca8", k=8, fit="seen")
    >>> ensemble = open_features(dataset, "small-pca8+small")
    >>> ensemble.title, [part.manifest.dim for part in ensemble.parts], ensemble.notices
    ('hmdb51@small+small-pca8', [128, 8], ())
    """

    def __init__(self, parts: Sequence[FeatureSet]) -> None:
        first, *others = parts
        rows = _common_rows(parts)
        self.dataset = first.dataset
        self._projected = None
        self.ids = [first.ids[i] for i in rows[0]]
        self.groups = [first.groups[i] for i in rows[0]]
        self.official_columns = {n: [of[i] for i in rows[0]] for n, of in first.official_columns.items()}
        self.official = self.official_columns[1]
        self.labels, self.lengths = first.labels[rows[0]], first.lengths[rows[0]]
        for other, of_other in zip(others, rows[1:], strict=True):
            self._check_agrees(first, other, of_other)
        self._parts = tuple(_Part(part, of, self.ids) for part, of in zip(parts, rows, strict=True))
        self.path = first.path.parent / PLUS.join(part.manifest.name for part in parts)
        self.manifest = _manifest(self._parts, self.path.name)

    def _check_agrees(self, first: FeatureSet, other: FeatureSet, rows: IntArray) -> None:
        """Refuse another set that says something else of one of the videos."""
        numbers = sorted({*first.official_columns, *other.official_columns})
        none = [""] * len(rows)
        theirs = {n: [other.official_columns[n][i] for i in rows] for n in other.official_columns}
        told = {
            "classes": (self.labels.tolist(), other.labels[rows].tolist()),
            "source groups": (self.groups, [other.groups[i] for i in rows]),
            **{f"official lists {n}": (self.official_columns.get(n, none), theirs.get(n, none)) for n in numbers},
        }
        for what, (ours, of_other) in told.items():
            if apart := [i for i, pair in enumerate(zip(ours, of_other, strict=True)) if pair[0] != pair[1]]:
                raise ZslbenchError(
                    f"{first.title} and {other.title} have different {what} of {len(apart):,} videos (such as "
                    f"{self.ids[apart[0]]}), so they would not have the same splits; import one of them again."
                )

    @property
    def parts(self) -> tuple[FeatureSet, ...]:
        """The feature sets, with the common videos only."""
        return self._parts

    @property
    def notices(self) -> tuple[str, ...]:
        """A sentence for the user about videos that only some of the sets have; nothing if all have the same ones."""
        more = [(part.manifest.name, part.manifest.n_videos - len(self.ids)) for part in self.parts]
        left_out = ", ".join(f"{count:,} more of {name}" for name, count in more if count)
        if not left_out:
            return ()
        return (
            f"{self.manifest.name} runs on the {len(self.ids):,} videos that all its feature sets have; {left_out} are "
            f"left out.",
        )

    @cached_property
    def store(self) -> FrameStore:
        """Nothing, for the parts have the frames.

        Raises
        ------
        ZslbenchError
            Always.
        """
        single(self)
        raise AssertionError("an ensemble has several parts")

    def check_unchanged(self) -> None:
        """Check the files of all parts against their checksums, unless their size and time are those of the last."""
        for part in self.parts:
            part.check_unchanged()

    def verify(self) -> None:
        """Check every file of all parts against its checksum."""
        for part in self.parts:
            part.verify()


class _Part(FeatureSet):
    """The videos ``rows`` of a feature set, with other ids; the manifest stays that of the whole set."""

    def __init__(self, whole: FeatureSet, rows: IntArray, ids: list[str]) -> None:
        order = np.argsort(rows)  # that of the whole set, as when it is run by itself
        rows = rows[order]
        self.path, self.dataset, self.manifest = whole.path, whole.dataset, whole.manifest
        self._whole, self._rows, self._projected = whole, rows, None
        self.ids = [ids[i] for i in order]
        self.groups = [whole.groups[i] for i in rows]
        self.official_columns = {n: [of[i] for i in rows] for n, of in whole.official_columns.items()}
        self.official = self.official_columns[1]
        self.labels, self.lengths = whole.labels[rows], whole.lengths[rows]

    @property
    def origin(self) -> tuple[FeatureSet, IntArray]:
        return self._whole, self._rows

    def projection(self, rows: IntArray) -> Projection | None:
        return self._whole.projection(self._rows[rows])

    def projected(self, projection: Projection | None) -> FrameStore:
        return self._kept(self._whole.projected(projection))

    @cached_property
    def store(self) -> FrameStore:
        return self._kept(self._whole.store)

    def _kept(self, store: FrameStore) -> FrameStore:
        if len(self._rows) == len(store.lengths):
            return store
        if "of an ensemble" not in store.cache:  # no other ensemble reads this store: each opens its own
            store.cache["of an ensemble"] = _KeptVideos(store, self._rows)
        kept: FrameStore = store.cache["of an ensemble"]
        return kept

    def check_unchanged(self) -> None:
        self._whole.check_unchanged()

    def verify(self) -> None:
        self._whole.verify()


class _KeptVideos(FrameStore):
    """The videos ``rows`` of another store."""

    def __init__(self, parent: FrameStore, rows: IntArray) -> None:
        super().__init__(parent.frames, parent.offsets[rows], parent.lengths[rows], parent.tokens)
        self._parent, self._rows = parent, rows

    @property
    def dim(self) -> int:
        return self._parent.dim

    def _pool(self) -> FloatArray:
        return self._parent.pooled()[self._rows]

    def gather(self, rows: IntArray) -> FloatArray:
        return self._parent.gather(self._rows[rows])


def _common_rows(parts: Sequence[FeatureSet]) -> list[IntArray]:
    """Return the rows of the videos that all sets have, (n,) for each set, in the order of the first one."""
    distinct = all(len(set(map(video_key, part.ids))) == len(part.ids) for part in parts)
    spelled = video_key if distinct else str  # classes of a dataset of one's own may each have a video 1.avi
    places = [{spelled(video): row for row, video in enumerate(part.ids)} for part in parts]
    common = [key for key in places[0] if all(key in place for place in places[1:])]
    if not common:
        names = " and ".join(part.title for part in parts)
        raise ZslbenchError(f"no video is in {names} (ids such as {parts[0].ids[0]} and {parts[-1].ids[0]}); "
                            f"import the features with the same ids.")  # fmt: skip
    return [np.array([place[key] for key in common], dtype=np.int64) for place in places]


def _manifest(parts: Sequence[FeatureSet], name: str) -> Manifest:
    """Return what is known of an ensemble; its digest covers those of its sets, as its files."""
    each = [part.manifest for part in parts]
    steps = {m.pca_fit for m in each}
    fitted: Literal["all", "seen"] | None = "all" if "all" in steps else "seen" if "seen" in steps else None
    return Manifest(
        dataset=each[0].dataset, name=name, classes_digest=each[0].classes_digest,
        kind="sequences" if any(m.kind == "sequences" for m in each) else "pooled",
        dim=sum(m.dim for m in each), dtype="float32", n_videos=len(parts[0].ids),
        n_frames=sum(int(part.lengths.sum()) for part in parts),
        extractor="ensemble of " + f" {PLUS} ".join(dict.fromkeys(m.extractor for m in each)),
        trained_on=tuple(sorted({data for m in each for data in m.trained_on})), pca_fit=fitted,
        simulated=any(m.simulated for m in each), source="an ensemble of feature sets",
        videos_digest=digest([m.videos_digest for m in each]), files={m.name: m.digest for m in each},
        tokens=max(m.tokens for m in each),
    )  # fmt: skip
