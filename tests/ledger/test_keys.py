"""Keys of published figures: all different, readable, found by a part."""

import pytest

from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.ledger.keys import find_published, key_of, published_keys
from zslbench.ledger.published import published_results


def test_every_figure_has_a_key_of_its_own_that_leads_back_to_it():
    keys = published_keys()
    assert list(map(id, keys.values())) == list(map(id, published_results()))
    for key in list(keys)[::20]:
        assert find_published(key) is keys[key]
        assert key_of(keys[key]) == key


def test_a_key_names_the_metric_the_source_or_a_number_only_where_it_has_to():
    by_system = {}
    for key, row in published_keys().items():
        by_system.setdefault((row.system, row.dataset), []).append(key)
    assert by_system["SYNC", "ucf101"] == ["sync@ucf101:truze-v1"]
    assert by_system["KDICA", "ucf101"] == ["kdica@ucf101:80/20:1", "kdica@ucf101:80/20:2"]
    assert {"x-clip-b-16@ucf101:clip-official3:froster", "x-clip-b-16@ucf101:clip-official3:x-clip"} <= set(
        by_system["X-CLIP B/16", "ucf101"]
    )
    assert "devise@kinetics-zsar:kzsar-3:top5" in by_system["DeViSE", "kinetics-zsar"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("FROSTER B/16@ucf101:official3", "froster-b-16@ucf101:clip-official3"),
        ("eszsl@hmdb51", "eszsl@hmdb51:50/50"),
        ("vifi-clip b/16@hmdb51:base-to-novel:hm:vifi", "vifi-clip-b-16@hmdb51:base-to-novel:hm:vifi-clip"),
    ],
)
def test_a_part_is_enough_if_only_one_figure_has_it(text, key):
    assert key_of(find_published(text)) == key


def test_a_whole_system_wins_over_systems_that_contain_its_name():
    assert find_published("sje@ucf101").system == "SJE"


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("kdica", ZslbenchError, "2 published figures: kdica@ucf101:80/20:1"),
        ("kdicb@ucf101:80/20:1", NotFoundError, "Did you mean kdica@ucf101:80/20:1"),
        ("sync@kinetics400", NotFoundError, "no published figure has the key"),
    ],
)
def test_none_or_several_end_with_one_sentence(text, error, says):
    with pytest.raises(error, match=says):
        find_published(text)
