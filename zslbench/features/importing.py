"""Import features of other programs: check and stream them, and write them completely or not at all."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.features._readers import Source, open_source
from zslbench.features._video_table import VideoTable, read_videos, refuse, table_of_names
from zslbench.features.feature_set import SIMULATED, FeatureSet, FeatureWriter, Manifest, feature_path, features_root
from zslbench.features.twins import twin_notes
from zslbench.files import check_name, new_directory
from zslbench.videos import IntArray

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FeatureFiles:
    """The files that features are imported from, and how to read them.

    Attributes
    ----------
    source
        A file in one of :data:`zslbench.features._readers.FORMATS`: (n, D) pooled, (n, T, D), or one array per video.
    videos_csv
        Columns ``video``, ``class`` and, if known, ``group`` and ``official``; one row per video, in the order of the
        features' rows. Not needed if ``source`` has one array per video in one folder per class.
    key, transpose
        See :func:`zslbench.features._readers.open_source`.
    lengths_column
        Column of ``videos_csv`` with the number of frames of a padded sequence.
    trim_zeros
        Whether to drop all-zero frames from the end of each sequence.
    dtype
        Type to store; ``auto`` keeps float16 and converts all other types to float32.

    Examples
    --------
    >>> files = FeatureFiles(Path("vgg16.npy"), videos_csv=Path("videos.csv"), dtype="float16")
    """

    source: Path
    videos_csv: Path | None = None
    key: str | None = None
    transpose: bool | None = None
    lengths_column: str | None = None
    trim_zeros: bool = False
    dtype: Literal["auto", "float16", "float32"] = "auto"


@dataclass(frozen=True)
class Provenance:
    """The origin of features; the fields are those of :class:`~zslbench.features.feature_set.Manifest`.

    Examples
    --------
    Import random features of one video per class:

    >>> from zslbench import get_dataset
    >>> dataset = get_dataset("hmdb51")
    >>> np.save("random.npy", np.random.default_rng(0).normal(size=(51, 8)))
    >>> rows = ["video,class", *(f"video{i},{name}" for i, name in enumerate(dataset.classes))]
    >>> np.savetxt("videos.csv", rows, fmt="%s")
    >>> files = FeatureFiles(Path("random.npy"), Path("videos.csv"))
    >>> manifest, _ = import_features(dataset, "random", files, Provenance("none", trained_on=("nothing",)))
    >>> manifest.n_videos, manifest.dim, manifest.dtype
    (51, 8, 'float32')
    """

    extractor: str
    trained_on: tuple[str, ...] = ()
    weights_digest: str | None = None
    pca_fit: Literal["all", "seen"] | None = None
    reader: str | None = None
    frame_indices: str | None = None
    note: str = ""
    tokens: int = 1


def import_features(
    dataset: Dataset,
    name: str,
    files: FeatureFiles,
    provenance: Provenance,
    *,
    replace: bool = False,
    progress: Progress = lambda done, total: None,
) -> tuple[Manifest, tuple[str, ...]]:
    """Import a feature file as the feature set ``name`` of ``dataset``.

    Parameters
    ----------
    replace
        Whether to replace an existing feature set of that name, once the new one is complete.
    progress
        Called with (videos done, all videos).

    Returns
    -------
    tuple
        The written manifest, and sentences that the user should read.

    Raises
    ------
    ZslbenchError
        The input is wrong. The message names the first wrong videos; nothing has been written.
    """
    _check_request(dataset, name, provenance.extractor, replace)
    trained_on = tuple(sorted(set(provenance.trained_on)))
    table = None if files.videos_csv is None else read_videos(dataset, files.videos_csv, files.lengths_column)
    videos = table.ids if table else None
    with open_source(files.source, key=files.key, transpose=files.transpose, videos=videos) as opened:
        if table is None:
            table = table_of_names(dataset, files.source, opened.names or ())
        order = _order(opened, table)
        frames = _Frames(opened, table, order, files.dtype, files.trim_zeros)
        frames.check_room()
        with (
            new_directory(feature_path(dataset.name, name), replace=replace) as work,
            closing(FeatureWriter(work, opened.dim, frames.dtype.name)) as writer,
        ):
            frames.write(writer, order, progress)
            manifest = writer.finish(
                dataset=dataset.name,
                name=name,
                classes_digest=dataset.digest,
                kind=opened.kind,
                source=files.source.name,
                created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                **asdict(provenance) | {"extractor": provenance.extractor.strip(), "trained_on": trained_on},
            )
    notes = frames.notes()
    del opened, frames  # they keep torch's map of the file in memory, and the search for copies needs room
    return manifest, (*notes, *twin_notes(FeatureSet(feature_path(dataset.name, name), dataset)))


def _check_request(dataset: Dataset, name: str, extractor: str, replace: bool) -> None:
    check_name(name, "a feature set")
    if name == SIMULATED:
        raise ZslbenchError(f"{name!r} is reserved for the built-in simulated features; choose another name.")
    if not extractor.strip():
        raise ZslbenchError("the extractor is empty; name what made the features, for example 'vgg16-fc6'.")
    if feature_path(dataset.name, name).exists() and not replace:
        raise ZslbenchError(
            f"{dataset.name} already has a feature set {name!r}; give --replace to replace it, or choose another name."
        )


def _order(source: Source, table: VideoTable) -> IntArray | None:
    """Return the indices of the table's videos in ``source``, or None if they are its rows."""
    if source.names is None:
        _check_counts(source, table)
        return None
    places: dict[str, int] = {}
    twice = []
    for i, name in enumerate(source.names):
        video = name.rpartition("/")[2]
        if places.setdefault(video, i) != i:
            twice.append(f"{video} is both {source.names[places[video]]} and {name}")
    if twice:
        refuse(source.path.name, "video", twice, "keep one array per video")
    missing = [f"{video} ({where})" for video, where in zip(table.ids, table.where, strict=True) if video not in places]
    if missing:
        names = ", ".join(list(places)[:3])
        refuse(source.path.name, "missing video", missing, f"compare the names; it has {names}, ...")
    known = set(table.ids)
    extra = [video for video in places if video not in known]
    if extra:
        refuse(source.path.name, "array that the CSV does not list", extra, "add rows for them, or remove them")
    return np.array([places[video] for video in table.ids], dtype=np.int64)


