"""The predictions table holds all that a cell's figures are computed from."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_features, plan

from zslbench.cells.predictions import Predictions, read_predictions
from zslbench.errors import ZslbenchError
from zslbench.method import Report
from zslbench.run.evaluate import evaluate
from zslbench.stats.metrics import Ranked

pytestmark = pytest.mark.versions


def predictions(seed=0, *, n=60, c=9, gzsl=False, levels=None):
    """Return predictions with normal scores, or of so few levels that most are equal."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(c, size=n)
    labels[:2] = [0, c - 1]
    scores = rng.normal(size=(n, c)) if levels is None else rng.integers(levels, size=(n, c)) / 3
    seen = np.arange(c) < c // 2 if gzsl else None
    names = tuple(f"class {i}" for i in range(c))
    factor, protocol = (1 / 3, "gzsl") if gzsl else (None, "zsl")
    return Predictions(tuple(f"v{i}" for i in range(n)), names, Ranked.of(scores, labels, seen), factor, protocol)


@given(seed=st.integers(0, 10_000), gzsl=st.booleans(), levels=st.sampled_from([None, 2, 4]), c=st.sampled_from([3, 9]))
def test_every_figure_and_count_comes_out_of_the_file_to_the_bit(tmp_path_factory, seed, gzsl, levels, c):
    made = predictions(seed, c=c, gzsl=gzsl, levels=levels)
    path = tmp_path_factory.mktemp("p") / "predictions.parquet"
    pq.write_table(made.table(), path)
    found = read_predictions(path)
    assert (found.videos, found.classes, found.factor) == (made.videos, made.classes, made.factor)
    assert found.metrics() == made.metrics()
    assert found.counts() == made.counts()


@pytest.mark.parametrize("protocol", ["zsl", "gzsl"])
def test_a_cells_figures_are_those_of_its_predictions(protocol, tmp_path):
    make_features()
    (cell,) = plan(method="ridge", splits="1", protocol=protocol, set={"ridge": {"alpha": 1.0}})
    outcome = evaluate(cell, Report())
    pq.write_table(outcome.predictions, tmp_path / "predictions.parquet")
    found = read_predictions(tmp_path / "predictions.parquet")
    assert found.metrics() == outcome.result.metrics
    assert found.counts() == outcome.result.classes
    assert found.ranked.best[:, 0].tolist() == outcome.scores.argmax(axis=1).tolist()


@pytest.mark.parametrize("column", ["label", "predicted", "scores", "best_seen", "best_unseen_score"])
def test_a_table_without_a_column_is_refused(tmp_path, column):
    pq.write_table(predictions(gzsl=True).table().drop_columns([column]), tmp_path / "predictions.parquet")
    with pytest.raises(ZslbenchError, match=f"predictions.parquet: .*{column}"):
        read_predictions(tmp_path / "predictions.parquet")


def test_other_files_are_refused_in_a_few_words(tmp_path):
    path = tmp_path / "predictions.parquet"
    for content in (b"", b"PAR1", b"nonsense" * 20):
        path.write_bytes(content)
        with pytest.raises(ZslbenchError, match="^predictions.parquet: "):
            read_predictions(path)
    pq.write_table(predictions().table().replace_schema_metadata({}), path)
    with pytest.raises(ZslbenchError, match="^predictions.parquet: "):
        read_predictions(path)


def _few_bytes(n, text):
    same = pa.DictionaryArray.from_arrays(np.zeros(n, dtype=np.int8), [text])
    return pa.table({"video": same, "label": same})


@pytest.mark.parametrize("table", [_few_bytes(200_000, "a"), _few_bytes(1, "a" * (1 << 27))])
@pytest.mark.slow
def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch, table):
    pq.write_table(table, tmp_path / "predictions.parquet", compression="zstd")
    monkeypatch.setattr(pq.ParquetFile, "read", lambda self: pytest.fail("it was read"))
    with pytest.raises(ZslbenchError, match="it would grow from"):
        read_predictions(tmp_path / "predictions.parquet")
