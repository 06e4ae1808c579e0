"""The journal of an extraction: finished shards, and the settings that they were made with.

``.extract-<name>/`` beside the future feature set holds ``settings.json`` and one folder a shard, renamed into place
when it is whole: ``features.npy``, the rows of its videos one after the other, ``clips.parquet``, the frames of their
clips, and ``shard.json``, what became of each. Whenever a process is killed, no more is lost than the shards that it
was at. A video is found by its id and its file's stamp: those that came, went or changed leave the others as they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.files import new_directory, new_file

if TYPE_CHECKING:
    import pyarrow

    from zslbench.video.folders import VideoFile

Settings = Mapping[str, str]
ROWS, CLIPS = "features.npy", "clips.parquet"
_VIDEOS = "shard.json"


class VideoRecord(BaseModel):
    """What became of one video; see :class:`zslbench.video.pipeline.VideoFeatures`.

    Attributes
    ----------
    class_name, group, official, stamp
        As its :class:`zslbench.video.folders.VideoFile` had them.
    length
        Rows of features; 0 exactly where there is a reason.
    clips
        Rows of ``clips.parquet``.
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


@dataclass(frozen=True)
class Extracted:
    """A video that is done: its record, its features (n, D) if it has any, and the rows of its clips."""

    record: VideoRecord
    features: NDArray[np.float32] | None = None
    clips: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Place:
    """Where a video lies: in which shard, from which row of the features and of the clips on."""

    record: VideoRecord
    shard: int
    row: int
    clip: int


class _Shard(BaseModel):
    settings: str
    sizes: dict[str, int]  # of its other files, in bytes
    videos: list[VideoRecord]


class Journal:
    """The shards of one extraction, for one process at a time.

    Parameters
    ----------
    folder
        Made if it is not there.
    settings
        Everything that shards depend on, by name.
    restart
        Throw shards of an earlier try away.

    Raises
    ------
    ZslbenchError
        Another process is at work on it, it was begun with other settings, or it cannot be written.
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._lock.close()

    def _check(self, settings: Settings) -> None:
        path = self.folder / "settings.json"
        with contextlib.suppress(FileNotFoundError, ValueError):  # ValueError: damaged
            changed = differing(json.loads(path.read_text(encoding="utf-8")), settings)
            if changed and any(self.folder.glob(f"shard-*/{ROWS}")):  # without features, nothing could be mixed
                raise ZslbenchError(
                    f"this extraction was begun with {changed}; give what was given then to go on, another --name, or "
                    f"--restart to throw away what is there."
                )
        with new_file(path) as work:
            work.write_text(json.dumps(dict(settings), indent=1), encoding="utf-8")

    @property
    def next(self) -> int:
        """The number of the next shard."""
        return 1 + max((_number(path) for path in self.folder.glob("shard-*")), default=-1)

    def places(self, files: Sequence[VideoFile], *, others: bool = False) -> dict[str, Place]:
        """Return id -> where a video lies that is done, by id; of several tries the last one with features.

        Parameters
        ----------
        files
            The videos that are asked for; what was made of a file with another stamp does not count.
        others
            Whether to return the other videos of the journal, too.
        """
        stamps = {file.id: file.stamp for file in files}
        found: dict[str, Place] = {}
        for number, records in read_shards(self.folder, self.key).items():
            row = clip = 0
            for record in records:
                wanted = stamps.get(record.id, record.stamp if others else None) == record.stamp
                if wanted and (record.length or record.id not in found or not found[record.id].record.length):
                    found[record.id] = Place(record, number, row, clip)
                row, clip = row + record.length, clip + record.clips
        return dict(sorted(found.items()))

    def open(self, number: int) -> tuple[NDArray[np.float32], pyarrow.Table]:
        """Return the features, (n, D), mapped from disk, and the clips of a shard where a video has any."""
        import pyarrow.parquet as pq

        folder = _folder(self.folder, number)
        return np.load(folder / ROWS, mmap_mode="r", allow_pickle=False), pq.read_table(folder / CLIPS)

    def adopt(self, folder: Path, records: Sequence[VideoRecord]) -> None:
        """Make the first shard of a feature set's folder; its files are linked, or copied where that does not go."""
        with new_directory(_folder(self.folder, 0), replace=True) as work:
            for name in (ROWS, CLIPS):
                try:
                    os.link(folder / name, work / name)
                except OSError:
                    shutil.copyfile(folder / name, work / name)
            _describe(work, self.key, records)

    def remove(self) -> None:
        """Delete it all."""
        shutil.rmtree(self.folder, ignore_errors=True)


