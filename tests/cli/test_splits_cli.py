"""``zslbench splits`` and ``zslbench datasets``: what they print and how they refuse."""

import json

import pytest

from zslbench.datasets.catalog import get_dataset


def test_all_families_are_listed(zslbench):
    code, out, _ = zslbench("splits")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["ucf101", "xu-50/50", "50", "47", "51/50", get_dataset("ucf101").family("xu-50/50").digest[:12]] in rows


def test_a_dataset_as_the_argument_lists_its_families_with_sources(zslbench):
    code, out, _ = zslbench("splits", "hmdb51")
    assert code == 0
    assert out.splitlines()[2].split()[:4] == ["xu-50/50", "50", "50", "26/25"]
    assert "\nxu-50/50: Xu, Hospedales" in out


def test_show_prints_names(zslbench):
    code, out, _ = zslbench("splits", "show", "hmdb51", "xu-50/50", "0")
    assert code == 0
    assert "25 unseen classes:" in out
    record = json.loads(zslbench("splits", "show", "hmdb51", "xu-50/50", "0", "--json")[1])
    assert set(record["unseen"]) | set(record["seen"]) == set(get_dataset("hmdb51").classes)
    assert "repeats 2" in zslbench("splits", "show", "ucf101", "xu-50/50")[1]


def test_verify_passes_and_notices_a_changed_family(zslbench, monkeypatch):
    code, out, _ = zslbench("splits", "verify")
    assert code == 0
    assert "changed" not in out
    pinned = get_dataset("hmdb51").pinned_digests
    monkeypatch.setitem(pinned, "truze-v1", "0" * 32)
    monkeypatch.delitem(pinned, "random-80/20")
    code, out, err = zslbench("splits", "verify")
    assert code == 2
    assert "2 of " in err
    states = {tuple(line.split()[:2]): line.split()[3:] for line in out.splitlines() if line.startswith("hmdb51")}
    assert states["hmdb51", "truze-v1"] == ["changed"]
    assert states["hmdb51", "random-80/20"] == ["nothing", "pinned"]
    assert states["hmdb51", "xu-50/50"] == ["ok"]


def test_verify_notices_unknown_classes(zslbench, data_root):
    folder = data_root / "splits" / "hmdb51"
    folder.mkdir(parents=True)
    (folder / "odd.json").write_text('{"dataset": "hmdb51", "unseen": [["no_such_class"]], "digest": ""}')
    code, out, _ = zslbench("splits", "verify")
    assert code == 2
    assert "edited since its import" in out


def test_json_families_are_imported_by_name(zslbench, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"dataset": "hmdb51", "unseen": [["Brush Hair", "walk"], ["wave"]]}))
    code, out, err = zslbench("splits", "import", "mine", path)
    assert code == 0
    warning = (
        "mine has one unseen class in 1 of 2 splits; in zsl every method recognises it, so 'zslbench run' refuses them."
    )
    assert f"note: hmdb51 {warning}" in err
    assert f"note: hmdb51 {warning}" in zslbench("splits")[2]
    assert f"note: {warning}" in zslbench("splits", "hmdb51")[2]
    assert f"note: {warning}" in zslbench("splits", "show", "hmdb51", "mine")[2]
    assert "note:" not in zslbench("splits", "ucf101")[2]
    assert "hmdb51: 2 splits (2 distinct, 49/2, 50/1), different from every built-in family" in out
    assert get_dataset("hmdb51").family("mine").splits[0].unseen == ("brush_hair", "walk")
    assert "ok, imported" in zslbench("splits", "verify")[1]
    assert zslbench("splits", "remove", "hmdb51", "mine", "--yes")[0] == 0
    assert "mine" not in get_dataset("hmdb51").family_names


@pytest.mark.parametrize(
    ("record", "name", "sentence"),
    [
        ({"dataset": "hmdb51", "unseen": [["brush_hairs"]]}, "mine", "Did you mean brush_hair"),
        ({"dataset": "hmbd51", "unseen": [["walk"]]}, "mine", "Did you mean hmdb51"),
        ({"dataset": "hmdb51", "unseen": [["walk"]]}, "random-50/50", "built-in"),
        ({"dataset": "hmdb51", "unseen": [["walk"]]}, "a/b", "cannot name"),
        ({"dataset": "hmdb51", "unseen": [["walk", "walk"]]}, "mine", "twice"),
        ({"dataset": "hmdb51", "unseen": [["walk"]], "seen": [["walk", "wave"]]}, "mine", "uses the classes"),
        (
            {"dataset": "kinetics600", "unseen": [["zumba"]], "seen": [["zumba"]], "seen_dataset": "kinetics400"},
            "mine",
            "both seen and unseen",
        ),
    ],
)
def test_unfit_json_families_are_refused(zslbench, tmp_path, record, name, sentence):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(record))
    code, _, err = zslbench("splits", "import", name, path)
    assert code == 2
    assert sentence in err


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["hmbd51"], "Did you mean hmdb51"),
        (["verfiy"], "Did you mean verify"),
        (["show", "hmdb51", "xu-50/50", "50"], "0 to 49"),
        (["show", "hmdb51", "xu-5050"], "Did you mean xu-50/50"),
        (["import", "x", "Split.mat"], "there is no Split.mat"),
        (["import", "x", "nothing.json"], "check the path"),
        (["remove", "hmdb51", "x", "--yes"], "imported: none"),
    ],
)
def test_bad_input_ends_with_one_sentence(zslbench, args, sentence):
    code, out, err = zslbench("splits", *args)
    assert (code, out) == (2, "")
    assert sentence in err


@pytest.mark.real
def test_xus_split_mat_equals_the_built_in_family(zslbench, shared_data):
    folder = shared_data / "xu-ijcv17"
    code, out, _ = zslbench("splits", "import", "xu", folder / "Split.mat", "--labels", folder / "Label.mat")
    assert code == 0
    assert out.count("equal to the built-in xu-50/50") == 3
    assert get_dataset("ucf101").family("xu").digest == get_dataset("ucf101").family("xu-50/50").digest
    assert zslbench("splits", "import", "again", folder / "Label.mat", "--labels", folder / "Split.mat")[0] == 2


def test_datasets_are_listed_and_shown(zslbench):
    code, out, _ = zslbench("datasets")
    assert code == 0
    assert "6,766" in next(line for line in out.splitlines() if line.startswith("hmdb51"))
    code, out, _ = zslbench("datasets", "ucf101")
    assert code == 0
    assert "cite: Soomro" in out
    row = next(line for line in out.splitlines() if line.startswith("CleanAndJerk"))
    assert "clean and jerk" in row
    assert "weight lift" in row
    assert zslbench("datasets", "ufc")[0] == 2


def test_families_of_lists_are_listed_and_shown_with_the_convention_of_papers(zslbench):
    code, out, _ = zslbench("splits", "ucf101")
    assert code == 0
    rows = [line.split()[:4] for line in out.splitlines()]
    assert ["official-lists", "3", "3", "0/101"] in rows
    code, out, _ = zslbench("splits", "ucf101", "k400->ucf101/lists")
    assert code == 0
    assert "official-3" in out
    assert "setting k400->ucf101/lists: zsl, all splits, figure top1." in out
    assert "400 seen classes of kinetics400" in zslbench("splits", "show", "ucf101", "k400->ucf101", "0")[1]
    record = json.loads(zslbench("splits", "show", "ucf101", "official-lists", "1", "--json")[1])
    assert record["videos"] == "official-2"
