"""The journal of an extraction: finished shards, and the settings that they were made with.

The folder ``.extract-<name>/`` beside the future feature set holds ``settings.json`` and one folder per shard. A shard
is renamed into place when it is complete. Its files are:

* ``features.npy``: the features of its videos, one video after the other,
* ``clips.parquet``: the frames of their clips,
* ``shard.json``: the result of each video.

A killed process loses only the shard that it was working on. A video is found by its id and its file's stamp, so a new,
removed or changed file does not affect the others.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.files import new_directory, new_file, read_json

if TYPE_CHECKING:
    from zslbench.video.folders import VideoFile
    from zslbench.video.pipeline import VideoFeatures

Settings = Mapping[str, str]
ROWS, CLIPS = "features.npy", "clips.parquet"
_VIDEOS = "shard.json"


class VideoRecord(BaseModel):
    """The result of one video; see :class:`zslbench.video.pipeline.VideoFeatures`.

    Attributes
    ----------
    class_name, group, official, stamp
        Those of its :class:`zslbench.video.folders.VideoFile`.
    length
        Number of its feature rows; 0 if and only if there is a ``reason``.
    clips
        Number of its rows in ``clips.parquet``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    class_name: str = ""
    group: str = ""
    official: str = ""
    stamp: str = ""
    length: int = 0
    clips: int = 0
    reason: str = ""
    by_network: bool = False
    warnings: list[str] = []

    @classmethod
    def of(cls, video: VideoFeatures) -> VideoRecord:
        """Return the record of a video that was extracted now."""
        return cls(
            **{name: getattr(video.file, name) for name in ("id", "class_name", "group", "official", "stamp")},
            **{name: getattr(video, name) for name in ("reason", "by_network", "warnings")},
            length=sum(map(len, video.rows)),
            clips=len(video.indices),
        )


@dataclass(frozen=True)
class Place:
    """Where a video is stored: its shard, and its first row in the features and in the clips."""

    record: VideoRecord
    shard: int
    row: int
    clip: int


class _Shard(BaseModel):
    settings: str
    sizes: dict[str, int]  # of its other files, in bytes
    videos: list[VideoRecord]


class Journal(contextlib.AbstractContextManager["Journal"]):
    """The shards of one extraction, for one process at a time.

    Parameters
    ----------
    folder
        Created if it does not exist.
    settings
        Everything that shards depend on, by name.
    restart
        Delete the shards of an earlier try.

    Raises
    ------
    ZslbenchError
        Another process is using it, it was started with other settings, or it cannot be written.
    """

    def __init__(self, folder: Path, settings: Settings, *, restart: bool = False) -> None:
        self.folder = folder
        self.key = digest(dict(settings))
        with contextlib.ExitStack() as stack:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_lock(folder))
                if restart:
                    _empty(folder)
                self._check(settings)
            except OSError as error:
                raise ZslbenchError(
                    f"cannot write {folder}: {error.strerror or error}; point ZSLBENCH_DATA_ROOT at another place."
                ) from error
            self._lock = stack.pop_all()

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def _check(self, settings: Settings) -> None:
        path = self.folder / "settings.json"
        try:
            before = read_json(path)
        except ZslbenchError:  # there is none, or it was cut off: what it says is written again
            before = None
        if before is not None:
            changed = differing(before, settings)
            if changed and any(self.folder.glob(f"shard-*/{ROWS}")):  # without features, nothing could be mixed
                raise ZslbenchError(
                    f"this extraction was started with {changed}; use the same settings to continue, another --name, "
                    f"or --restart to delete what is there."
                )
        with new_file(path) as work:
            work.write_text(json.dumps(dict(settings), indent=1), encoding="utf-8")

    @property
    def next(self) -> int:
        """The number of the next shard."""
        return 1 + max((_number(path) for path in self.folder.glob("shard-*")), default=-1)

    def places(self, files: Sequence[VideoFile], *, others: bool = False) -> dict[str, Place]:
        """Return id -> place of each finished video, sorted by id; of several tries the last one with features.

        Parameters
        ----------
        files
            The videos that are asked for. Results of a file with another stamp are ignored.
        others
            Whether to return the other videos of the journal, too.
        """
        stamps = {file.id: file.stamp for file in files}
        found: dict[str, Place] = {}
        for number, records in read_shards(self.folder, self.key).items():
            row = clip = 0
            for record in records:
                # A file that was replaced has another stamp: its old features must not be used.
                wanted = stamps.get(record.id, record.stamp if others else None) == record.stamp
                if wanted and (record.length or record.id not in found or not found[record.id].record.length):
                    found[record.id] = Place(record, number, row, clip)
                row, clip = row + record.length, clip + record.clips
        # By id: the rows of the feature set must not depend on the order in which videos were finished.
        return dict(sorted(found.items()))

    def open(self, number: int) -> tuple[NDArray[np.float32], pa.Table]:
        """Return the features, (n, D), mapped from disk, and the clips of a shard that has features."""
        folder = _folder(self.folder, number)
        return np.load(folder / ROWS, mmap_mode="r", allow_pickle=False), pq.read_table(folder / CLIPS)

    def adopt(self, folder: Path, records: Sequence[VideoRecord]) -> None:
        """Make a feature set's folder the first shard; link its files, or copy them if the disk has no links."""
        with new_directory(_folder(self.folder, 0), replace=True) as work:
            for name in (ROWS, CLIPS):
                try:
                    os.link(folder / name, work / name)
                except OSError:
                    shutil.copyfile(folder / name, work / name)
            _describe(work, self.key, records)

    def remove(self) -> None:
        """Delete the journal."""
        shutil.rmtree(self.folder, ignore_errors=True)


