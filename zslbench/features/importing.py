"""Import features of other programs: check and stream them, and write them completely or not at all."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.video_names import named_class
from zslbench.errors import ZslbenchError, some
from zslbench.features._axes import Axes
from zslbench.features._list_files import read_listed, table_of_rows
from zslbench.features._matching import match, named_rows
from zslbench.features._readers import Source, open_source
from zslbench.features._video_table import VideoTable, class_notes, refuse, table_of_names
from zslbench.features.feature_set import SIMULATED, FeatureSet, FeatureWriter, Manifest, feature_path, features_root
from zslbench.features.same_set import same_set_notes
from zslbench.features.twins import twin_notes
from zslbench.files import check_name, new_directory
from zslbench.videos import IntArray

Progress = Callable[[int, int], None]
_MOST_NAMED = 20  # videos that the note of a feature set names


@dataclass(frozen=True)
class FeatureFiles:
    """The files that features are imported from, and how to read them.

    Attributes
    ----------
    source
        A file in one of :data:`zslbench.features._readers.FORMATS`: (n, D) pooled, (n, T, D), or one array per video.
    videos_csv
        Columns ``video``, ``class`` and, if known, ``group``, ``official`` and, for further lists, ``official_split2``,
        ...; one row per video, in the order of the features' rows. Not needed if ``source`` has one array per video in
        one folder per class. Or lists in another form: see :func:`zslbench.features._list_files.read_listed`.
    class_list
        File that gives classes their numbers, if such lists have numbers.
    key
        Name of the array, if the file contains several.
    axes, crops
        The order of the array's axes, such as ``ndt``, and what becomes of crops (:mod:`zslbench.features._axes`).
    lengths_column
        Column of ``videos_csv`` with the number of frames of a padded sequence.
    trim_zeros
        Whether to drop all-zero frames from the end of each sequence.
    skip_empty
        Whether to leave out videos without a frame. The feature set's note then names them.
    dtype
        Type to store; ``auto`` keeps float16 and converts all other types to float32.

    Examples
    --------
    >>> files = FeatureFiles(Path("vgg16.npy"), videos_csv=Path("videos.csv"), dtype="float16")
    """

    source: Path
    videos_csv: Path | Sequence[Path] | None = None
    key: str | None = None
    axes: str | None = None
    crops: Literal["mean"] | None = None
    lengths_column: str | None = None
    trim_zeros: bool = False
    skip_empty: bool = False
    dtype: Literal["auto", "float16", "float32"] = "auto"
    class_list: Path | None = None

    @property
    def videos(self) -> tuple[Path, ...]:
        """The files of ``videos_csv``; empty if there is none."""
        given = self.videos_csv or ()
        return (given,) if isinstance(given, Path) else tuple(given)


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
    with _opened(dataset, files) as frames:
        frames.check_room()
        with (
            new_directory(feature_path(dataset.name, name), replace=replace) as work,
            closing(FeatureWriter(work, frames.source.dim, frames.dtype.name)) as writer,
        ):
            frames.write(writer, progress)
            manifest = writer.finish(
                order=frames.table.to_list,
                dataset=dataset.name,
                name=name,
                classes_digest=dataset.digest,
                kind=frames.source.kind,
                source=files.source.name,
                created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                **asdict(provenance)
                | {
                    "extractor": provenance.extractor.strip(),
                    "trained_on": trained_on,
                    "note": "; ".join(filter(None, (provenance.note, frames.left_out))),
                },
            )
    notes = tuple(frames.notes())
    del frames  # it keeps torch's map of the file in memory, and the search for copies needs room
    made = FeatureSet(feature_path(dataset.name, name), dataset)
    return manifest, (*notes, *twin_notes(made), *same_set_notes(made))


def preview_import(dataset: Dataset, files: FeatureFiles) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what an import would read, by name, and notes. No values are read, and nothing is written.

    Raises
    ------
    ZslbenchError
        The files are wrong, as far as that shows without their values.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> np.save("two.npy", np.zeros((2, 8))); np.savetxt("two.csv", ["video,class", "a,run", "b,walk"], fmt="%s")
    >>> seen, _ = preview_import(get_dataset("hmdb51"), FeatureFiles(Path("two.npy"), (Path("two.csv"),)))
    >>> seen["axes"], seen["first videos"]
    ('two (2, 8) as nd', 'a (run), b (walk)')
    """
    with _opened(dataset, files) as frames:
        source, table, lengths = frames.source, frames.table, frames.table.lengths
        lengths = frames.lengths if lengths is None else lengths
        sides = {1: table.official, **table.more_official}
        first = list(zip(table.ids, table.classes, strict=True))[:3]
        shown = {
            "videos": f"{len(table.ids):,}, of {len(set(table.classes))} of {len(dataset.classes)} classes",
            "frames": f"{lengths.sum():,} ({lengths.min()} to {lengths.max()} per video)"
            if source.kind == "sequences" else "none: one vector per video",
            "values": f"{source.dim} x {source.dtype}, stored as {frames.dtype}",
            "axes": source.layout,
            "first videos": ", ".join(f"{video} ({name})" for video, name in first),
            **{
                f"official list {number}": f"{side.count('train'):,} train, {side.count('test'):,} test"
                for number, side in sides.items()
                if any(side)
            },
        }  # fmt: skip
        return shown, tuple(frames.notes())


