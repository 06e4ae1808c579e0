"""Who reports which setting, and which setting a source and options mean."""

import pytest

from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.ledger.published import published_results
from zslbench.ledger.reported import choose_setting, datasets_here, papers_of, reported_by


def test_the_sources_of_a_setting_are_those_of_its_rows():
    assert papers_of("kinetics-zsar") == ["bike", "froster", "sti", "tc-clip", "vifi-clip", "x-clip"]
    assert papers_of("gzsl-50/50") == []
    assert reported_by("sti") == {
        "kinetics-zsar": ("kinetics600",), "k400->ucf101": ("ucf101",), "k400->hmdb51": ("hmdb51",),
    }  # fmt: skip


def test_e2e_and_frozen_clip_are_not_of_the_setting_of_the_table_that_quotes_them():
    found = {row.system: row.setting for row in published_results() if row.dataset == "ucf101" and row.paper}
    assert found["E2E"] in ("k700-e2e->ucf101/halves", "truze-v1")
    rows = [row for row in published_results() if row.system == "E2E" and row.protocol == "50/50"]
    assert {row.setting for row in rows} == {"k700-e2e->ucf101/halves", "k700-e2e->hmdb51/halves"}
    lists = [row for row in published_results() if row.protocol == "clip-official3"]
    assert {row.system for row in lists if row.setting == "official-lists"} == {"Frozen CLIP B/16"}


def test_a_row_of_kinetics_zsar_is_tested_on_kinetics_600():
    row = next(row for row in published_results() if row.setting == "kinetics-zsar")
    assert (row.dataset, datasets_here(row)) == ("kinetics-zsar", ("kinetics600",))


def test_options_choose_among_the_settings_of_a_source():
    setting, datasets = choose_setting("x-clip", {"dataset": ["kinetics600"]})
    assert (setting.name, datasets) == ("kinetics-zsar", ("kinetics600",))
    setting, _ = choose_setting("action2vec", {"dataset": ["ucf101"], "family": ["random-80/20"]})
    assert setting.name == "80/20"
    setting, datasets = choose_setting("bike:k400->hmdb51/halves", {})
    assert (setting.name, datasets) == ("k400->hmdb51/halves", ("hmdb51",))


def test_zero_shot_settings_come_first_unless_the_protocol_is_given():
    assert choose_setting("x-clip", {"dataset": ["ucf101"]})[0].name == "k400->ucf101/lists"
    setting, _ = choose_setting("bike", {"dataset": ["ucf101"], "protocol": ["supervised"]})
    assert setting.name == "supervised-list-1"
    assert choose_setting("vifi-clip:2-shot", {"dataset": ["ucf101"]})[0].protocol == "few-shot"


@pytest.mark.parametrize(
    ("text", "given", "says"),
    [
        ("bike", {"dataset": ["ucf101"]}, r"2 settings: k400->ucf101 \(zsl of ucf101, splits all\)"),
        ("zsarcap:truze-v1", {"splits": ["3"]}, "--splits 3 contradicts --protocol-of zsarcap:truze-v1"),
        ("zsarcap", {"protocol": ["gzsl"]}, "--protocol gzsl contradicts"),
        ("sti", {"dataset": ["kinetics400"]}, "--dataset kinetics400 contradicts --protocol-of sti: sti reports kin"),
        ("truze", {}, "no source of the ledger is called 'truze'"),
        ("bike:truze-v1", {}, "bike reports no setting 'truze-v1'"),
    ],
)
def test_what_contradicts_a_source_or_leaves_it_open_is_refused_with_its_settings(text, given, says):
    with pytest.raises(ZslbenchError, match=says):
        choose_setting(text, given)


def test_an_unknown_source_is_not_found():
    with pytest.raises(NotFoundError, match="Did you mean x-clip"):
        reported_by("xclip")
