"""Verdicts of ``zslbench check``, one file per method source and version of zslbench, in the data root."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.cells.source import source_digest
from zslbench.cells.store import Record
from zslbench.errors import ZslbenchError
from zslbench.files import data_root, new_file
from zslbench.method import Method
from zslbench.registry import get_method
from zslbench.version import __version__

_OWN = {"zslbench", "zslbench_methods"}


class Checked(BaseModel):
    """What ``zslbench check`` found for the source of one method.

    Attributes
    ----------
    version
        The version of zslbench whose checks ran.
    time
        When they ended, in seconds since 1970.
    failed, expected
        Names of the checks that failed, and of those that the method declares to fail.

    Examples
    --------
    >>> Checked(version="0.2.0", time=0.0, failed=("determinism",)).passed
    False
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    time: float
    failed: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed


def _path(method_digest: str) -> Path:
    return data_root() / "checks" / f"{method_digest}-{__version__}.json"


def write_checked(method: type[Method], failed: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """Keep the verdict on a method's source, in place of an earlier one."""
    path = _path(source_digest(method))
    path.parent.mkdir(parents=True, exist_ok=True)
    verdict = Checked(version=__version__, time=time.time(), failed=failed, expected=expected)
    with new_file(path) as work:
        work.write_text(verdict.model_dump_json(), encoding="utf-8")


def read_checked(method_digest: str) -> Checked | None:
    """Return the verdict on a method's source by this version of zslbench, or ``None`` if it was not checked."""
    try:
        return Checked.model_validate_json(_path(method_digest).read_bytes())
    except (OSError, ValidationError):
        return None


def passed_checks(record: Record) -> bool:
    """Return whether a cell's method had passed the checks when it ran, or the same source has passed them since."""
    known = record.result.checked
    verdict = Checked.model_validate(known) if known else read_checked(record.cell.method_digest)
    return verdict is not None and verdict.passed


def is_own(method: type[Method]) -> bool:
    """Return whether a method and its parts are zslbench's, whose tests check them."""
    return {part.__module__.partition(".")[0] for part in (method, *method.parts)} <= _OWN


def refuse_unchecked(names: list[str]) -> None:
    """Refuse methods of other packages that have not passed ``zslbench check`` with their present source.

    Raises
    ------
    ZslbenchError
        A method has not passed.
    """
    for name in dict.fromkeys(names):
        method = get_method(name)
        if is_own(method):
            continue
        found = read_checked(source_digest(method))
        if found is None or not found.passed:
            why = f"failed the checks {', '.join(found.failed)}" if found else "was not checked with its present source"
            raise ZslbenchError(f"--strict refuses {name}: it {why}; run 'zslbench check {name}'.")
