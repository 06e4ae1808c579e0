"""Join shards to a feature set, and reopen a finished feature set as the first shard of a new extraction."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.label_sets import UNKNOWN
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet, FeatureWriter, Manifest, feature_path
from zslbench.files import new_directory
from zslbench.video._journal import CLIPS, Journal, Place, Settings, VideoRecord, clips_schema, differing
from zslbench.video.folders import VideoFile
from zslbench.video.recipe import RECIPE_FILE, Recipe, clip_length, filled_by

FAILURES, WARNINGS = "failures.csv", "warnings.csv"
_VIDEOS_PER_GROUP = 256  # one group of rows per video would make the file slow to read
Table = list[tuple[str, str]]


def join(
    journal: Journal, places: Mapping[str, Place], files: Sequence[VideoFile], final: Path, *,
    dataset: Dataset, recipe: Recipe, source: str, replace: bool,
) -> tuple[Manifest, str]:  # fmt: skip
    """Write the feature set ``final`` of the videos at ``places``, in their order, completely or not at all.

    Parameters
    ----------
    files
        The videos that were asked for. Their classes, groups and lists are used; other videos keep those of their
        records.
    replace
        Whether to replace an existing feature set.

    Returns
    -------
    Its manifest, and a sentence about videos that gave fewer frames than a clip has; empty if there are none.

    Raises
    ------
    ZslbenchError
        No video has features, or the disk is full.
    """
    failed, partial = failures(places), warnings(places)
    present = [place for place in places.values() if place.record.length]
    if not present:
        raise ZslbenchError(
            f"none of the {len(failed)} videos has features ({failed[0][0]}: {failed[0][1]}); check the files, or "
            f"change the settings."
        )
    by_id = {file.id: file for file in files}
    # Videos are in the order of their ids, and so are nearly all shards: a few open ones are enough.
    opened = lru_cache(maxsize=4)(journal.open)
    dim = opened(present[0].shard)[0].shape[1]
    backbone, sampler = recipe.open_backbone(), recipe.open_sampler()
    dtype = backbone.stored_dtype
    with (
        new_directory(final, replace=replace) as work,
        closing(FeatureWriter(work, dim, dtype)) as writer,
    ):
        for place in present:
            record, (rows, _) = place.record, opened(place.shard)
            own = by_id.get(record.id, record)
            length, group, official = np.array([record.length], dtype=np.int64), [own.group], [own.official]
            features = rows[place.row : place.row + record.length]
            if np.abs(features).max() > np.finfo(dtype).max:
                raise ZslbenchError(
                    f"features of {record.id} do not fit into {dtype}; use --set backbone.normalise=true, or features "
                    f"without patches."
                )
            writer.append([record.id], [own.class_name], group, official, length, features)
        wanted = clip_length(sampler) if backbone.kind == "clip" else 1
        short = ""
        if count := _write_clips(work / CLIPS, present, opened, wanted):
            short = (
                f"{count:,} of {len(present):,} videos gave fewer frames than the {wanted} that {backbone.info.name} "
                f"takes: {filled_by(sampler)}"
            )
        _write_csv(work / FAILURES, [("video", "reason"), *failed])
        _write_csv(work / WARNINGS, [("video", "warning"), *partial])
        (work / RECIPE_FILE).write_text(recipe.model_dump_json(indent=1), encoding="utf-8")
        manifest = writer.finish(
            dataset=dataset.name,
            name=final.name,
            classes_digest=dataset.digest,
            kind="pooled" if all(place.record.length == 1 for place in present) else "sequences",
            extractor=backbone.describe(),
            weights_digest=backbone.weights_digest,
            trained_on=tuple(sorted(set(backbone.trained_on))),
            reader=recipe.open_reader().name,
            frame_indices=sampler.describe(),
            note=f"{len(failed)} of {len(places)} videos failed, {len(partial)} were decoded in part"
            + (f"; {short}" if short else ""),
            source=source,
            tokens=backbone.rows_per_clip,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )
    return manifest, short


def failures(places: Mapping[str, Place]) -> Table:
    """Return (video, reason) of each video without features."""
    return [(id, place.record.reason) for id, place in places.items() if place.record.reason]


def warnings(places: Mapping[str, Place]) -> Table:
    """Return (video, warning) of each video that was decoded in part."""
    records = [place.record for place in places.values()]
    return [(record.id, "; ".join(record.warnings)) for record in records if record.warnings and record.length]


def _write_clips(
    path: Path, present: Sequence[Place], opened: Callable[[int], tuple[Any, pa.Table]], length: int
) -> int:
    """Write the clips in groups of rows that do not depend on the shards; return how many videos have fewer frames.

    The file's bytes are then the same whatever the number of workers and however often the extraction was killed.
    """
    short = 0
    with pq.ParquetWriter(path, clips_schema(), compression="zstd") as writer:
        for start in range(0, len(present), _VIDEOS_PER_GROUP):
            some = present[start : start + _VIDEOS_PER_GROUP]
            tables = [opened(place.shard)[1].slice(place.clip, place.record.clips) for place in some]
            short += sum(len(pc.list_flatten(table["frames"]).unique()) < length for table in tables)
            writer.write_table(pa.concat_tables(tables).cast(clips_schema()).combine_chunks())
    return short


def settings_of(dataset: Dataset, recipe: Recipe) -> Settings:
    """Return everything but the videos that features depend on.

    The sizes of batches and shards and the device are left out: they may change between two tries.
    """
    backbone = recipe.open_backbone()
    return {
        "backbone": backbone.describe(),
        "weights": backbone.weights_digest or "none",
        "trained on": ", ".join(sorted(set(backbone.trained_on))) or UNKNOWN,
        "sampler": recipe.open_sampler().describe(),
        "reader": recipe.open_reader().name,
        "classes": dataset.digest,
    }


def finished(dataset: Dataset, name: str, settings: Settings) -> Manifest | None:
    """Return the manifest of a feature set that is to be completed; ``None`` if it does not exist.

    Raises
    ------
    ZslbenchError
        It was not extracted from videos, was extracted with other settings, or is damaged.
    """
    path = feature_path(dataset.name, name)
    if not path.exists():
        return None
    title = f"{dataset.name}@{name}"
    if not (path / CLIPS).is_file():
        raise ZslbenchError(f"{title} was not made by 'zslbench extract'; there is nothing to retry.")
    features = FeatureSet(path, dataset)
    features.check_unchanged()  # a damaged file would be linked into the new feature set
    manifest = features.manifest
    before = {
        "backbone": manifest.extractor,
        "weights": manifest.weights_digest or "none",
        "trained on": ", ".join(manifest.trained_on) or UNKNOWN,
        "sampler": manifest.frame_indices or "",
        "reader": manifest.reader or "",
        "classes": manifest.classes_digest,
    }
    if changed := differing(before, settings):
        raise ZslbenchError(f"{title} was made with {changed}; use the same settings again, or another --name.")
    return manifest


def adopt(final: Path, journal: Journal) -> None:
    """Make a finished feature set the first shard of a journal.

    Raises
    ------
    ZslbenchError
        One of its files cannot be read.
    """
    try:
        partial, failed = (_read_csv(final / name) for name in (WARNINGS, FAILURES))
        # All clips of a video have the same stamp, so the smallest one is that stamp.
        clips = pq.read_table(final / CLIPS, columns=["video", "stamp"]).group_by("video")
        stamps = {row["video"]: row for row in clips.aggregate([("stamp", "min"), ("stamp", "count")]).to_pylist()}
        videos = pq.read_table(final / "videos.parquet").to_pylist()
        records = [
            VideoRecord(
                id=video["id"],
                class_name=video["class"],
                group=video["group"],
                official=video["official"],
                stamp=stamps[video["id"]]["stamp_min"],
                length=video["length"],
                clips=stamps[video["id"]]["stamp_count"],
                warnings=[partial[video["id"]]] if video["id"] in partial else [],
            )
            for video in videos
        ]
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ZslbenchError(f"{final} cannot be read ({error}); remove it, and extract it again.") from error
    journal.adopt(final, records + [VideoRecord(id=id, reason=reason) for id, reason in failed.items()])


def _write_csv(path: Path, rows: Table) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)


def _read_csv(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as stream:
        return {row[0]: row[1] for row in list(csv.reader(stream))[1:]}
