"""The confusion matrix summed over cells, and its picture."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zslbench.report.confusion import confusion_figure, summed_confusion


def write(path, labels, predicted):
    """Write predictions as :mod:`zslbench.run.evaluate` does, two candidates a video."""
    both = [name for best in predicted for name in (best, "never first")]
    columns = {
        "label": pa.array(labels).dictionary_encode(),
        "predicted": pa.FixedSizeListArray.from_arrays(pa.array(both), 2),
    }
    pq.write_table(pa.table(columns), path)
    return path


def test_counts_are_summed_over_cells_by_class_name(tmp_path):
    one = write(tmp_path / "1.parquet", ["run", "run", "sit"], ["run", "sit", "sit"])
    two = write(tmp_path / "2.parquet", ["sit", "wave"], ["wave", "wave"])
    matrix, names = summed_confusion([one, two, tmp_path / "absent.parquet"])
    assert names == ("run", "sit", "wave")
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_no_files_give_nothing(tmp_path):
    assert summed_confusion([tmp_path / "absent.parquet"]) is None


def test_the_picture_shows_shares_and_every_name(tmp_path):
    names = [f"class {i}" for i in range(51)]
    figure = confusion_figure(np.diag(np.arange(51)), names, title="ridge")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == names
    shares = axes.images[0].get_array()
    assert shares[50, 50] == 100
    assert shares[0, 0] == 0  # a class without videos, not a division by zero
    figure.savefig(tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 10_000


def test_names_are_left_out_where_they_could_not_be_read():
    axes = confusion_figure(np.eye(400), [str(i) for i in range(400)]).axes[0]
    assert len(axes.get_yticklabels()) < 50
