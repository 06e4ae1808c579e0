"""The predictions table of a cell: what each figure of the cell is computed from, one row per test video.

``predictions.parquet`` has the columns ``video``, ``label``, ``predicted`` and ``scores``: the best five classes, best
first, and their scores; equal scores are in class order. ``gzsl`` adds ``best_seen``, ``best_seen_score``,
``best_unseen`` and ``best_unseen_score``. The schema's metadata has the classes in their order, which of them are seen,
the protocol and the calibration factor. Scores are float64, so every figure can be computed again exactly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.cell import ClassCounts
from zslbench.errors import ZslbenchError
from zslbench.protocols.protocol import PROTOCOLS, Protocol
from zslbench.stats.metrics import TOP, Labels, Ranked, base_to_novel_metrics, gzsl_metrics, zsl_metrics

_KEY = b"zslbench"
_SMALL, _RATIO = 1 << 26, 200  # bytes that may be unpacked at any ratio, and times the packed size
_SMALL_ROWS = 100_000  # that may be read whatever the file's size


@dataclass(frozen=True)
class Predictions:
    """The predictions of one cell.

    Attributes
    ----------
    videos
        (n,) ids.
    classes
        Names of the test classes, in the order that the method got them.
    ranked
        Labels, best classes and scores, as indices into ``classes``.
    factor
        The calibration factor of ``gzsl``; ``None`` in other protocols.
    protocol
        The protocol, which says how the figures are computed.

    Examples
    --------
    >>> ranked = Ranked.of(np.array([[0.5, 0.5], [0.1, 0.9]]), np.array([1, 1]))
    >>> predictions = Predictions(("v1", "v2"), ("run", "wave"), ranked)
    >>> predictions.metrics()["top1"], predictions.table().column("predicted").to_pylist()
    (0.5, [['run', 'wave'], ['wave', 'run']])
    """

    videos: tuple[str, ...]
    classes: tuple[str, ...]
    ranked: Ranked
    factor: float | None = None
    protocol: Protocol = "zsl"

    def metrics(self) -> dict[str, float]:
        """Return every figure of the cell."""
        tested = PROTOCOLS[self.protocol].tested
        if tested == "both":
            return gzsl_metrics(self.ranked, self.factor)
        return base_to_novel_metrics(self.ranked) if tested == "apart" else zsl_metrics(self.ranked)

    def counts(self) -> ClassCounts:
        """Return the numbers of scored and of correct videos per class."""
        ranked = self.ranked
        scored = np.bincount(ranked.labels, minlength=len(self.classes))
        return ClassCounts(
            names=self.classes,
            unseen=tuple((~ranked.seen).tolist()),
            scored=tuple(scored.tolist()),
            top1=tuple(ranked.class_hits().astype(int).tolist()),
            top5=tuple(ranked.class_hits(TOP).astype(int).tolist()),
        )

    def table(self) -> Any:
        """Return the :class:`pyarrow.Table`."""
        import pyarrow as pa

        ranked, names = self.ranked, np.array(self.classes)
        k = ranked.best.shape[1]

        def named(indices: Labels) -> Any:
            return pa.array(names[indices]).dictionary_encode()

        columns = {
            "video": pa.array(self.videos),
            "label": named(ranked.labels),
            "predicted": pa.FixedSizeListArray.from_arrays(pa.array(names[ranked.best].ravel()), k),
            "scores": pa.FixedSizeListArray.from_arrays(pa.array(ranked.scores.ravel()), k),
        }
        if ranked.best_seen is not None and ranked.best_unseen is not None:
            columns |= {
                "best_seen": named(ranked.best_seen),
                "best_seen_score": pa.array(ranked.seen_scores),
                "best_unseen": named(ranked.best_unseen),
                "best_unseen_score": pa.array(ranked.unseen_scores),
            }
        said = {"classes": self.classes, "seen": ranked.seen.tolist(), "factor": self.factor, "protocol": self.protocol}
        return pa.table(columns).replace_schema_metadata({_KEY: json.dumps(said)})


def read_predictions(path: Path) -> Predictions:
    """Return the predictions of a file.

    Raises
    ------
    FileNotFoundError
        There is none.
    ZslbenchError
        It cannot be read, or is not a predictions table; the message is the reason in a few words.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
        _check_size(metadata, path.stat().st_size)
        columns = [metadata.schema.column(i) for i in range(metadata.num_columns)]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=texts) as file:  # equal texts are not repeated
            table = file.read()
        said = json.loads(table.schema.metadata[_KEY])
        return _parsed(table, said, tuple(said["classes"]), np.array(said["seen"], dtype=bool))
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, RecursionError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ZslbenchError(f"{path.name}: {why}") from error


