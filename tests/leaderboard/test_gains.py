"""Gains over a frozen scorer and changes by a control, against hand-computed cases and scipy."""

import csv
import io
import json

import numpy as np
import pytest
from fakes import fake_record
from scipy import stats

from zslbench.digests import digest
from zslbench.leaderboard.board import build_rows
from zslbench.leaderboard.tables import BOARD_FORMATS, write_table
from zslbench.registry import get_method

FREE = get_method("bike").presets["parameter-free"]
TRAINED, FROZEN = (9, 7, 5, 6, 8), (4, 5, 5, 2, 3)  # of ten videos a class


def board(*records, **options):
    return build_rows(records, defaults=options.pop("defaults", lambda label: {}), **options)


def by_name(*records, **options):
    return {row.name: row for row in board(*records, **options)}


def test_the_gain_is_the_paired_difference_over_classes():
    rows = by_name(fake_record("mine", top1=TRAINED), fake_record("nearest-text", top1=FROZEN))
    gain = rows["mine"].gain
    expected = stats.ttest_rel(np.array(TRAINED) / 10, np.array(FROZEN) / 10)
    assert gain.over == "nearest-text"
    assert gain.difference.mean == pytest.approx((sum(TRAINED) - sum(FROZEN)) / 50)
    assert (gain.difference.low, gain.difference.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert gain.difference.p == pytest.approx(expected.pvalue)
    assert rows["nearest-text"].gain is None


def test_a_class_of_more_videos_weighs_more_and_the_gain_is_the_difference_of_the_figures():
    scored = (10, 20, 30, 40, 50)
    rows = by_name(
        fake_record("mine", top1=(9, 10, 15, 20, 45), scored=scored),
        fake_record("nearest-text", top1=(1, 15, 15, 10, 20), scored=scored),
    )
    ours, theirs = rows["mine"], rows["nearest-text"]
    assert ours.gain.difference.mean == pytest.approx(ours.figures["top1"] - theirs.figures["top1"])
    assert ours.gain.difference.mean != pytest.approx(ours.figures["top1_per_class"] - theirs.figures["top1_per_class"])


def test_in_gzsl_it_is_the_difference_of_h():
    unseen = (False, False, True, True, True)
    rows = by_name(
        fake_record("mine", protocol="gzsl", unseen=unseen, top1=TRAINED),
        fake_record("clip-zero-shot", protocol="gzsl", unseen=unseen, top1=FROZEN),
    )
    gain = rows["mine"].gain
    assert gain.over == "clip-zero-shot"
    assert gain.difference.mean == pytest.approx(rows["mine"].figures["H"] - rows["clip-zero-shot"].figures["H"])


def test_only_common_splits_count_and_seeds_of_a_split_are_pooled():
    rows = by_name(
        *(fake_record("mine", split, seed=seed, top1=TRAINED) for split in (0, 1) for seed in (0, 1)),
        fake_record("nearest-text", 1, top1=FROZEN),
        fake_record("nearest-text", 2, top1=(10, 10, 10, 10, 10)),
    )
    assert rows["mine"].gain.difference.mean == pytest.approx((sum(TRAINED) - sum(FROZEN)) / 50)
    apart = by_name(fake_record("mine", 0, top1=TRAINED), fake_record("nearest-text", 1, top1=FROZEN))
    assert apart["mine"].gain is None
    more = fake_record("nearest-text", top1=FROZEN, scored=(11, 10, 10, 10, 10))
    others = by_name(fake_record("mine", top1=TRAINED), more)
    assert others["mine"].gain is None
    few = by_name(fake_record("mine", top1=(3, 4)), fake_record("nearest-text", top1=(1, 2)))
    assert few["mine"].gain is None


def test_nearest_text_is_preferred_and_the_one_without_parameters_of_its_own():
    usual = {"defaults": lambda label: {"a": 1}}
    records = [
        fake_record("mine", top1=TRAINED, params={"a": 1}),
        fake_record("clip-zero-shot", top1=FROZEN, params={"a": 1}),
    ]
    assert by_name(*records, **usual)["mine"].gain.over == "clip-zero-shot"
    records.append(fake_record("nearest-text", top1=FROZEN, params={"a": 2}))
    assert by_name(*records, **usual)["mine"].gain.over == "nearest-text (a=2)"
    records.append(fake_record("nearest-text", top1=TRAINED, params={"a": 1}))
    rows = by_name(*records, **usual)
    assert rows["mine"].gain.over == "nearest-text"
    assert rows["clip-zero-shot"].gain is None


def test_only_trained_rows_have_a_gain():
    rows = by_name(
        fake_record("nearest-text", top1=FROZEN),
        fake_record("mine", top1=TRAINED),
        fake_record("random", top1=FROZEN, budget=()),
        fake_record("majority", top1=FROZEN, budget=("oracle",)),
        fake_record("bike:parameter-free", top1=TRAINED, params=FREE),
        fake_record("ridge", top1=TRAINED),
        fake_record("broken", state="failed"),
    )
    assert {row.label for row in rows.values() if row.gain} == {"mine", "ridge"}


@pytest.mark.parametrize("other", ["features_digest", "semantics_digest", "seen_features_digest", "classes_digest"])
def test_rows_of_other_data_are_never_paired(other):
    records = [
        fake_record("mine", top1=TRAINED, finished=2_000.0),
        fake_record("nearest-text", top1=FROZEN, **{other: digest("other")}),
    ]
    for row in board(*records, all_versions=True):
        assert row.gain is None


def test_a_control_is_compared_with_the_same_row_and_with_the_frozen_one_under_it():
    shuffled = {"control": "shuffled-frames"}
    rows = by_name(
        fake_record("mine", top1=TRAINED),
        fake_record("mine", top1=(8, 7, 5, 4, 8), **shuffled),
        fake_record("mine", top1=(1, 1, 1, 1, 1), control="reversed"),
        fake_record("nearest-text", top1=FROZEN),
        fake_record("nearest-text", top1=(4, 5, 5, 2, 2), **shuffled),
    )
    row = rows["mine [shuffled-frames]"]
    assert (row.gain.over, row.control_change.over) == ("nearest-text [shuffled-frames]", "mine")
    assert row.control_change.difference.mean == pytest.approx(-3 / 50)
    assert row.gain.difference.mean == pytest.approx((32 - 18) / 50)
    assert rows["mine [reversed]"].gain is None  # the frozen row did not run under this control
    assert rows["mine [reversed]"].control_change.difference.mean == pytest.approx((5 - sum(TRAINED)) / 50)
    frozen = rows["nearest-text [shuffled-frames]"]
    assert (frozen.gain, frozen.control_change.over) == (None, "nearest-text")
    assert rows["mine"].control_change is None


def test_every_format_has_them_where_the_frozen_row_ran_and_none_without_it():
    mine, frozen = fake_record("mine", top1=TRAINED), fake_record("nearest-text", top1=FROZEN)
    alone, both = board(mine, fake_record("other", top1=FROZEN)), board(mine, frozen)
    for fmt in BOARD_FORMATS:
        assert "frozen" not in write_table(alone, fmt)
        assert "frozen" in write_table(both, fmt)
        if fmt not in ("csv", "json"):
            assert "+32.0 [+5.1, +58.9]" in write_table(both, fmt).replace("\\", "")
            assert "not corrected for the number of rows" in write_table(both, fmt, explain=True)
    by_csv = {row["method"]: row for row in csv.DictReader(io.StringIO(write_table(both, "csv")))}
    found = json.loads(write_table(both, "json"))["rows"]
    by_json = {row["method"]: row for row in found}
    for row in (by_csv["mine"], by_json["mine"]):
        assert float(row["gain_over_frozen"]) == pytest.approx(0.32)
        assert float(row["gain_over_frozen_low_95_over_classes"]) == pytest.approx(0.0508, abs=1e-4)
        assert row["gain_over_frozen_against"] == "nearest-text"
    assert "gain_over_frozen" not in by_json["nearest-text"]
    assert by_csv["nearest-text"]["gain_over_frozen"] == ""
