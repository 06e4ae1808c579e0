import json

from zslbench.datasets.catalog import get_dataset
from zslbench.semantics.texts import SHIPPED, open_texts


def test_list_shows_the_shipped_texts(zslbench):
    code, out, _ = zslbench("texts", "list")
    assert code == 0
    rows = [line.split()[:4] for line in out.splitlines()[2:]]
    assert rows == [["hmdb51", "shipped", "51", "8"], ["kinetics400", "shipped", "400", "8"],
                    ["ucf101", "shipped", "101", "8"]]  # fmt: skip
    code, _, err = zslbench("texts", "list", "kinetics700")
    assert (code, err.count("\n")) == (2, 1)
    assert "zslbench texts import kinetics700 FILE" in err


def test_show_prints_definition_and_kinds(zslbench):
    code, out, _ = zslbench("texts", "show", "ucf101", "yo yo")
    assert code == 0
    assert out.splitlines()[0] == f"YoYo: {open_texts(SHIPPED, get_dataset('ucf101'))['YoYo'].definition}"
    assert [line.split(":")[0] for line in out.splitlines()[1:]] == ["  objects", "  scene", "  body", "  actions"]
    code, _, err = zslbench("texts", "show", "ucf101", "YoY")
    assert code == 2
    assert "Did you mean YoYo?" in err


def test_what_show_prints_as_json_can_be_imported_listed_and_removed(zslbench, tmp_path, data_root):
    _, out, _ = zslbench("texts", "show", "hmdb51", "--json")
    record = json.loads(out)
    record["classes"]["wave"]["definition"] = "An open hand goes to and fro in greeting from a far bank."
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(record))
    code, out, _ = zslbench("texts", "import", "hmdb51", path)
    assert code == 0
    assert out.startswith("mine: texts of 51 hmdb51 classes.")
    assert "from a far bank" in zslbench("texts", "show", "hmdb51", "wave", "--texts", "mine")[1]
    assert "mine" in zslbench("texts", "list", "hmdb51")[1]
    code, _, err = zslbench("texts", "import", "hmdb51", path)
    assert code == 2
    assert "zslbench texts remove hmdb51 mine" in err
    assert zslbench("texts", "remove", "hmdb51", "mine", "--yes")[0] == 0
    assert list((data_root / "texts" / "hmdb51").iterdir()) == []


def test_a_wrong_count_is_told_and_can_be_allowed(zslbench, tmp_path):
    _, out, _ = zslbench("texts", "show", "hmdb51", "--json")
    record = json.loads(out)
    record["classes"]["wave"]["attributes"]["objects"] = []
    path = tmp_path / "seven.json"
    path.write_text(json.dumps(record))
    code, _, err = zslbench("texts", "import", "hmdb51", path)
    assert code == 2
    assert "wave has 6 attributes and most classes have 8 (1 differ)" in err
    assert zslbench("texts", "import", "hmdb51", path, "--uneven")[0] == 0
    assert "6 to 8" in zslbench("texts", "list", "hmdb51")[1]


def test_run_says_that_texts_change_nothing_for_methods_that_read_none(zslbench, tmp_path):
    from tiny import make_features

    make_features()
    options = ("--dataset", "hmdb51", "--features", "tiny", "--texts", "shipped", "--results", tmp_path / "runs")
    code, _, err = zslbench("run", "--method", "random", *options, "--dry-run")
    assert code == 0
    assert "--texts shipped changes nothing" in err


def test_one_description_per_class_is_enough(zslbench, tmp_path):
    classes = get_dataset("hmdb51").classes
    said = {name.replace("_", " ").title(): f"A person does {name}." for name in classes}
    (tmp_path / "said.json").write_text(json.dumps(said))
    code, out, err = zslbench("texts", "import", "hmdb51", tmp_path / "said.json")
    assert (code, err) == (0, "")
    assert "said: texts of 51 hmdb51 classes" in out
    assert zslbench("texts", "show", "hmdb51", "run", "--texts", "said")[1] == "run: A person does run.\n"
    assert open_texts("said", get_dataset("hmdb51"))["run"].all == ("A person does run.",)


def test_an_empty_description_is_refused(zslbench, tmp_path):
    (tmp_path / "said.json").write_text(json.dumps(dict.fromkeys(get_dataset("hmdb51").classes, " ")))
    code, _, err = zslbench("texts", "import", "hmdb51", tmp_path / "said.json")
    assert code == 2
    assert "definition" in err