def differing(before: Settings, now: Settings) -> str:
    """Return which settings differ: ``reader 'this', not 'that' (and other weights)``."""
    names = [name for name in now if before.get(name) != now[name]]
    others = f" (and other {', '.join(names[1:])})" if names[1:] else ""
    return f"{names[0]} {before.get(names[0])!r}, not {now[names[0]]!r}{others}" if names else ""


def write_shard(folder: Path, number: int, key: str, videos: Sequence[Extracted]) -> None:
    """Write a shard, whole or not at all.

    Parameters
    ----------
    key
        :attr:`Journal.key`: of the settings that it was made with.

    Raises
    ------
    ZslbenchError
        The disk is full, or cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [video.features for video in videos if video.features is not None]
    with new_directory(_folder(folder, number), replace=True) as work:
        if rows:
            _write_rows(work / ROWS, rows)
            clips = [clip for video in videos for clip in video.clips]
            pq.write_table(pa.Table.from_pylist(clips, clips_schema()), work / CLIPS, compression="zstd")
        _describe(work, key, [video.record for video in videos])


def _describe(work: Path, key: str, records: Sequence[VideoRecord]) -> None:
    shard = _Shard(settings=key, sizes=_sizes(work), videos=list(records))
    (work / _VIDEOS).write_text(shard.model_dump_json(), encoding="utf-8")


def read_shards(folder: Path, key: str) -> dict[int, list[VideoRecord]]:
    """Return number of shard -> what became of its videos, for those that are whole and of these settings."""
    found = {}
    for path in sorted(folder.glob("shard-*"), key=_number):
        with contextlib.suppress(OSError, ValidationError):
            shard = _Shard.model_validate_json((path / _VIDEOS).read_bytes())
            if shard.settings == key and shard.sizes == _sizes(path):
                found[_number(path)] = shard.videos
    return found


def _sizes(shard: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in shard.iterdir() if path.name in (ROWS, CLIPS)}


def clips_schema() -> pyarrow.Schema:
    """Return the columns of ``clips.parquet``, a row a clip.

    Its video, its number in that, the places of its frames in the decoded stream; of the whole video, how many frames
    were decoded, and the stamp of its file.
    """
    import pyarrow as pa

    frames = pa.list_(pa.int32())
    columns = {"video": pa.string(), "clip": pa.int32(), "frames": frames, "decoded": pa.int32(), "stamp": pa.string()}
    return pa.schema(columns)


def _folder(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:06d}"


def _number(path: Path) -> int:
    return int(path.name.removeprefix("shard-"))


def _write_rows(path: Path, rows: Sequence[NDArray[np.float32]]) -> None:
    """Write (n, D) arrays as one; by hand, because numpy's own writing hides why a disk takes no more."""
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
        elif path.name != ".lock":
            path.unlink()


def _lock(folder: Path) -> IO[str]:
    """Return the open lock file; the system unlocks it when the process ends, however it ends."""
    stream = (folder / ".lock").open("w")
    try:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows: no two extractions of one name at a time, please
        pass
    except BlockingIOError as error:
        stream.close()
        raise ZslbenchError(
            f"another zslbench extract is at work in {folder}; wait for its end, or choose another --name."
        ) from error
    return stream
