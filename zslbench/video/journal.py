"""The journal of an extraction: finished shards, and the settings that they were made with.

``.extract-<name>/`` beside the future feature set holds ``settings.json`` and one folder a shard, renamed into place
when it is whole: ``features.npy``, the rows of its videos one after the other, and ``shard.json``, what became of each.
Whenever a process is killed, no more is lost than the shards that it was at.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.paths import new_directory

Settings = Mapping[str, str]
_ROWS, _VIDEOS = "features.npy", "shard.json"


class VideoRecord(BaseModel):
    """What became of one video of a shard; see :class:`zslbench.video.pipeline.VideoFeatures`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    length: int  # rows of features
    n_frames: int
    indices: list[list[int]]
    reason: str = ""
    by_network: bool = False
    warnings: list[str] = []


class _Shard(BaseModel):
    settings: str
    nbytes: int
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
        with contextlib.suppress(
            FileNotFoundError, ValueError
        ):  # ValueError: killed while writing it, before any shard
            before = json.loads(path.read_text(encoding="utf-8"))
            if changed := [name for name in settings if before.get(name) != settings[name]]:
                name = changed[0]
                others = f" (and other {', '.join(changed[1:])})" if changed[1:] else ""
                raise ZslbenchError(
                    f"this extraction was begun with {name} {before.get(name)!r}, not {settings[name]!r}{others}; give "
                    f"what was given then to go on, another --name, or --restart to throw away what is there."
                )
            return
        path.write_text(json.dumps(dict(settings), indent=1), encoding="utf-8")

    def done(self) -> dict[int, list[VideoRecord]]:
        """Return number of shard -> what became of its videos, for those that are whole."""
        found = {}
        for path in self.folder.glob("shard-*"):
            with contextlib.suppress(ZslbenchError):
                found[int(path.name.removeprefix("shard-"))] = read_shard(self.folder, path.name, self.key)
        return dict(sorted(found.items()))

    def rows(self, number: int) -> NDArray[np.float32] | None:
        """Return the features of a finished shard, (n, D), mapped from disk; ``None`` where no video has any."""
        path = self.folder / f"shard-{number:06d}" / _ROWS
        return np.load(path, mmap_mode="r", allow_pickle=False) if path.is_file() else None

    def remove(self) -> None:
        """Delete it all."""
        shutil.rmtree(self.folder, ignore_errors=True)


def write_shard(
    folder: Path, number: int, key: str, videos: Sequence[VideoRecord], rows: Sequence[NDArray[np.float32]]
) -> None:
    """Write a shard, whole or not at all.

    Parameters
    ----------
    key
        :attr:`Journal.key`: of the settings that it was made with.
    videos
        What became of each.
    rows
        The features, (n, D) each, of those that have any.

    Raises
    ------
    ZslbenchError
        The disk is full, or cannot be written.
    """
    with new_directory(folder / f"shard-{number:06d}", replace=True) as work:
        nbytes = _write_rows(work / _ROWS, rows) if rows else 0
        shard = _Shard(settings=key, nbytes=nbytes, videos=list(videos))
        (work / _VIDEOS).write_text(shard.model_dump_json(), encoding="utf-8")


def read_shard(folder: Path, name: str, key: str) -> list[VideoRecord]:
    """Return what became of the videos of a shard.

    Raises
    ------
    ZslbenchError
        It is damaged, or was made with other settings.
    """
    path = folder / name
    try:
        shard = _Shard.model_validate_json((path / _VIDEOS).read_bytes())
        size = (path / _ROWS).stat().st_size if shard.nbytes else 0
    except (OSError, ValidationError) as error:
        raise ZslbenchError(f"{path} is damaged; remove it and run the same command again.") from error
    if shard.settings != key or size != shard.nbytes:
        raise ZslbenchError(f"{path} is not of this extraction; remove it and run the same command again.")
    return shard.videos


def _write_rows(path: Path, rows: Sequence[NDArray[np.float32]]) -> int:
    """Write (n, D) arrays as one; by hand, because numpy's own writing hides why a disk takes no more."""
    n = sum(len(each) for each in rows)
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, rows[0].shape[1])}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for each in rows:
            stream.write(np.ascontiguousarray(each, dtype="<f4").data)
        return stream.tell()


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
