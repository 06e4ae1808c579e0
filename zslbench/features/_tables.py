"""Features as text: tables of numbers (CSV, TSV, spaces), Parquet and JSON, of one video or of one row per video."""

from __future__ import annotations

import contextlib
import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.features._arrays import Array, arrays_inside, sliced
from zslbench.files import check_depth, read_json, read_text

if TYPE_CHECKING:
    import pandas as pd

_NUMBERED = re.compile(r"(?P<stream>.*?)[\s_.-]*(?P<number>\d+)")  # f0, rgb_12, 7
_IDS = re.compile(r"^(video|clip|file)|(^|_)(id|name|path|file)s?$", re.IGNORECASE)
_LARGE = "save the features as an .npz"
_FEWEST = 2  # numbers per row that are features and not a label
_ROWS = 3  # numbers from which 0, 1, 2, ... is no chance


def table(path: Path, _: contextlib.ExitStack) -> dict[str, Array]:
    """Return the columns of a CSV, a TSV or a text of numbers; numbered columns (``f0``, ``f1``, ...) are one array."""
    import pandas as pd

    with path.open(encoding="utf-8-sig") as lines:
        first = next((line.strip() for line in lines if line.strip()), "")
    mark = next((mark for mark in "\t;," if mark in first), None)
    cells = [cell.strip(' "') for cell in (first.split(mark) if mark else first.split())]
    numbers = [float(cell) for cell in cells if _is_number(cell)]
    titled = 2 * len(numbers) < len(cells) or (len(numbers) >= _ROWS and _counts(np.array(numbers)))
    ids = {name: str for name in cells if _IDS.search(name)} if titled else {}  # 00012 is no number
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows that are longer than the header
        rows = pd.read_csv(
            path,
            sep=mark or r"\s+",
            header=0 if titled else None,
            dtype=ids,
            encoding="utf-8-sig",
            index_col=False,
        )
    return _arrays(path, rows, titled=titled)


def parquet(path: Path, _: contextlib.ExitStack) -> dict[str, Array]:
    """Return the columns of a Parquet file, also those of lists."""
    import pandas as pd

    rows = pd.read_parquet(path)
    rows = rows if isinstance(rows.index, pd.RangeIndex) else rows.reset_index()  # it may have the ids
    lists = [name for name in rows if any(isinstance(v, np.ndarray) for v in rows[name].dropna()[:1])]
    whole = {name: [_stacked(value) for value in rows[name]] for name in lists}
    found = {str(name): array for name in lists for array in arrays_inside(whole[name]).values()}
    return found | _arrays(path, rows.drop(columns=lists), titled=True)


def _stacked(value: NDArray[Any] | None) -> NDArray[Any]:
    """Return lists of lists as one array, and nothing as an empty one."""
    held = np.zeros(0, dtype=np.float32) if value is None else value
    return np.stack(held.tolist()) if held.dtype.hasobject and len(held) else held


def json_arrays(path: Path, _: contextlib.ExitStack) -> dict[str, Array]:
    """Return the arrays of a JSON file, or of one JSON object per line."""
    if path.suffix.lower() == ".json":
        return arrays_inside(read_json(path, _LARGE))
    lines = filter(str.strip, read_text(path, _LARGE).splitlines())
    return arrays_inside([check_depth(json.loads(line)) for line in lines])


def _arrays(path: Path, rows: pd.DataFrame, *, titled: bool) -> dict[str, Array]:
    if rows.empty:
        raise ValueError("it has no rows")
    numbers = [name for name in rows if rows[name].dtype.kind in "fiu"]
    streams: dict[str, list[Any]] = {}
    for name in rows if titled else ():
        if match := _NUMBERED.fullmatch(str(name)):
            streams.setdefault(match["stream"], []).append(name)
    streams = {stream: names for stream, names in streams.items() if len(names) >= _FEWEST}
    if not streams and len(numbers) >= _FEWEST:
        streams = {"": numbers}
    found = {}
    for stream, names in streams.items():
        _check_columns(path, rows[names])
        found[stream if stream and len(streams) > 1 else "features"] = sliced(rows[names].to_numpy())
    used = {name for names in streams.values() for name in names}
    for name in rows:
        if name not in used:
            found |= arrays_inside(rows[name].tolist(), keys=(name,))
    return found


def _check_columns(path: Path, rows: pd.DataFrame) -> None:
    """Raise if a column of features has other things than numbers, or numbers the rows."""
    for name in rows:
        values = rows[name].to_numpy()
        if values.dtype.kind not in "fiu":
            wrong = next(value for value in values.tolist() if not _is_number(str(value)))
            raise ZslbenchError(f"{path.name}: the column {name} has {wrong!r}, which is no number; fix that row.")
        if len(values) >= _ROWS and _counts(values):
            raise ZslbenchError(
                f"{path.name}: the column {name} ({values[0]:g}, {values[1]:g}, {values[2]:g}, ...) numbers the rows "
                f"and would become a value of each; remove it."
            )


def _counts(values: NDArray[Any]) -> bool:
    """Return whether numbers are 0, 1, 2, ... or 1, 2, 3, ..."""
    return bool(values[0] in (0, 1) and np.array_equal(values, np.arange(len(values)) + values[0]))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
