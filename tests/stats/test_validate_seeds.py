"""``tools/validate_seeds.py`` compares seeds of one method as ``zslbench compare`` compares methods."""

import importlib.util

import numpy as np
import pytest
from conftest import ROOT
from fakes import fake_record

from zslbench.errors import ZslbenchError
from zslbench.leaderboard.comparison import Settings, compare

NAMES = tuple(f"class {i:02d}" for i in range(12))


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("validate_seeds", ROOT / "tools" / "validate_seeds.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runs(shift=0, method="net", seeds=2, splits=2):
    """Cells of a method whose later seeds are right in ``shift`` more videos of every class."""
    rng = np.random.default_rng(1)
    return [
        fake_record(method, split, seed=seed, names=NAMES, scored=(100,) * 12,
                    top1=tuple((rng.integers(20, 60, 12) + shift * seed).tolist()))
        for seed in range(seeds) for split in range(splits)
    ]  # fmt: skip


def test_its_test_over_classes_and_runs_is_that_of_compare(tool):
    records = runs(shift=4)
    ((found,),) = [tool.winners(tool.accuracies(records), 2, level) for level in (1.0,)]
    assert found.tolist() == [True, True]
    # compare() on the same cells, each seed as a method of its own
    as_methods = [fake_record(f"seed {r.cell.seed}", r.cell.split, names=NAMES, scored=(100,) * 12,
                              top1=r.result.classes.top1) for r in records]  # fmt: skip
    (table,) = compare(as_methods, settings=Settings(metric="top1_per_class"), defaults=lambda label: {})
    p = table.comparisons[0].result.p
    accuracy = tool.accuracies(records)
    assert not tool.winners(accuracy, 2, p * 0.999)[0, 1]
    assert tool.winners(accuracy, 2, p * 1.001)[0, 1]


def test_equal_seeds_have_no_winner_and_far_ones_always_have(tool):
    assert tool.winners(tool.accuracies(runs(shift=40)), 1).all()
    same = tool.accuracies(runs(seeds=1))
    assert not tool.winners(np.concatenate([same, same]), 1).any()


def test_the_table_counts_pairs_of_seeds_and_subsets_of_splits(tool):
    records = runs(seeds=3, splits=2) + runs(method="other", seeds=3, splits=2)
    lines = [line for line in tool.measure(records).splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    where = [f"{records[0].cell.dataset}@{records[0].cell.features}", "xu-50/50", "12"]
    assert [cell[:5] for cell in cells] == [
        [*where, "1", "12"],  # two methods, three pairs, two splits
        [*where, "2", "6"],
        ["all", "all", "-", "1", "12"],
        ["all", "all", "-", "2", "6"],
    ]


def test_a_method_that_lacks_a_family_is_refused(tool):
    of_both = [fake_record(method, seed=seed, family="truze-v1") for method in ("net",) for seed in (0, 1)]
    with pytest.raises(ZslbenchError, match="truze-v1: a method has no cell"):
        tool.measure(runs() + runs(method="other") + of_both)


def test_a_seed_without_a_split_is_refused(tool):
    with pytest.raises(ZslbenchError, match="net: a seed lacks a split"):
        tool.accuracies(runs()[:-1])