@contextmanager
def _opened(dataset: Dataset, files: FeatureFiles) -> Iterator[_Frames]:
    """Open the features and match them with their videos."""
    table = read_listed(dataset, files.videos, files.lengths_column, files.class_list) if files.videos else None
    videos, axes, order = table.ids if table else None, Axes(files.axes, files.crops), None
    names_class = named_class(dataset) if table is None else None
    with open_source(files.source, key=files.key, axes=axes, videos=videos, names_class=names_class) as opened:
        if table is None and opened.names is not None:
            table = table_of_names(dataset, files.source, opened.names)
        else:
            rows = named_rows(opened, dataset)
            table = table or table_of_rows(dataset, files.source, rows, files.class_list)
            table, order = match(opened, table, dataset)
        table.notes += class_notes(dataset, table)
        yield _Frames(opened, table, order, files.dtype, files.trim_zeros, files.skip_empty)


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


@dataclass
class _Frames:
    """Cut, check, convert and count the frames between a source and a writer."""

    source: Source
    table: VideoTable
    order: IntArray | None
    wanted: str
    trim_zeros: bool
    skip_empty: bool = False
    left_out: str = ""
    trimmed_videos: int = 0
    trimmed_frames: int = 0
    zero_ends: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        auto = "float16" if self.source.dtype == np.float16 else "float32"
        self.dtype = np.dtype(auto if self.wanted == "auto" else self.wanted)
        self.lengths = self.source.lengths if self.order is None else self.source.lengths[self.order]
        if self.skip_empty and (self.lengths == 0).any():
            self._leave_out_empty()
        self._check_lengths()

    def _leave_out_empty(self) -> None:
        kept = np.flatnonzero(self.lengths)
        if not len(kept):
            raise ZslbenchError(f"{self.source.path.name} has no video with a frame; extract the features again.")
        empty = [self.table.ids[i] for i in np.flatnonzero(self.lengths == 0)]
        count = "1 video" if len(empty) == 1 else f"{len(empty):,} videos"
        self.left_out = f"{count} without a frame left out: {some(empty, _MOST_NAMED)}"
        self.order = kept if self.order is None else self.order[kept]
        self.table, self.lengths = self.table.taken(kept), self.lengths[kept]

    def _check_lengths(self) -> None:
        table, name = self.table, self.source.path.name
        if self.source.kind == "pooled" and (self.trim_zeros or table.lengths is not None):
            raise ZslbenchError(f"{name} contains pooled features, which have no frames to cut; leave out that option.")
        empty = [f"{table.ids[i]} ({table.where[i]})" for i in np.flatnonzero(self.lengths == 0)]
        if empty:
            refuse(name, "video without a frame", empty, "extract them again, or leave them out with --skip-empty")
        if table.lengths is not None:
            over = np.flatnonzero(table.lengths > self.lengths)
            told = [f"{table.where[i]} has {table.lengths[i]} of {self.lengths[i]} frames" for i in over]
            if told:
                refuse(table.path.name, "length larger than the sequence", told, "fix that column")

    def check_room(self) -> None:
        """Raise if the disk is too small, before minutes of copying fill it."""
        root = features_root()
        lengths = self.lengths if self.table.lengths is None else self.table.lengths
        copies = 1 if self.table.to_list is None else 2
        needed = int(lengths.sum()) * self.source.dim * self.dtype.itemsize * copies
        free = shutil.disk_usage(next(place for place in (root, *root.parents) if place.exists())).free
        if needed > free and not self.trim_zeros:
            raise ZslbenchError(
                f"the features need {needed / 1e9:.1f} GB, but {root} has {free / 1e9:.1f} GB left; "
                f"free some space, or set ZSLBENCH_DATA_ROOT to a folder on a larger disk."
            )

    def write(self, writer: FeatureWriter, progress: Progress) -> None:
        table, at, total = self.table, 0, len(self.lengths)
        progress(0, total)
        for n, block in self.source.blocks(self.order):
            here = slice(at, at + n)
            frames, lengths = self._cut(block, here)
            writer.append(
                table.ids[here],
                table.classes[here],
                table.groups[here],
                table.official[here],
                lengths,
                self._convert(frames, lengths, here),
                {number: sides[here] for number, sides in table.more_official.items()},
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
        yield from (*self.source.notes, *self.table.notes, *filter(None, [self.left_out]))
        if self.source.dtype.kind == "f" and self.source.dtype.itemsize > self.dtype.itemsize:
            yield f"the file has {self.source.dtype.name}; stored as {self.dtype}"
        if self.trimmed_frames:
            yield f"dropped {self.trimmed_frames:,} all-zero frames from the end of {self.trimmed_videos:,} videos"
        elif self.zero_ends:
            pooled = self.source.kind == "pooled"
            what = "of zeros only: check that they were extracted" if pooled else (
                "with zeros as last frames; if these are padding, import again with --trim-zeros or --lengths-column"
            )  # fmt: skip
            n = len(self.zero_ends)
            yield f"{n:,} video{'s' * (n > 1)} (the first is {self.zero_ends[0]}) {what}"


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
