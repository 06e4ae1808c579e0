"""Count classes whose texts name other classes, the evidence for W17 and N5.

python tools/texts_that_name.py  # shipped texts, and the descriptions in ZSLBENCH_SHARED_DATA
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from zslbench.audit._texts import named_classes
from zslbench.datasets.catalog import dataset_names, get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.semantics.texts import SHIPPED, Texts, open_texts


def _collections(dataset: Dataset) -> Iterator[tuple[str, Mapping[str, Texts]]]:
    if dataset.texts_file:
        yield SHIPPED, open_texts(SHIPPED, dataset)
    path = Path(os.environ["ZSLBENCH_SHARED_DATA"]) / "descriptions" / f"{dataset.name}.json"
    if path.is_file():
        described = json.loads(path.read_text(encoding="utf-8"))
        yield (
            "descriptions",
            {
                dataset.resolve_class(name): Texts.model_validate(
                    [each["definition"], *dict.fromkeys(each["spatial"] + each["temporal"])]
                )
                for name, each in described.items()
            },
        )


if __name__ == "__main__":
    print("| texts | classes | name another class by several words | only by a single word |")
    print("|---|---|---|---|")
    for name in dataset_names():
        dataset = get_dataset(name)
        for kind, texts in _collections(dataset):
            found = named_classes(dataset, texts, frozenset(dataset.classes))
            clear = {owner for owner, _, _, several in found if several}
            single = {owner for owner, *_ in found} - clear
            shares = [f"{len(each)} ({100 * len(each) / len(texts):.0f} %)" for each in (clear, single)]
            print(f"| {name}, {kind} | {len(texts)} | {' | '.join(shares)} |")
