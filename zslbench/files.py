"""The folder of imported data, and writing files and folders completely or not at all."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import re
import shutil
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from zslbench.digests import file_sha256
from zslbench.errors import NotFoundError, ZslbenchError

DATA_ROOT_VARIABLE = "ZSLBENCH_DATA_ROOT"
UNFINISHED = ".unfinished-"
_ATTEMPTS = 20  # renames before giving up: each fails only if another process wrote the same folder in between
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LONGEST_NAME = 200  # a file name has 255 bytes: temporary names and endings need some


def data_root() -> Path:
    """Return the folder of imported data: ``$ZSLBENCH_DATA_ROOT`` or the user's own data folder."""
    chosen = os.environ.get(DATA_ROOT_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("zslbench"))


def check_name(name: str, noun: str) -> str:
    """Return ``name`` if it can be a file's.

    Parameters
    ----------
    noun
        What it would name, for the message: ``a feature set``.

    Raises
    ------
    ZslbenchError
        It cannot; the message tells what a name may hold.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        shown = repr(name) if len(name) <= _LONGEST_NAME else f"{name[:20]!r}... ({len(name)} characters)"
        raise ZslbenchError(
            f"{shown} cannot name {noun}; use lower-case letters, digits, '.', '_' and '-', {_LONGEST_NAME} at most, "
            f"and begin with a letter or digit."
        )
    return name


def read_toml(path: Path) -> dict[str, Any]:
    """Return the contents of a TOML file.

    Raises
    ------
    NotFoundError
        There is no such file.
    ZslbenchError
        It cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {path}; check the path.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ZslbenchError(f"{path} cannot be read ({error}); fix the file.") from error


@contextlib.contextmanager
def new_directory(final: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``final`` and rename it into place if the body ends without an exception.

    Parameters
    ----------
    final
        The folder that appears, complete, at the end.
    replace
        Whether to replace an existing folder of that name.

    Raises
    ------
    ZslbenchError
        ``final`` exists and ``replace`` is false, or the place cannot be written (permission, full disk).
    """
    if final.exists() and not replace:
        raise ZslbenchError(f"{final} already exists; remove it first or choose another name.")
    with _unfinished(final) as work:
        work.mkdir()
        yield work
        _swap(work, final)


@contextlib.contextmanager
def new_file(final: Path, *, option: str = "") -> Iterator[Path]:
    """Yield a temporary path beside ``final`` and rename it into place if the body ends without an exception.

    An existing file keeps its content until then.

    Parameters
    ----------
    final
        The file that appears, complete, at the end. A device, a pipe or a link is written to directly.
    option
        The option that chose the path. With an option, the folder must exist; without one, it is created.

    Raises
    ------
    ZslbenchError
        The place cannot be written (permission, full disk).
    """
    with _unfinished(final, option) as work:
        # A rename would replace /dev/stdout, a pipe or the link itself by a plain file.
        if final.is_symlink() or (final.exists() and not final.is_file()):
            yield final
        else:
            yield work
            work.replace(final)


@contextlib.contextmanager
def new_files(folder: Path, names: Sequence[str], *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder in ``folder`` and move the files ``names`` from it into place, all or none.

    Raises
    ------
    ZslbenchError
        One exists and ``replace`` is false, or the place cannot be written.
    """
    check_free([folder / name for name in names], replace=replace)
    with _unfinished(folder / names[0]) as work:
        (work / "old").mkdir(parents=True)
        yield work
        _move(work, folder, names)


def check_free(paths: Sequence[Path], *, replace: bool) -> None:
    """Refuse files that exist, unless they may be replaced.

    Raises
    ------
    ZslbenchError
        One exists and ``replace`` is false.
    """
    if (taken := [path for path in paths if path.exists()]) and not replace:
        raise ZslbenchError(f"{taken[0]} already exists; add --overwrite or choose another name.")


@contextlib.contextmanager
def _unfinished(final: Path, option: str = "") -> Iterator[Path]:
    """Yield a free path beside ``final``; whatever is there at the end is deleted, unless it was renamed."""
    # Beside it, because a rename is atomic only within one file system.
    work = final.with_name(f"{UNFINISHED}{uuid.uuid4().hex[:8]}-{final.name}")
    try:
        if not option:
            final.parent.mkdir(parents=True, exist_ok=True)
        elif not final.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(final.parent))
        yield work
    except OSError as error:
        if isinstance(error, FileNotFoundError) and str(final.parent) not in str(error.filename):
            raise
        remedy = f"choose another place with {option}" if option else "free some space or choose another place"
        raise ZslbenchError(f"cannot write {final}: {error.strerror or error}; {remedy}.") from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(work) if work.is_dir() else work.unlink()


