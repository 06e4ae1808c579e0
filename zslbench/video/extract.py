"""Extraction: the videos of a dataset become a feature set, in shards, in this process or on workers."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.dataset import Dataset
from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.features import FeatureWriter, Manifest, check_name, feature_path
from zslbench.paths import new_directory
from zslbench.video.folders import VideoFile
from zslbench.video.journal import Journal, VideoRecord, write_shard
from zslbench.video.pipeline import VideoFeatures, extract_videos
from zslbench.video.recipe import RECIPE, Recipe

SHARD = 16  # videos
FAILURES, WARNINGS, CLIPS = "failures.csv", "warnings.csv", "clips.parquet"
_TOPIC = "zslbench-extract"
_CLIPS_A_GROUP = 1 << 14
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Extraction:
    """What an extraction made.

    Attributes
    ----------
    path
        The feature set's folder.
    failures, warnings
        (video, reason) of each video without features, and of each that was decoded in part.
    kept
        Videos that an earlier try had done.
    """

    path: Path
    manifest: Manifest
    failures: list[tuple[str, str]]
    warnings: list[tuple[str, str]]
    kept: int


@dataclass(frozen=True)
class _Job:
    """What a worker is to know of the extraction."""

    recipe: Recipe
    folder: Path
    key: str


def extract(
    files: Sequence[VideoFile], dataset: Dataset, name: str, recipe: Recipe, *, workers: int | None = None,
    shard: int = SHARD, restart: bool = False, source: str = "", progress: Progress = lambda done, total: None,
) -> Extraction:  # fmt: skip
    """Extract the features of videos into the feature set ``name`` of ``dataset``.

    What a killed extraction has finished is kept: the same call goes on. The features' bits do not depend on the number
    of workers, as far as the backbone's do not depend on the number of threads.

    Parameters
    ----------
    files
        Videos with ids of their own.
    workers
        Local processes; this one by default.
    shard
        Videos in a shard: what a killed worker loses at most.
    restart
        Whether to throw away what an earlier try has finished.
    source
        Where the videos come from, in words.
    progress
        Called with (videos done, all videos).

    Raises
    ------
    ZslbenchError
        The feature set is there already, an earlier try had other settings, no video yields features, or the disk is
        full.
    """
    final = _target(dataset, name)
    files = sorted(files, key=lambda file: file.id)
    shards = [files[i : i + shard] for i in range(0, len(files), shard)]
    settings = _settings(files, dataset, recipe, shard)
    with Journal(final.with_name(f".extract-{name}"), settings, restart=restart) as journal:
        done = journal.done()
        kept = sum(len(videos) for videos in done.values())
        progress(kept, len(files))
        todo = {number: shards[number] for number in range(len(shards)) if number not in done}
        job = _Job(recipe, journal.folder, journal.key)
        count = _Count(kept, len(files), progress)
        (_run_on_workers if workers else _run_here)(job, todo, workers or 1, count)
        done = journal.done()
        if missing := set(range(len(shards))) - set(done):
            raise ZslbenchError(
                f"{len(missing)} finished shards in {journal.folder} are gone or damaged; run the same command again."
            )
        manifest = _finish(journal, done, files, final, dataset=dataset, recipe=recipe, source=source)
        journal.remove()
    return Extraction(final, manifest, _failures(done), _warnings(done), kept)


def _target(dataset: Dataset, name: str) -> Path:
    check_name(name)
    final = feature_path(dataset.name, name)
    if final.exists():
        raise ZslbenchError(
            f"{dataset.name} has a feature set {name} already; choose another --name, or remove it with "
            f"'zslbench features remove {dataset.name} {name}'."
        )
    return final


def _settings(files: Sequence[VideoFile], dataset: Dataset, recipe: Recipe, shard: int) -> dict[str, str]:
    """Return all that shards depend on. The folder of the videos and the size of batches may change between tries."""
    backbone = recipe.open_backbone()
    videos = [
        [file.id, file.class_name, file.group, file.official, file.start, file.end, _size(file)] for file in files
    ]
    return {
        "backbone": backbone.describe(),
        "weights": backbone.weights_digest or "none",
        "trained on": ", ".join(backbone.trained_on),
        "sampler": recipe.open_sampler().describe(),
        "reader": recipe.open_reader().name,
        "videos": f"{len(files)} videos {digest(videos)}",
        "classes": dataset.digest,
        "shard size": str(shard),
    }


def _size(file: VideoFile) -> int:
    try:
        return file.path.stat().st_size
    except OSError:  # it becomes a row of the failures
        return -1


class _Count:
    """Counts videos that are done."""

    def __init__(self, done: int, total: int, progress: Progress) -> None:
        self._done = done
        self._total = total
        self._progress = progress

    def __call__(self, videos: int) -> None:
        self._done = min(self._done + videos, self._total)
        self._progress(self._done, self._total)


def _run_here(job: _Job, todo: dict[int, list[VideoFile]], workers: int, count: _Count) -> None:
    for number, files in todo.items():
        run_shard(job, number, files, count)


def _run_on_workers(job: _Job, todo: dict[int, list[VideoFile]], workers: int, count: _Count) -> None:
    """Keep each worker busy with one shard; a shard that kills its worker is run again video by video, at the end."""
    from distributed import KilledWorker, as_completed

    from zslbench.engine import Limits, dask_client

    if not todo:
        return
    with dask_client(min(workers, len(todo)), None, Limits()) as client:
        client.subscribe_topic(_TOPIC, lambda event: count(event[1]))
        numbers: dict[str, int] = {}
        deadly = []

        def submit(number: int) -> Any:
            future = client.submit(run_on_worker, job, number, todo[number], pure=False)
            numbers[future.key] = number
            return future

        waiting = iter(todo)
        running = as_completed([submit(number) for number in islice(waiting, workers)])
        for future in running:
            if isinstance(future.exception(), KilledWorker):
                deadly.append(numbers[future.key])
            else:
                future.result()
            for number in islice(waiting, 1):
                running.add(submit(number))
        for number in deadly:
            _run_one_by_one(job, number, todo[number], client)


def _run_one_by_one(job: _Job, number: int, files: Sequence[VideoFile], client: Any) -> None:
    """Run a shard that killed its worker: the video that does so when it is alone is a failure, the others are kept."""
    from distributed import KilledWorker

    records, rows = [], []
    for file in files:
        future = client.submit(run_alone, job, file, pure=False)
        if isinstance(future.exception(), KilledWorker):
            reason = "its worker process died: a library crashed on it, or the system killed it for memory"
            records.append(VideoRecord(id=file.id, length=0, n_frames=0, indices=[], reason=reason))
            continue
        record, features = future.result()
        records.append(record)
        rows += [features] if features is not None else []
    write_shard(job.folder, number, job.key, records, rows)


def run_on_worker(job: _Job, number: int, files: Sequence[VideoFile]) -> None:
    """Run :func:`run_shard` in a dask worker, and tell the launcher of each video."""
    from distributed import get_worker

    worker = get_worker()
    run_shard(job, number, files, lambda videos: worker.log_event(_TOPIC, videos))


def run_alone(job: _Job, file: VideoFile) -> tuple[VideoRecord, NDArray[np.float32] | None]:
    """Return what became of one video, and its features."""
    return next(_extracted(job.recipe, [file]))


def run_shard(job: _Job, number: int, files: Sequence[VideoFile], count: Callable[[int], None]) -> None:
    """Extract the videos of one shard, and write it.

    Raises
    ------
    ZslbenchError
        The backbone fails with every video of the shard, or the shard cannot be written.
    """
    records, rows = [], []
    for record, features in _extracted(job.recipe, files):
        records.append(record)
        rows += [features] if features is not None else []
        count(1)
    faults = [record.reason for record in records if record.by_network]
    if faults and not rows:
        raise ZslbenchError(
            f"{faults[0]}, and so with each of {len(faults)} videos; mend the settings and run it again."
        )
    write_shard(job.folder, number, job.key, records, rows)


def _extracted(recipe: Recipe, files: Sequence[VideoFile]) -> Iterator[tuple[VideoRecord, NDArray[np.float32] | None]]:
    videos = extract_videos(files, recipe.open_backbone(), recipe.open_sampler(), recipe.open_reader())
    for video in videos:
        features = video.features
        yield _record(video, 0 if features is None else len(features)), features


def _record(video: VideoFeatures, length: int) -> VideoRecord:
    return VideoRecord(
        id=video.file.id,
        length=length,
        n_frames=video.n_frames,
        indices=video.indices,
        reason=video.reason,
        by_network=video.by_network,
        warnings=video.warnings,
    )


def _finish(
    journal: Journal, done: dict[int, list[VideoRecord]], files: Sequence[VideoFile], final: Path, *,
    dataset: Dataset, recipe: Recipe, source: str,
) -> Manifest:  # fmt: skip
    """Join the shards, in the order of the videos' ids."""
    failures, warnings = _failures(done), _warnings(done)
    first = next((rows for number in done if (rows := journal.rows(number)) is not None), None)
    if first is None:
        raise ZslbenchError(
            f"none of {len(failures)} videos yields features ({failures[0][0]}: {failures[0][1]}); "
            f"look at the files, or give --restart after a change of settings."
        )
    backbone = recipe.open_backbone()
    by_id = {file.id: file for file in files}
    lengths = [video.length for videos in done.values() for video in videos if video.length]
    with new_directory(final) as work, closing(FeatureWriter(work, first.shape[1], "float32")) as writer:
        for number, videos in done.items():
            rows, present = journal.rows(number), [video for video in videos if video.length]
            if rows is not None:
                own = [by_id[video.id] for video in present]
                writer.append(
                    [file.id for file in own],
                    [file.class_name for file in own],
                    [file.group for file in own],
                    [file.official for file in own],
                    np.array([video.length for video in present], dtype=np.int64),
                    rows,
                )
        _write_csv(work / FAILURES, ("video", "reason"), failures)
        _write_csv(work / WARNINGS, ("video", "warning"), warnings)
        _write_clips(work / CLIPS, done)
        (work / RECIPE).write_text(recipe.model_dump_json(indent=1), encoding="utf-8")
        return writer.finish(
            dataset=dataset.name,
            name=final.name,
            classes_digest=dataset.digest,
            kind="pooled" if max(lengths) == 1 else "sequences",
            extractor=backbone.describe(),
            weights_digest=backbone.weights_digest,
            trained_on=tuple(sorted(set(backbone.trained_on))),
            reader=recipe.open_reader().name,
            frame_indices=recipe.open_sampler().describe(),
            note=f"{len(failures)} of {len(files)} videos failed, {len(warnings)} were decoded in part",
            source=source,
            tokens=backbone.rows_per_clip,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )


def _write_csv(path: Path, header: tuple[str, str], rows: Sequence[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def _write_clips(path: Path, done: dict[int, list[VideoRecord]]) -> None:
    """Write a row a clip: video, clip, frames (their places in the decoded stream); and how many were decoded."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = pa.schema(
        [("video", pa.string()), ("clip", pa.int32()), ("frames", pa.list_(pa.int32())), ("decoded", pa.int32())]
    )
    rows = (
        {"video": video.id, "clip": clip, "frames": frames, "decoded": video.n_frames}
        for videos in done.values()
        for video in videos
        for clip, frames in enumerate(video.indices)
    )
    with pq.ParquetWriter(path, types, compression="zstd") as writer:
        while block := list(islice(rows, _CLIPS_A_GROUP)):  # as large for any size of shards
            writer.write_table(pa.Table.from_pylist(block, types))


def _failures(done: dict[int, list[VideoRecord]]) -> list[tuple[str, str]]:
    return [(video.id, video.reason) for videos in done.values() for video in videos if video.reason]


def _warnings(done: dict[int, list[VideoRecord]]) -> list[tuple[str, str]]:
    return [
        (video.id, "; ".join(video.warnings))
        for videos in done.values()
        for video in videos
        if video.warnings and not video.reason
    ]