def differing(before: Settings, now: Settings) -> str:
    """Return the settings that differ: ``reader 'this', not 'that' (and other weights)``."""
    names = [name for name in now if before.get(name) != now[name]]
    others = f" (and other {', '.join(names[1:])})" if names[1:] else ""
    return f"{names[0]} {before.get(names[0])!r}, not {now[names[0]]!r}{others}" if names else ""


def write_shard(folder: Path, number: int, key: str, videos: Sequence[VideoFeatures]) -> None:
    """Write a shard, completely or not at all.

    Parameters
    ----------
    key
        :attr:`Journal.key`, the digest of the settings that it was made with.

    Raises
    ------
    ZslbenchError
        The disk is full, or cannot be written.
    """
    rows = [part for video in videos for part in video.rows]
    with new_directory(_folder(folder, number), replace=True) as work:
        if rows:
            _write_rows(work / ROWS, rows)
            clips = [
                {"video": v.file.id, "clip": i, "frames": frames, "decoded": v.n_frames, "stamp": v.file.stamp}
                for v in videos
                for i, frames in enumerate(v.indices)
            ]
            pq.write_table(pa.Table.from_pylist(clips, clips_schema()), work / CLIPS, compression="zstd")
        # Last: it records the sizes of the other files.
        _describe(work, key, [VideoRecord.of(video) for video in videos])


def _describe(work: Path, key: str, records: Sequence[VideoRecord]) -> None:
    shard = _Shard(settings=key, sizes=_sizes(work), videos=list(records))
    (work / _VIDEOS).write_text(shard.model_dump_json(), encoding="utf-8")


def read_shards(folder: Path, key: str) -> dict[int, list[VideoRecord]]:
    """Return shard number -> records of its videos, for the shards that are complete and of these settings."""
    found = {}
    for path in sorted(folder.glob("shard-*"), key=_number):  # later tries come after earlier ones
        # A shard that cannot be read counts as missing: its videos are extracted again.
        with contextlib.suppress(OSError, ValidationError):
            shard = _Shard.model_validate_json((path / _VIDEOS).read_bytes())
            if shard.settings == key and shard.sizes == _sizes(path):
                found[_number(path)] = shard.videos
    return found


def _sizes(shard: Path) -> dict[str, int]:
    # Sizes find a file that was cut short. A checksum would read every feature again at each start.
    return {path.name: path.stat().st_size for path in shard.iterdir() if path.name in (ROWS, CLIPS)}


def clips_schema() -> pa.Schema:
    """Return the columns of ``clips.parquet``, one row per clip.

    They are its video, its number in the video, and the indices of its frames in the decoded stream. The last two
    describe the whole video: the number of decoded frames, and the stamp of its file.
    """
    frames = pa.list_(pa.int32())
    columns = {"video": pa.string(), "clip": pa.int32(), "frames": frames, "decoded": pa.int32(), "stamp": pa.string()}
    return pa.schema(columns)


def _folder(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:06d}"


def _number(path: Path) -> int:
    return int(path.name.removeprefix("shard-"))


def _write_rows(path: Path, rows: Sequence[NDArray[np.float32]]) -> None:
    """Write (n, D) arrays as one.

    ``numpy.save`` is not used: its error hides why the disk cannot be written.
    """
    n = sum(len(each) for each in rows)
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, rows[0].shape[1])}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for each in rows:
            stream.write(np.ascontiguousarray(each, dtype="<f4").data)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ".lock":  # this process holds it; another one could lock a new file of that name
            path.unlink()


def _lock(folder: Path) -> IO[str]:
    """Return the open lock file; the system releases the lock when the process ends, also when it is killed."""
    stream = (folder / ".lock").open("w")
    try:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows has no fcntl: two extractions of one name at a time are not prevented there
        pass
    except BlockingIOError as error:
        stream.close()
        raise ZslbenchError(
            f"another 'zslbench extract' is using {folder}; wait until it ends, or choose another --name."
        ) from error
    return stream