def _swap(work: Path, final: Path) -> None:
    """Rename ``work`` to ``final``, and replace what another process may put there at the same time."""
    # A folder cannot be renamed onto one that has files, so the old one is moved away first. Between the two renames
    # another process may put its own folder there: try again.
    for attempt in range(_ATTEMPTS):
        old = final.parent / f"{UNFINISHED}old-{uuid.uuid4().hex[:8]}"
        with contextlib.suppress(FileNotFoundError):
            final.rename(old)
        try:
            work.rename(final)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == _ATTEMPTS - 1:
                raise
        finally:
            shutil.rmtree(old, ignore_errors=True)


def _move(work: Path, folder: Path, names: Sequence[str]) -> None:
    """Move files into place; if one fails, undo all and restore the old files."""
    done: list[str] = []
    try:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                (folder / name).rename(work / "old" / name)
            done.append(name)
            (work / name).rename(folder / name)
    except BaseException:
        for name in done:
            (folder / name).unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                (work / "old" / name).rename(folder / name)
        raise


_CHECKED = "checked.json"


def stamp(folder: Path, files: Iterable[str]) -> None:
    """Record the files' sizes and times, after their checksums were found right."""
    with contextlib.suppress(OSError):  # a read-only data root: checked again next time
        (folder / _CHECKED).write_text(json.dumps(_stamps(folder, files)), encoding="utf-8")


def stamped(folder: Path, files: Iterable[str]) -> bool:
    """Return whether the files still have the recorded sizes and times."""
    with contextlib.suppress(OSError, ValueError):  # no file, or no stamps
        return bool(json.loads((folder / _CHECKED).read_text(encoding="utf-8")) == _stamps(folder, files))
    return False


def damaged(folder: Path, files: Mapping[str, str]) -> str | None:
    """Return the first file that is missing or differs from its SHA-256; if there is none, record sizes and times."""
    for name, expected in files.items():
        if not (folder / name).is_file() or file_sha256(folder / name) != expected:
            return name
    stamp(folder, files)
    return None


def _stamps(folder: Path, files: Iterable[str]) -> dict[str, list[int]]:
    return {name: [(s := (folder / name).stat()).st_size, s.st_mtime_ns] for name in files}


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a user's CSV file, and the number of the line and the values of each row that has some.

    Raises
    ------
    NotFoundError
        There is no such file.
    ZslbenchError
        It is not readable, or no CSV in UTF-8.
    """
    # pandas is not used: it loses the line number of rows after blank lines or quoted line breaks.
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            # strict: without it, an unclosed quotation mark would silently swallow all later lines.
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            return header, [(reader.line_num, [value.strip() for value in row]) for row in reader if any(row)]
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {path}; check the path.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ZslbenchError(f"{path.name} cannot be read ({error}); save it as a CSV in UTF-8.") from error


def read_lines(path: Path, remedy: str) -> list[str]:
    """Return the lines of a text file in UTF-8, with or without a byte order mark, without spaces around them.

    Raises
    ------
    ZslbenchError
        It cannot be read; the sentence ends with ``remedy``.
    """
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ZslbenchError(f"{path} cannot be read ({error}); {remedy}.") from error
