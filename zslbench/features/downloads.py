"""Download files that are pinned by their SHA-256 on first sight; a broken download continues where it ended."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from zslbench.digests import file_sha256
from zslbench.errors import ZslbenchError
from zslbench.files import data_root, new_file, read_json

_BLOCK = 1 << 16  # bytes; a broken connection loses less than one block
_ATTEMPTS = 4  # connections per file, each of which continues the last one
_SECONDS = (10, 60)  # to connect, and between two blocks
_PAGE = (b"<!doctype html", b"<html", b"<head")
_Progress = Callable[[int, int], None]
_Starts = Callable[[int | None, int], None]


def pins_file() -> Path:
    """Return the file that records address -> SHA-256, size and day of the first download."""
    return data_root() / "downloads.json"


def download(
    url: str,
    path: Path,
    page: str,
    *,
    sha256: str | None = None,
    progress: _Progress = lambda done, total: None,
    starts: _Starts = lambda size, free: None,
) -> str:
    """Download a file, put it into place when it is complete and right, and return its SHA-256.

    Parameters
    ----------
    page
        Where people find the file; the last resort of messages.
    sha256
        The right digest. Without it, that of the first download counts, which :func:`pins_file` records.
    progress
        Called with (bytes done, all bytes).
    starts
        Called with the number of bytes to come, if the server says it, and the free space in bytes.

    Raises
    ------
    ZslbenchError
        The address cannot be reached, is gone or gives a web page, or the disk is too small. The file ends early, or
        is another one than the first time.

    Examples
    --------
    >>> download("http://127.0.0.1:9/features.zip", Path("features.zip"), "https://example.org")
    Traceback (most recent call last):
    zslbench.errors.ZslbenchError: http://127.0.0.1:9/features.zip cannot be reached (ConnectionError); ...
    """
    expected = sha256 or _pins().get(url, {}).get("sha256")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return _pinned(url, path, path, expected, f"remove {path} to download it again")
    partial = path.with_name(f".partial-{path.name}")
    with _alone(partial):
        _fill(url, partial, page, progress, starts)
        try:
            found = _pinned(
                url, partial, path, expected, f"see {page} for what changed, or remove the entry in {pins_file()}"
            )
        except ZslbenchError:
            partial.unlink()
            _validator(partial).unlink(missing_ok=True)
            raise
        partial.replace(path)
        _validator(partial).unlink(missing_ok=True)
    return found


@contextlib.contextmanager
def _alone(partial: Path) -> Iterator[None]:
    lock = FileLock(f"{partial}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ZslbenchError(
            f"another command downloads {partial.name.removeprefix('.partial-')}; wait for it."
        ) from None
    try:
        yield
    finally:
        lock.release()
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()


def _pinned(url: str, file: Path, final: Path, expected: str | None, remedy: str) -> str:
    """Return the digest of a complete file, and record it if it is the first one."""
    found = file_sha256(file)
    if expected is not None and found != expected:
        raise ZslbenchError(f"{final.name} has the SHA-256 {found}, but it was {expected}; {remedy}.")
    pins = _pins()
    if url not in pins:
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        pins[url] = {"sha256": found, "size": file.stat().st_size, "first": today}
        with new_file(pins_file()) as work:
            work.write_text(json.dumps(pins, indent=1), encoding="utf-8")
    return found


def _pins() -> dict[str, Any]:
    return dict(read_json(pins_file(), "restore or delete it")) if pins_file().exists() else {}


def _validator(partial: Path) -> Path:
    """Return the file that has what identifies the version of a partial file on the server."""
    return partial.with_name(f"{partial.name}.etag")


def _fill(url: str, partial: Path, page: str, progress: _Progress, starts: _Starts) -> None:
    """Load the rest of a partial file; a broken connection is made again a few times."""
    import requests

    broken = ""
    for attempt in range(_ATTEMPTS):
        before = partial.stat().st_size if partial.exists() else 0
        try:
            if _fetch(url, partial, page, progress, starts if attempt == 0 else lambda size, free: None):
                return
            broken = "it ended early"
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ReadTimeout) as error:
            broken = "it ended early" if "Timeout" not in type(error).__name__ else "nothing came for a minute"
        except requests.exceptions.RequestException as error:
            if not before:
                raise ZslbenchError(
                    f"{url} cannot be reached ({type(error).__name__}); check the connection, or get the file from "
                    f"{page}."
                ) from error
            broken = type(error).__name__
    size = partial.stat().st_size if partial.exists() else 0
    raise ZslbenchError(
        f"the download of {url} broke {_ATTEMPTS} times ({broken}), with {size:,} bytes so far; the same command "
        f"continues it."
    )


def _fetch(url: str, partial: Path, page: str, progress: _Progress, starts: _Starts) -> bool:
    """Load what a partial file lacks, and return whether it is complete."""
    import requests

    have = partial.stat().st_size if partial.exists() else 0
    mark = _validator(partial).read_text(encoding="utf-8") if have and _validator(partial).exists() else ""
    headers = {"Accept-Encoding": "identity"}  # sizes and ranges count the file's own bytes
    if mark:  # without it, nobody knows whether the rest is of the same file
        headers |= {"Range": f"bytes={have}-", "If-Range": mark}
    with requests.get(url, headers=headers, stream=True, timeout=_SECONDS) as answer:
        if answer.status_code == 416 and mark:
            partial.unlink()
            return False
        continues = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code != 200 and not continues:
            raise ZslbenchError(f"{url} answers {answer.status_code} {answer.reason}; get the file from {page}.")
        if url.startswith("https:") and not answer.url.startswith("https:"):
            raise ZslbenchError(f"{url} leads to an address without encryption; get the file from {page}.")
        blocks = answer.iter_content(_BLOCK)
        first = next(blocks, b"")
        kind = answer.headers.get("Content-Type", "")
        if not continues and ("text/html" in kind or first.lstrip()[:20].lower().startswith(_PAGE)):
            raise ZslbenchError(f"{url} gives a web page instead of the file; get it by hand from {page}.")
        have = have if continues else 0
        length = answer.headers.get("Content-Length", "")
        left = int(length) if length.isdecimal() else None
        free = shutil.disk_usage(partial.parent).free
        starts(left, free)
        if left is not None and left > free:
            raise ZslbenchError(
                f"{url} needs {left / 1e9:.2f} GB, but {partial.parent} has {free / 1e9:.2f} GB left; free some space, "
                f"or choose another folder with --to."
            )
        _validator(partial).write_text(_mark(answer.headers), encoding="utf-8")
        total = have + left if left is not None else 0
        with partial.open("ab" if continues else "wb") as stream:
            for block in itertools.chain([first], blocks):
                have += stream.write(block)
                progress(have, total or have)
    return left is None or have == total


def _mark(headers: Any) -> str:
    """Return a strong ETag, or the time of the last change; nothing if the server gives neither."""
    etag = headers.get("ETag", "")
    return str(headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag)
