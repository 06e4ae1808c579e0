"""Training on chosen classes of another dataset."""

import pytest
from official import official_features

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.families.catalog import find_family
from zslbench.families.chosen import store_chosen
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan

UCF101 = get_dataset("ucf101")


def written(folder, text, name="sports.txt"):
    path = folder / name
    path.write_text(text)
    return path


def test_the_classes_of_a_file_train_and_all_others_are_tested(tmp_path):
    path = written(tmp_path, "# sports\narchery\n\nBowling\njuggling balls\n")
    assert store_chosen(UCF101, "k400", path) == "k400-sports-to-ucf101"
    (split,) = find_family(UCF101, "k400-sports-to-ucf101").splits
    assert split.seen == ("archery", "bowling", "juggling balls")
    assert (split.unseen, split.seen_dataset) == (tuple(sorted(UCF101.classes)), "kinetics400")
    apart = store_chosen(UCF101, "kinetics400", path, without_overlap=True)
    left_out = set(UCF101.classes) - set(find_family(UCF101, apart).splits[0].unseen)
    assert left_out == {"Archery", "Bowling", "JugglingBalls"}


def test_the_same_file_is_stored_once_and_a_changed_one_needs_another_name(tmp_path):
    path = written(tmp_path, "archery\nbowling\n")
    assert store_chosen(UCF101, "k400", path) == store_chosen(UCF101, "k400", path)
    written(tmp_path, "archery\n")
    with pytest.raises(ZslbenchError, match="has another family k400-sports-to-ucf101; rename sports.txt"):
        store_chosen(UCF101, "k400", path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no class"),
        ("archerie\n", "is no class of kinetics400"),
        ("archery\narchery\n", "a class twice"),
    ],
)
def test_a_wrong_file_gets_one_sentence(tmp_path, text, says):
    with pytest.raises(ZslbenchError, match=says):
        store_chosen(UCF101, "k400", written(tmp_path, text))


def test_a_run_takes_the_file(tmp_path):
    official_features(tmp_path / "raw", clips=1)
    settings = {"dataset": "ucf101", "features": "official", "method": "nearest-text", "train": "k400"}
    path = str(written(tmp_path, "archery\n"))
    (cell,) = make_plan(make_experiment(settings | {"train_classes": path})).cells
    assert (cell.family, cell.seen_dataset) == ("k400-sports-to-ucf101", "kinetics400")
    with pytest.raises(ZslbenchError, match="give --train, and no --family"):
        make_plan(make_experiment(settings | {"train": None, "train_classes": path}))