def _check_counts(source: Source, table: VideoTable) -> None:
    n, rows = len(source.lengths), len(table.ids)
    if n == rows:
        return
    hint = ""
    if source.kind == "pooled" and n > rows and n % rows == 0:
        hint = f" If they are {n // rows} frames per video, save them as ({rows}, {n // rows}, {source.dim})."
    raise ZslbenchError(
        f"{source.path.name} contains {n:,} videos, but {table.path.name} has {rows:,} rows; "
        f"give one row per video, in the same order.{hint}"
    )


@dataclass
class _Frames:
    """Cut, check, convert and count the frames between a source and a writer."""

    source: Source
    table: VideoTable
    order: IntArray | None
    wanted: str
    trim_zeros: bool
    trimmed_videos: int = 0
    trimmed_frames: int = 0
    zero_ends: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        auto = "float16" if self.source.dtype == np.float16 else "float32"
        self.dtype = np.dtype(auto if self.wanted == "auto" else self.wanted)
        self.lengths = self.source.lengths if self.order is None else self.source.lengths[self.order]
        self._check_lengths()

    def _check_lengths(self) -> None:
        table, name = self.table, self.source.path.name
        if self.source.kind == "pooled" and (self.trim_zeros or table.lengths is not None):
            raise ZslbenchError(f"{name} contains pooled features, which have no frames to cut; leave out that option.")
        empty = [f"{table.ids[i]} ({table.where[i]})" for i in np.flatnonzero(self.lengths == 0)]
        if empty:
            refuse(name, "video without a frame", empty, "extract them again, or leave them out")
        if table.lengths is not None:
            over = np.flatnonzero(table.lengths > self.lengths)
            told = [f"{table.where[i]} has {table.lengths[i]} of {self.lengths[i]} frames" for i in over]
            if told:
                refuse(table.path.name, "length larger than the sequence", told, "fix that column")

    def check_room(self) -> None:
        """Raise if the disk is too small, before minutes of copying fill it."""
        root = features_root()
        lengths = self.lengths if self.table.lengths is None else self.table.lengths
        needed = int(lengths.sum()) * self.source.dim * self.dtype.itemsize
        free = shutil.disk_usage(next(place for place in (root, *root.parents) if place.exists())).free
        if needed > free and not self.trim_zeros:
            raise ZslbenchError(
                f"the features need {needed / 1e9:.1f} GB, but {root} has {free / 1e9:.1f} GB left; "
                f"free some space, or set ZSLBENCH_DATA_ROOT to a folder on a larger disk."
            )

    def write(self, writer: FeatureWriter, order: IntArray | None, progress: Progress) -> None:
        table, at, total = self.table, 0, len(self.lengths)
        progress(0, total)
        for n, block in self.source.blocks(order):
            here = slice(at, at + n)
            frames, lengths = self._cut(block, here)
            writer.append(
                table.ids[here],
                table.classes[here],
                table.groups[here],
                table.official[here],
                lengths,
                self._convert(frames, lengths, here),
            )
            at += n
            progress(at, total)

    def _cut(self, frames: NDArray[Any], here: slice) -> tuple[NDArray[Any], IntArray]:
        lengths = self.lengths[here]
        if self.table.lengths is not None:
            frames, lengths = _keep(frames, lengths, self.table.lengths[here])
        if self.trim_zeros:
            kept = _without_zero_end(frames, lengths)
            self._refuse_some(kept == 0, here, "video of zeros only", "extract them again, or leave them out")
            self.trimmed_videos += int((kept < lengths).sum())
            self.trimmed_frames += int((lengths - kept).sum())
            return _keep(frames, lengths, kept)
        zero = ~frames[np.cumsum(lengths) - 1].any(axis=1)
        self.zero_ends += [self.table.ids[here.start + i] for i in np.flatnonzero(zero)]
        return frames, lengths

    def _convert(self, frames: NDArray[Any], lengths: IntArray, here: slice) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            stored = frames.astype(self.dtype, copy=False)
        if not np.isfinite(stored).all():
            remedy = "store them as float32 with --dtype float32" if self.dtype == np.float16 else "scale them down"
            self._refuse_infinite(frames, lengths, here, "with NaN or infinite values", "extract them again")
            self._refuse_infinite(stored, lengths, here, f"too large for {self.dtype}", remedy)
        return stored

    def _refuse_infinite(self, frames: NDArray[Any], lengths: IntArray, here: slice, what: str, remedy: str) -> None:
        wrong = ~np.isfinite(frames).all(axis=1)
        starts = np.cumsum(lengths) - lengths
        bad = np.logical_or.reduceat(wrong, starts)  # needs a frame in every video, which _check_lengths ensures
        some = np.flatnonzero(bad)[:3].tolist()
        first = {i: int(np.argmax(wrong[starts[i] : starts[i] + lengths[i]])) + 1 for i in some}
        pooled = self.source.kind == "pooled"
        details = {} if pooled else {i: f", frame {frame} of {lengths[i]}" for i, frame in first.items()}
        self._refuse_some(bad, here, f"video {what}", remedy, details)

    def _refuse_some(
        self, bad: NDArray[Any], here: slice, what: str, remedy: str, details: Mapping[int, str] | None = None
    ) -> None:
        table, details = self.table, details or {}
        named = [
            f"{table.ids[here.start + i]} ({table.where[here.start + i]}){details.get(i, '')}"
            for i in np.flatnonzero(bad).tolist()
        ]
        if named:
            refuse(self.source.path.name, what, named, remedy, more_may_follow=here.stop < len(self.lengths))

    def notes(self) -> Iterable[str]:
        """Yield sentences that the user should read."""
        yield from (note for note in (self.source.note, *self.table.notes) if note)
        if self.source.dtype.kind == "f" and self.source.dtype.itemsize > self.dtype.itemsize:
            yield f"the file has {self.source.dtype.name}; stored as {self.dtype}"
        if self.trimmed_frames:
            yield f"dropped {self.trimmed_frames:,} all-zero frames from the end of {self.trimmed_videos:,} videos"
        elif self.zero_ends:
            pooled = self.source.kind == "pooled"
            what = "are zeros only: check that they were extracted" if pooled else (
                "end in all-zero frames; if these are padding, import again with --trim-zeros or --lengths-column"
            )  # fmt: skip
            yield f"{len(self.zero_ends):,} videos (the first is {self.zero_ends[0]}) {what}"


def _keep(frames: NDArray[Any], lengths: IntArray, kept: IntArray) -> tuple[NDArray[Any], IntArray]:
    """Return the first ``kept`` frames of each video."""
    if np.array_equal(lengths, kept):
        return frames, lengths
    place = np.arange(len(frames)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return frames[place < np.repeat(kept, lengths)], kept


def _without_zero_end(frames: NDArray[Any], lengths: IntArray) -> IntArray:
    """Return each video's length up to its last frame that is not all zeros."""
    starts = np.cumsum(lengths) - lengths
    place = np.arange(1, len(frames) + 1) - np.repeat(starts, lengths)
    return np.maximum.reduceat(np.where(frames.any(axis=1), place, 0), starts)