def _check_size(metadata: Any, packed: int) -> None:
    """Refuse a file that would fill the memory: a few bytes can stand for billions of equal rows or zeros.

    Ids and scores are hardly compressed, so an honest file has some bytes for each row.
    """
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    size = sum(group.column(i).total_uncompressed_size for group in groups for i in range(group.num_columns))
    rows = sum(group.num_rows for group in groups)
    if rows > max(_SMALL_ROWS, packed) or size > max(_SMALL, _RATIO * packed):
        raise ValueError(f"it would grow from {packed:,} to {size:,} bytes and {rows:,} rows")


def _parsed(table: Any, said: Mapping[str, Any], classes: tuple[str, ...], seen: NDArray[np.bool_]) -> Predictions:
    factor, protocol = said["factor"], said.get("protocol", "gzsl" if seen.any() else "zsl")  # none in older tables
    tested = PROTOCOLS[protocol].tested
    if {"unseen": seen.any(), "seen": not seen.all()}.get(tested, seen.all() or not seen.any()):
        raise ValueError(f"its seen classes are not those of {protocol}")
    n, k = table.num_rows, min(TOP, len(classes))
    if tested == "apart":
        k = int(min(k, seen.sum(), (~seen).sum()))
    if len(seen) != len(classes) or len(set(classes)) != len(classes) or not n:
        raise ValueError("it has no videos, or its classes are not those of its metadata")
    if factor is not None and not isinstance(factor, float):
        raise ValueError("its calibration factor is no number")

    def indices(name: str, width: int = 1) -> Labels:
        return _indices(_values(table, name, n * width), classes)

    def numbers(name: str, width: int = 1) -> NDArray[np.float64]:
        found = np.array(_values(table, name, n * width).to_numpy(zero_copy_only=False))
        if found.dtype != np.float64 or not np.isfinite(found).all():
            raise ValueError(f"{name} is not finite float64")
        return found

    best, scores = indices("predicted", k).reshape(n, k), numbers("scores", k).reshape(n, k)
    pairs: list[Any] = []
    if tested == "both":
        pairs = [indices("best_seen"), numbers("best_seen_score"), indices("best_unseen"), numbers("best_unseen_score")]
    ranked = Ranked(indices("label"), best, scores, seen, *pairs)
    found = _encoded(_values(table, "video", n))
    names = found.dictionary.to_pylist()
    return Predictions(tuple(map(names.__getitem__, found.indices.to_pylist())), classes, ranked, factor, protocol)


def _values(table: Any, name: str, length: int) -> Any:
    """Return the values of a column, of lists one after the other."""
    import pyarrow as pa

    column = table[name].combine_chunks()
    column = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    if len(column) != length or column.null_count:
        raise ValueError(f"{name} has not {length} values")
    return column


def _indices(column: Any, classes: tuple[str, ...]) -> Labels:
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = _encoded(column)
    found = pc.index_in(encoded.dictionary, pa.array(classes)).take(encoded.indices)
    if found.null_count:
        raise ValueError("it names a class that is not one of its classes")
    return np.array(found.to_numpy(), dtype=np.int64)


def _encoded(column: Any) -> Any:
    """Return a column of texts as a dictionary array, which has equal texts once."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    if not pa.types.is_string(column.type.value_type):
        raise ValueError(f"it has {column.type.value_type} where texts are expected")
    return column
