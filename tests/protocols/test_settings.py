"""The catalogue of settings: complete, consistent with the datasets, and with the ledger that names it."""

import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.splits import parse_splits
from zslbench.errors import NotFoundError
from zslbench.families.catalog import find_family, first_family
from zslbench.ledger.published import published_results
from zslbench.protocols.settings import all_settings, get_setting


def test_every_setting_says_what_it_is_and_where_it_is_from():
    for setting in all_settings().values():
        group = setting.group
        texts = (setting.title, group.source, group.trained, group.tested, setting.convention, *group.pitfalls)
        assert all(text.strip() for text in texts)
        assert len(group.pitfalls) >= 3
        assert setting.figure in ("top1", "top1_per_class", "H", "HM")


@pytest.mark.parametrize("setting", all_settings().values(), ids=lambda setting: setting.name)
def test_every_dataset_of_a_setting_has_one_of_its_families_with_these_splits_and_training_classes(setting):
    for name in setting.datasets:
        dataset = get_dataset(name)
        if setting.group.name == "e2e":  # its rule compares imported word vectors
            with pytest.raises(NotFoundError, match="no class vectors 'word2vec' have been imported"):
                find_family(dataset, setting.families[0])
            continue
        family = find_family(dataset, first_family(dataset, setting.families))
        assert parse_splits(setting.splits, len(family))
        trained = {split.seen_dataset for split in family.splits}
        assert trained == {setting.train or None}


def test_the_preferred_family_is_the_first_that_a_dataset_has():
    families = get_setting("80/20").families
    assert first_family(get_dataset("ucf101"), families) == "bidilel-80/20"
    assert first_family(get_dataset("hmdb51"), families) == "random-80/20"


def test_a_row_of_another_dataset_protocol_or_family_is_of_another_setting():
    setting = get_setting("truze-v1")
    assert setting.measured_by("ucf101", "zsl", "truze-v1")
    assert not setting.measured_by("kinetics400", "zsl", "truze-v1")
    assert not setting.measured_by("ucf101", "gzsl", "truze-v1")
    assert not setting.measured_by("ucf101", "zsl", "truze-v2")


def test_no_two_settings_are_the_same():
    keys = [(s.protocol, s.families, s.datasets, s.splits, s.figure) for s in all_settings().values()]
    assert len(set(keys)) == len(keys)


def test_published_percentages_are_of_a_setting_that_prints_their_metric():
    metrics = {
        "top1": {"top1", "top5"}, "top1_per_class": {"mean-per-class"}, "H": set(), "HM": {"base", "novel", "HM"},
    }  # fmt: skip
    without = set()
    for row in published_results():
        if row.setting:
            assert row.metric in metrics[get_setting(row.setting).figure], row
        elif row.in_percent:
            without.add((row.dataset, row.protocol))
    assert without == {("kinetics400", "supervised")}  # the lists of Kinetics-400 are no family here


def test_a_name_that_does_not_exist_suggests_one_that_does():
    with pytest.raises(NotFoundError, match="Did you mean truze-v2"):
        get_setting("truze-v3")
