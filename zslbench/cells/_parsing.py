"""Parse the JSON files of a stored cell, and say so if a newer version of zslbench wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from zslbench.cells._sums import check_content
from zslbench.cells.cell import RECIPE, Cell
from zslbench.errors import ZslbenchError, parsed

_M = TypeVar("_M", bound=BaseModel)
_NEWER = "a newer version of zslbench wrote it; update zslbench"


def read_part(model: type[_M], path: Path, sums: dict[str, str]) -> _M:
    """Return the contents of a file that has its checksum in ``sums``.

    Raises
    ------
    ZslbenchError
        It cannot be read; the message is the reason in a few words.
    """
    try:
        content = path.read_bytes()
        check_content(path.name, content, sums)
        found = parsed(model, content)
    except OSError as error:
        why = error.strerror or str(error)
    except ValueError as error:
        cause = error.__cause__
        why = (isinstance(cause, ValidationError) and _newer(cause.errors())) or str(error)
    else:
        if not isinstance(found, Cell) or found.recipe <= RECIPE:
            return found
        why = f"recipe {found.recipe} is unknown, so {_NEWER}"
    raise ZslbenchError(f"{path.name}: {why}")


def _newer(errors: list[ErrorDetails]) -> str:
    """Return what is unknown here, if anything; its checksum is right, so a newer version wrote it."""
    for error in errors:
        where = ".".join(map(str, error["loc"]))
        if error["type"] == "extra_forbidden":
            return f"the field {where} is unknown, so {_NEWER}"
        if error["type"] in ("enum", "literal_error"):
            return f"the {where} {error['input']!r} is unknown, so {_NEWER}"
    return ""
