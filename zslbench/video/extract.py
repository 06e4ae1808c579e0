"""Extract the features of a dataset's videos into a feature set, in shards."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import Manifest, feature_path
from zslbench.features.importing import Progress
from zslbench.files import check_name
from zslbench.video._join import adopt, failures, finished, join, settings_of, warnings
from zslbench.video._journal import Journal, Place, read_shards, write_shard
from zslbench.video.folders import VideoFile
from zslbench.video.pipeline import VideoFeatures, extract_videos, try_out
from zslbench.video.recipe import Recipe

SHARD = 16  # videos


@dataclass(frozen=True)
class Extraction:
    """The result of an extraction.

    Attributes
    ----------
    path
        The feature set's folder.
    failures, warnings
        (video, reason) of each video without features, and of each that was decoded in part.
    kept
        Number of videos whose features come from an earlier try.
    short
        A sentence about videos that gave fewer frames than the backbone takes; empty if there are none.

    Examples
    --------
    >>> from zslbench.datasets.catalog import get_dataset
    >>> from zslbench.video.recipe import make_recipe
    >>> files = [VideoFile("clip", Path("clip.mp4"), "wave")]
    >>> made = extract(files, get_dataset("hmdb51"), "mine", make_recipe("motion"))
    >>> made.manifest.kind, made.failures
    ('sequences', [])
    """

    path: Path
    manifest: Manifest
    failures: list[tuple[str, str]]
    warnings: list[tuple[str, str]]
    kept: int
    short: str = ""


@dataclass(frozen=True)
class _Job:
    """What shards have in common."""

    recipe: Recipe
    folder: Path
    key: str
    root: Path  # the folder that contains all videos


def extract(
    files: Sequence[VideoFile], dataset: Dataset, name: str, recipe: Recipe, *, workers: int | None = None,
    shard: int | None = None, restart: bool = False, retry_failed: bool = False, source: str = "",
    progress: Progress = lambda done, total: None,
) -> Extraction:  # fmt: skip
    """Extract the features of videos into the feature set ``name`` of ``dataset``.

    A killed extraction keeps what it has finished. The same call continues it, and tries failed videos again. The bits
    of the features do not depend on the number of workers.

    Parameters
    ----------
    files
        Videos with unique ids.
    workers
        Number of processes that decode and preprocess; by default threads of this process do. The network always
        computes in this process.
    shard
        Videos per shard, which are written together; by default 16, or as many as the clips of a batch if these are
        more. A killed extraction loses at most one shard.
    restart
        Whether to delete what an earlier try has finished.
    retry_failed
        Whether to complete a finished feature set: its features are kept, and files that failed, are new or were
        replaced are extracted.
    source
        A description of where the videos come from.
    progress
        Called with (finished videos, all videos).

    Raises
    ------
    ZslbenchError
        The feature set exists already, an earlier try had other settings, or no video has features. Or the videos' disk
        is gone, the backbone fails on any input, or the disk is full.
    """
    final = _target(dataset, name, retry_failed=retry_failed)
    files = [replace(file, stamp=_stamp(file)) for file in sorted(files, key=lambda file: file.id)]
    settings = settings_of(dataset, recipe)
    before = finished(dataset, name, settings) if retry_failed else None
    with Journal(final.with_name(f".extract-{name}"), settings, restart=restart) as journal:
        if before:
            adopt(final, journal)
            source = ", ".join(dict.fromkeys([*before.source.split(", "), source]))
        held = journal.places(files, others=retry_failed)
        todo = _shards(files, held, shard or _shard_size(recipe), journal.next)
        left = sum(map(len, todo.values()))
        progress(len(files) - left, len(files))
        root = Path(os.path.commonpath([file.path.parent for file in files]))
        job = _Job(recipe, journal.folder, journal.key, root)
        done = len(files) - left

        def count() -> None:
            nonlocal done
            done += 1
            progress(done, len(files))

        if todo:
            try_out(recipe)  # before any video is decoded: wrong settings fail once, at once
            _run(job, todo, workers or 0, count)
        places = journal.places(files, others=retry_failed)
        if lost := sum(file.id not in places for file in files):
            raise ZslbenchError(
                f"{lost} finished videos in {journal.folder} are missing or damaged; run the same command again."
            )
        manifest, short = join(
            journal, places, files, final, dataset=dataset, recipe=recipe, source=source, replace=before is not None
        )
        journal.remove()
    kept = sum(place.record.length > 0 for place in held.values())
    return Extraction(final, manifest, failures(places), warnings(places), kept, short)


def _target(dataset: Dataset, name: str, *, retry_failed: bool) -> Path:
    check_name(name, "a feature set")
    final = feature_path(dataset.name, name)
    if final.exists() and not retry_failed:
        raise ZslbenchError(
            f"{dataset.name} has a feature set {name} already; choose another --name, use --retry-failed to extract "
            f"what is missing, or remove it with 'zslbench features remove {dataset.name} {name}'."
        )
    return final


def _stamp(file: VideoFile) -> str:
    """Return a text that changes if the file is replaced or another part of it is asked for."""
    try:
        size = f"{file.path.stat().st_size} bytes"
    except OSError:  # the video becomes a failure when it is decoded
        size = "not there"
    return size if file.start is None and file.end is None else f"{size}, {file.start} to {file.end} s"


def _shard_size(recipe: Recipe) -> int:
    """Return the videos of a shard. Batches end with it: if each video gives one clip, it still fills a batch."""
    batch: int = recipe.open_backbone().params.batch_size
    return max(SHARD, batch)


def _shards(files: Sequence[VideoFile], held: dict[str, Place], size: int, first: int) -> dict[int, list[VideoFile]]:
    """Return number -> videos of the shards that are to be made: new videos first, then those that failed.

    A continued extraction makes the same shards as an uninterrupted one, and so the same batches and the same bits.
    """
    new = [file for file in files if file.id not in held]
    failed = [file for file in files if file.id in held and held[file.id].record.reason]
    parts = [some[i : i + size] for some in (new, failed) for i in range(0, len(some), size)]
    return dict(enumerate(parts, first))


def _run(job: _Job, todo: dict[int, list[VideoFile]], workers: int, count: Callable[[], None]) -> None:
    """Extract the videos of each shard, and write it when they are done."""
    recipe = job.recipe
    backbone, sampler, reader = recipe.open_backbone(), recipe.open_sampler(), recipe.open_reader()
    with closing(extract_videos(list(todo.values()), backbone, sampler, reader, workers=workers)) as videos:
        for number, part in todo.items():
            done = []
            for video in islice(videos, len(part)):
                done.append(video)
                count()
            _keep(job, number, done)


def _keep(job: _Job, number: int, videos: Sequence[VideoFeatures]) -> None:
    """Write a shard, but refuse to keep failures that were not caused by the videos.

    Raises
    ------
    ZslbenchError
        The videos' disk is gone, or none of several new files can be read. Or the backbone fails on any clip, or has
        failed on all videos so far.
    """
    odd = [video.file for video in videos if video.reason or video.warnings]
    lost = [(file, reason) for file in odd if (reason := _unreadable(file.path))]
    faults = [video.reason for video in videos if video.by_network]
    before = list(chain.from_iterable(read_shards(job.folder, job.key).values())) if lost or faults else []
    new = {file.id for file, _ in lost} - {record.id for record in before if record.reason}
    if lost and (_gone(job.root) or (len(lost) == len(videos) and len(new) > 1)):
        raise ZslbenchError(
            f"the videos in {job.root} cannot be read any more ({lost[0][0].path}: {lost[0][1]}); restore them "
            f"and run the same command again: finished videos are kept."
        )
    if faults and not any(video.rows for video in videos):
        # Noise shows whose fault it is: if it fails too, the network does not work, whatever the videos.
        try_out(job.recipe)
        faults += [record.reason for record in before if record.by_network]
        if len(faults) > 1 and not any(record.length for record in before):
            raise ZslbenchError(
                f"{faults[0]}, and so on each of {len(faults)} videos; fix the settings and run it again, or use a "
                f"larger --shard if the cause is in these videos."
            )
    write_shard(job.folder, number, job.key, videos)


def _unreadable(path: Path) -> str:
    """Return why a file cannot be read; empty if it can."""
    try:
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _gone(folder: Path) -> bool:
    """Return whether a folder is missing, or empty like the mount point of a disk that was removed."""
    try:
        return not any(folder.iterdir())
    except OSError:
        return True
