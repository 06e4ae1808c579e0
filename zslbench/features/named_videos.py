"""Read the ids and classes of videos from their paths and labels, as an import of features does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zslbench.datasets.dataset import Dataset
from zslbench.features._list_files import table_of_rows


def named_videos(
    dataset: Dataset, path: Path, rows: Sequence[tuple[str, str]], class_list: Path | None = None
) -> tuple[list[str], list[str]]:
    """Return the ids and classes of a file that has the path and the label of each row, as an import reads them.

    Raises
    ------
    ZslbenchError
        A class is unknown, or the number of a class contradicts the folder or the id; or a video occurs twice.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> named_videos(get_dataset("hmdb51"), Path("i3d.mat"), [("/data/run/a.avi", ""), ("/data/walk/b.avi", "")])
    (['a', 'b'], ['run', 'walk'])
    """
    table = table_of_rows(dataset, path, rows, class_list)
    return table.ids, table.classes
