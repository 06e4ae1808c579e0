"""The folder of imported data, and writing files and folders completely or not at all."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import pickle
import re
import shutil
import tomllib
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from zslbench.digests import file_sha256
from zslbench.errors import NotFoundError, ZslbenchError, each_once

DATA_ROOT_VARIABLE = "ZSLBENCH_DATA_ROOT"
UNFINISHED = ".unfinished-"
_ATTEMPTS = 20  # renames before giving up: each fails only if another process wrote the same folder in between
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of renameat2(2)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LARGEST_TEXT = 1 << 28  # bytes of a JSON, TOML or text file
_MOST_LEVELS = 100  # of lists and mappings inside each other; Python's own functions end at some hundreds
_LARGEST_UNPACKED, _MOST_TIMES = 1 << 30, 100  # bytes of an archive's content, and times its own size
_LONGEST_NAME = 200  # a file name has 255 bytes: temporary names and endings need some


def data_root() -> Path:
    """Return the folder of imported data: ``$ZSLBENCH_DATA_ROOT`` or the user's own data folder."""
    chosen = os.environ.get(DATA_ROOT_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("zslbench"))


def fix_data_root() -> None:
    """Make a relative ``$ZSLBENCH_DATA_ROOT`` absolute, before a plugin can change the working directory."""
    if os.environ.get(DATA_ROOT_VARIABLE):
        os.environ[DATA_ROOT_VARIABLE] = str(data_root().absolute())


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


@contextlib.contextmanager
def reading(path: Path, remedy: str = "copy or save it again", *, says: str = "") -> Iterator[None]:
    """Replace what a library raises on a missing, damaged or hostile file by one sentence.

    Only calls of libraries belong inside: an error of other code would be taken for one of the file.

    Parameters
    ----------
    remedy
        What to do, at the end of the sentence.
    says
        The beginning of the sentence instead of "PATH cannot be read".

    Raises
    ------
    NotFoundError
        There is no such file.
    ZslbenchError
        It cannot be read.
    """
    try:
        yield
    except ZslbenchError:
        raise
    except FileNotFoundError as error:
        absent = f"{says} ({_reason(error)});" if says else f"there is no {path}; check the path, or"
        raise NotFoundError(f"{absent} {remedy}.") from error
    except pickle.UnpicklingError as error:
        raise ZslbenchError(
            f"{path.name} contains pickled Python objects, which could run code; save only tensors or plain arrays."
        ) from error
    except Exception as error:  # each library has its own exceptions for bytes that it does not expect
        if isinstance(error, OSError) and error.errno in _FULL:  # of what is written from the file
            raise
        raise ZslbenchError(f"{says or f'{path} cannot be read'} ({_reason(error)}); {remedy}.") from error


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    # Libraries quote the bytes that they could not read: a terminal should not see those.
    return "".join(c for c in text.strip().splitlines()[0] if c.isprintable())[:200].rstrip(". ")


def read_text(path: Path, remedy: str = "save it as text in UTF-8", *, says: str = "") -> str:
    """Return the text of a file in UTF-8, without a byte order mark (see :func:`reading` for what it raises)."""
    with reading(path, remedy):
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_TEXT + 1)
        if len(content) > _LARGEST_TEXT:  # or an endless device
            raise ValueError(f"it is larger than {_LARGEST_TEXT >> 20} MiB")
    with reading(path, remedy, says=says):
        return content.decode("utf-8-sig")


def read_toml(path: Path, remedy: str = "fix the file") -> dict[str, Any]:
    """Return the contents of a TOML file (see :func:`reading` for what it raises)."""
    says = f"{path} cannot be read: it is not valid TOML"
    text = read_text(path, remedy, says=says)
    with reading(path, remedy, says=says):
        found: dict[str, Any] = check_depth(tomllib.loads(text))
        return found


def read_json(path: Path, remedy: str = "fix the file", *, says: str = "") -> Any:
    """Return the contents of a JSON file; a key that occurs twice is refused (see :func:`reading` for the errors)."""
    says = says or f"{path} cannot be read: it is not valid JSON"
    text = read_text(path, remedy, says=says)
    with reading(path, remedy, says=says):
        return check_depth(json.loads(text, object_pairs_hook=each_once))


def check_depth(value: Any) -> Any:
    """Return lists and mappings that came from a user, if they are not nested too deeply.

    Raises
    ------
    ValueError
        They are: printing or digesting them could end the process.
    """
    level = [value]
    for _ in range(_MOST_LEVELS):
        level = [
            inner for each in level if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]  # fmt: skip
        if not level:
            return value
    raise ValueError(f"it is nested more than {_MOST_LEVELS} levels deep")


def check_archive(path: Path) -> None:
    """Refuse a zip archive that would fill the memory with what a few bytes unpack to.

    Raises
    ------
    ZslbenchError
        It is damaged, or unpacks to more than a gigabyte and to 100 times its size.
    """
    with reading(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > max(_LARGEST_UNPACKED, _MOST_TIMES * path.stat().st_size):
            raise ValueError(f"it is {path.stat().st_size:,} bytes and would unpack to {unpacked / 1e9:,.1f} GB")


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


def remove_directory(folder: Path) -> None:
    """Remove a directory; nobody sees it half removed, because it is renamed first."""
    work = folder.with_name(f"{UNFINISHED}{uuid.uuid4().hex[:8]}-{folder.name}")
    folder.rename(work)
    shutil.rmtree(work)


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
    if _exchange(work, final):
        return  # what was replaced has the name ``work`` now, and is deleted with it
    # A folder cannot be renamed onto one that has files, so the old one is moved away first. Between the two renames
    # another process may put its own folder there: try again.
    for attempt in range(_ATTEMPTS):
        old = final.parent / f"{UNFINISHED}old-{uuid.uuid4().hex[:8]}"
        try:
            with contextlib.suppress(FileNotFoundError):
                final.rename(old)
            work.rename(final)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == _ATTEMPTS - 1:
                raise
        finally:
            with contextlib.suppress(OSError):  # it is there again or was replaced
                if not final.exists():
                    old.rename(final)
            shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, so that a killed process leaves one of them; return whether that was possible.

    Linux can, on most file systems, if both folders exist.
    """
    import ctypes

    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


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


def read_csv(path: Path, mark: str = "") -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a user's CSV file, and the number of the line and the values of each row that has some.

    It raises what :func:`reading` raises.
    """
    # pandas is not used: it loses the line number of rows after blank lines or quoted line breaks.
    remedy, says = "save it as a CSV in UTF-8", f"{path.name} cannot be read"
    text = read_text(path, remedy, says=says)
    with reading(path, remedy, says=says):
        # strict: without it, an unclosed quotation mark would silently swallow all later lines.
        first = text.partition("\n")[0]
        # Spreadsheets of some languages write semicolons.
        mark = mark or next((each for each in ",;\t" if each in first), ",")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
        header = [name.strip() for name in next(reader, [])]
        return header, [(reader.line_num, [value.strip() for value in row]) for row in reader if any(row)]


def read_lines(path: Path, remedy: str) -> list[str]:
    """Return the lines of a text file in UTF-8, with or without a byte order mark, without spaces around them.

    Raises
    ------
    ZslbenchError
        It cannot be read; the sentence ends with ``remedy``.
    """
    return [line.strip() for line in read_text(path, remedy).splitlines()]
