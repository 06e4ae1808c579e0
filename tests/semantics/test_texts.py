import json
from typing import ClassVar

import numpy as np
import pytest
from fakes import fake_record
from tiny import make_features, plan

from zslbench.cells.cell import Cell
from zslbench.cells.rows import group_cells, row_name
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, OutOfVocabularyError, ZslbenchError
from zslbench.method import Budget, Method, MethodInfo, Report
from zslbench.run import evaluate as evaluating
from zslbench.run import experiment as planning
from zslbench.run import inputs
from zslbench.run.evaluate import evaluate, fit_on_all_classes
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan
from zslbench.run.task import build_task
from zslbench.semantics import text_vectors as texts_embed
from zslbench.semantics.class_vectors import open_semantics, text_vectors
from zslbench.semantics.text_vectors import embed_texts, import_vectors
from zslbench.semantics.texts import (
    SHIPPED,
    Texts,
    import_texts,
    imported_texts,
    open_texts,
    read_texts,
    remove_texts,
    texts_digest,
    texts_names,
)

TOY = Dataset(
    name="toy", display_name="Toy", classes=("Run", "PlayGolf"), phrases={"plain": {"Run": "run", "PlayGolf": "golf"}}
)
TEXTS = {
    "Run": {"definition": "A person runs.", "attributes": {"objects": ["shoes"], "body": ["legs"]}},
    "PlayGolf": {"definition": "A person swings a club.", "attributes": {"objects": ["club"], "body": ["arms"]}},
}


@pytest.fixture(autouse=True)
def fresh_caches():
    inputs.cached_features.cache_clear()
    inputs._cached_vectors.cache_clear()
    inputs._cached_texts.cache_clear()


def write(path, classes, **more):
    path.write_text(json.dumps({"classes": classes} | more), encoding="utf-8")
    return path


def mine(tmp_path, dataset="hmdb51", name="mine", **changed):
    """Import texts of every class of a dataset."""
    classes = {c: changed.get(c, [f"{c} is seen.", f"{c} thing"]) for c in get_dataset(dataset).classes}
    return import_texts(name, write(tmp_path / f"{name}.json", classes), get_dataset(dataset))


def test_the_shipped_texts_are_read_only_when_they_are_opened(tmp_path):
    dataset = get_dataset("ucf101")
    shipped = open_texts(SHIPPED, dataset)
    assert shipped["YoYo"].attributes[:2] == ("spool on string", "finger loop")
    assert shipped["YoYo"].all[0] == shipped["YoYo"].definition
    assert list(shipped) == list(dataset.classes)
    absent = Dataset(**{**vars_of(TOY), "texts_file": tmp_path / "absent.json"})
    assert absent.classes == TOY.classes
    with pytest.raises(ZslbenchError, match="there is no"):
        open_texts(SHIPPED, absent)
    with pytest.raises(NotFoundError, match="no class texts 'shipped'"):
        open_texts(SHIPPED, TOY)


def vars_of(dataset):
    return {name: getattr(dataset, name) for name in ("name", "display_name", "classes", "phrases")}


def test_json_toml_and_the_short_forms_say_the_same(tmp_path):
    toml = tmp_path / "t.toml"
    toml.write_text(
        '[Run]\ndefinition = "A person runs."\nattributes = ["shoes", "legs"]\n'
        '[play_golf]\ndefinition = "A person swings a club."\nattributes = ["club", "arms"]\n'
    )
    lists = {"run": ["A person runs.", "shoes", "legs"], "Play golf": [" A person swings a club. ", "club", "arms"]}
    found = [
        read_texts(path, TOY).classes
        for path in (write(tmp_path / "a.json", TEXTS), write(tmp_path / "b.json", lists), toml)
    ]
    assert [{name: each.all for name, each in texts.items()} for texts in found] == [
        {"Run": ("A person runs.", "shoes", "legs"), "PlayGolf": ("A person swings a club.", "club", "arms")}
    ] * 3
    assert len({texts_digest(texts) for texts in found}) == 1
    assert found[0]["Run"].kinds == {"objects": ("shoes",), "body": ("legs",)}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"Rum": ["a", "b"]}, r"has texts of 'Rum', which is no class of toy; .*Did you mean Run\?"),
        ({"run": ["a", "b", "c"]}, "two entries for Run"),
        ({"PlayGolf": None}, r"no texts of 1 of 2 toy classes \(PlayGolf\)"),
        ({"Run": ["a", "b"]}, "Run has 1 attributes and most classes have 2|PlayGolf has 2 .* most classes have 1"),
        ({"Run": ["a", "b", "b"]}, "has the attribute 'b' twice"),
        ({"Run": {"definition": " ", "attributes": ["b", "c"]}}, "classes.Run.definition: String should have at least"),
        ({"Run": {"definition": "a"}}, "has [02] attributes and most classes have [02]"),
        ({"Run": ["a", 7, "b"]}, "classes.Run.attributes.attributes.0: Input should be a valid string"),
        ({"Run": []}, "classes.Run: Input should be"),
    ],
)
def test_wrong_files_are_refused_in_a_sentence(tmp_path, change, sentence):
    classes = {name: each for name, each in (TEXTS | change).items() if each is not None}
    with pytest.raises(ZslbenchError, match=sentence):
        read_texts(write(tmp_path / "t.json", classes), TOY)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "class,text,more\nplay golf,A club.,a green\nRun,\"Legs, quickly.\",a road\n"),
        ("t.csv", "\ufeffclass,text\nrun,\"Legs, quickly.\"\nplay golf,A club.\nrun,a road\nplay golf,a green\n"),
        ("t.csv", ",id,text,action,note\n0,5,A club.,PlayGolf,a green\n1,6,\"Legs, quickly.\",Run,a road\n"),
        ("t.tsv", "Run\tLegs, quickly.\ta road\nPlayGolf\tA club.\ta green\n"),
        ("t.json", '[{"id": 1, "class": "Run", "text": "Legs, quickly.", "more": "a road"},'
                   '{"id": 2, "class": "play_golf", "text": "A club.", "more": "a green"}]'),
    ],
)  # fmt: skip
def test_tables_have_a_class_and_its_texts_per_row(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = read_texts(tmp_path / name, TOY).classes
    assert {each: texts.all for each, texts in found.items()} == {
        "Run": ("Legs, quickly.", "a road"), "PlayGolf": ("A club.", "a green")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "class,objects,Definition\nRun,road,Legs.\nPlayGolf,club,A golfer.\n"),
        ("t.json", '[{"class": "Run", "id": 0, "objects": ["road"], "note": null, "definition": "Legs."},'
                   '{"class": "PlayGolf", "id": 1, "objects": ["club"], "note": null, "definition": "A golfer."}]'),
    ],
)  # fmt: skip
def test_a_table_with_a_column_of_definitions_has_kinds_in_the_others(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    found = read_texts(tmp_path / name, TOY).classes
    assert {each: (texts.definition, dict(texts.kinds)) for each, texts in found.items()} == {
        "Run": ("Legs.", {"objects": ("road",)}), "PlayGolf": ("A golfer.", {"objects": ("club",)})
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "class,text\nRun,Legs, quickly\nPlayGolf,A club\n",
            "rows of different lengths; put texts with commas between",
        ),
        ("class,number\nRun,1\nPlayGolf,2\n", "needs a column of class names of toy and one of texts"),
        ("", "needs a column of class names"),
        ("class,text\nRun,Legs\nPlayGolf,A club\nSwim,Water\n", "texts of 'Swim', which is no class of toy"),
    ],
)
def test_tables_without_one_meaning_are_refused(tmp_path, content, sentence):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ZslbenchError, match=sentence):
        read_texts(tmp_path / "t.csv", TOY)


def test_other_faults_of_files(tmp_path):
    with pytest.raises(ZslbenchError, match="texts of hmdb51, not of toy"):
        read_texts(write(tmp_path / "t.json", TEXTS, dataset="hmdb51"), TOY)
    (tmp_path / "t.toml").write_text("a = ")
    with pytest.raises(ZslbenchError, match="not valid TOML"):
        read_texts(tmp_path / "t.toml", TOY)
    (tmp_path / "t.json").write_bytes(b"\xff{")
    with pytest.raises(ZslbenchError, match="not valid JSON"):
        read_texts(tmp_path / "t.json", TOY)
    (tmp_path / "t.json").write_text("[1]")
    with pytest.raises(ZslbenchError, match=r"the file: Input should be .*; write \{"):
        read_texts(tmp_path / "t.json", TOY)
    uneven = write(tmp_path / "u.json", TEXTS | {"Run": ["a", "b"]})
    assert len(read_texts(uneven, TOY, uneven=True).classes["Run"].attributes) == 1


def test_imported_texts_come_back_as_they_were_and_edits_are_noticed(tmp_path, data_root):
    dataset = get_dataset("hmdb51")
    made = mine(tmp_path, wave=["Waving.", "open palm"])
    assert texts_names(dataset) == [SHIPPED, "mine"]
    assert open_texts("mine", dataset)["wave"] == Texts(definition="Waving.", attributes=["open palm"])
    assert texts_digest(open_texts("mine", dataset)) == made.digest
    for name in ("mine", SHIPPED, "My Texts"):
        with pytest.raises(ZslbenchError, match="already|cannot name texts"):
            mine(tmp_path, name=name)
    path = data_root / "texts" / "hmdb51" / "mine.json"
    path.write_text(path.read_text().replace("open palm", "closed palm"))
    with pytest.raises(ZslbenchError, match="edited after its import"):
        open_texts("mine", dataset)
    remove_texts("mine", dataset)
    with pytest.raises(NotFoundError, match="no imported texts 'mine'; imported: none"):
        remove_texts("mine", dataset)


def test_a_refused_import_leaves_nothing(tmp_path, data_root):
    with pytest.raises(ZslbenchError, match="no texts of 50 of 51"):
        import_texts("mine", write(tmp_path / "t.json", {"wave": ["a", "b"]}), get_dataset("hmdb51"))
    assert imported_texts("hmdb51") == []
    assert not (data_root / "texts").exists()


def test_unknown_texts_are_told_with_the_remedy():
    with pytest.raises(NotFoundError, match=r"hmdb51 has no class texts 'shiped'. Did you mean shipped\?"):
        open_texts("shiped", get_dataset("hmdb51"))
    with pytest.raises(NotFoundError, match=r"olympicsports16 has no class texts 'shipped'. It has none. Import"):
        open_texts(SHIPPED, get_dataset("olympicsports16"))


class Reader(Method):
    """Keeps the classes that it was handed."""

    info = MethodInfo(name="ridge", summary="spy", budget=frozenset({Budget.CLASS_VECTORS, Budget.CLASS_TEXTS}))
    handed: ClassVar[list] = []

    def fit(self, seen, classes, target, report):
        Reader.handed.append(classes)

    def score(self, videos, classes):
        Reader.handed.append(classes)
        return np.zeros((len(videos), len(classes)))


class Blind(Reader):
    info = MethodInfo(name="ridge", summary="spy")


@pytest.fixture
def method(monkeypatch):
    """Put a method in ridge's place."""

    def use(chosen):
        Reader.handed = []
        monkeypatch.setattr(evaluating, "check_code", lambda cell: None)
        monkeypatch.setattr(evaluating, "get_method", lambda name: chosen)
        monkeypatch.setattr(planning, "get_method", lambda name: chosen)

    make_features()
    return use


@pytest.mark.parametrize("protocol", ["zsl", "gzsl"])
def test_a_method_with_the_budget_is_handed_the_texts_of_the_classes_it_may_know(method, protocol):
    method(Reader)
    (cell,) = plan(method="ridge", splits="1", protocol=protocol)
    evaluate(cell, Report())
    shipped = open_texts(SHIPPED, get_dataset("hmdb51"))
    for classes in Reader.handed:
        assert classes.texts == tuple(shipped[name].all for name in classes.names)
    assert len(Reader.handed) == (2 if protocol == "zsl" else 4)  # gzsl calibrates on held-out seen classes


@pytest.mark.parametrize("protocol", ["zsl", "gzsl"])
def test_a_method_without_the_budget_never_sees_texts(method, protocol):
    method(Blind)
    (cell,) = plan(method="ridge", splits="1", protocol=protocol)
    evaluate(cell, Report())
    assert Reader.handed
    assert all(classes.texts is None for classes in Reader.handed)
    assert (cell.texts, cell.texts_digest) == (None, None)
    told = make_plan(make_experiment({"method": "ridge", "dataset": "hmdb51", "features": "tiny", "texts": "mine"}))
    assert told.notices == ["no method of this run reads class texts: --texts mine changes nothing."]


def test_a_model_of_all_classes_is_handed_texts_too(method):
    method(Reader)
    (cell,) = plan(method="ridge", splits="1")
    _, classes, *_ = fit_on_all_classes(cell, Report())
    assert classes.texts == tuple(each.all for each in open_texts(SHIPPED, get_dataset("hmdb51")).values())


def test_other_texts_are_other_cells_and_changed_ones_are_noticed(method, tmp_path):
    method(Reader)
    mine(tmp_path)
    (shipped,), (own,) = plan(method="ridge", splits="1"), plan(method="ridge", splits="1", texts="mine")
    assert shipped.id != own.id
    assert build_task(own).seen_classes.texts[0][1].endswith(" thing")
    remove_texts("mine", get_dataset("hmdb51"))
    mine(tmp_path, name="new", wave=["Another.", "word"])
    (new,) = plan(method="ridge", splits="1", texts="new")
    assert new.id != own.id
    with pytest.raises(ZslbenchError, match="the class texts new changed since this run was planned"):
        build_task(new.model_copy(update={"texts_digest": own.texts_digest}))


def test_cells_without_texts_keep_the_identity_and_the_file_of_before():
    old = fake_record(recipe=1).cell
    assert old.id == "60bf3de13fb18c08b0cbaa954524d1f8"  # what it was before cells had texts
    record = json.loads(old.model_dump_json())
    del record["texts"], record["texts_digest"]
    assert Cell.model_validate(record).id == old.id


def test_rows_keep_texts_apart_and_name_those_of_users():
    records = [fake_record(), *(fake_record(texts=name, texts_digest=name) for name in (SHIPPED, "mine"))]
    assert len(group_cells(records)) == 3
    assert [row_name(record.cell, {}) for record in records] == ["ridge", "ridge", "ridge [texts mine]"]


def test_shipped_texts_are_embedded_from_the_files():
    dataset = get_dataset("ucf101")
    names = ["YoYo", "Archery"]
    definitions = embed_texts([open_texts(SHIPPED, dataset)[name].definition for name in names])
    np.testing.assert_array_equal(definitions, open_semantics("minilm-definition", dataset, names).vectors)
    means = [texts_embed.attribute_mean(embed_texts(open_texts(SHIPPED, dataset)[name].attributes)) for name in names]
    np.testing.assert_allclose(means, open_semantics("minilm-attributes", dataset, names).vectors, atol=1e-3)
    assert embed_texts([]).shape == (0, 384)


@pytest.mark.parametrize("source", ["minilm", "minilm-definition"])
def test_texts_are_encoded_from_the_files_by_a_source_of_class_vectors(source, monkeypatch):
    """Definitions begin with a capital letter, and none of them needs the encoder."""
    monkeypatch.setattr("zslbench.semantics.encoder.find_spec", lambda name: None)
    dataset = get_dataset("ucf101")
    said = open_texts(SHIPPED, dataset)["YoYo"].all
    np.testing.assert_array_equal(text_vectors(source, dataset, said), embed_texts(said))


def test_other_texts_need_the_encoder(monkeypatch):
    monkeypatch.setattr("zslbench.semantics.encoder.find_spec", lambda name: None)
    with pytest.raises(OutOfVocabularyError, match=r"'a text that .*\.\.\.', .*'pip install sentence-transformers"):
        embed_texts(["a text that nobody has ever written down for a class of any data set"])


def test_imported_texts_become_class_vectors(tmp_path, monkeypatch):
    dataset = get_dataset("hmdb51")
    mine(tmp_path, wave=["wave it", "up"])
    rng = np.random.default_rng(0)
    known = {}
    monkeypatch.setattr(
        texts_embed, "encode_like", lambda table, texts: [known.setdefault(t, rng.normal(size=384)) for t in texts]
    )
    made = import_vectors("mine", open_texts("mine", dataset), dataset)
    assert [each.name for each in made] == ["mine-definition", "mine-attributes"]
    vector = open_semantics("mine-definition", dataset, ["wave"]).vectors[0]
    np.testing.assert_allclose(vector, known["wave it"] / np.linalg.norm(known["wave it"]), atol=1e-6)


def test_each_dataset_has_its_own_vector_of_a_phrase_that_several_describe():
    ucf, kinetics = get_dataset("ucf101"), get_dataset("kinetics400")
    assert ucf.phrase("Archery") == kinetics.phrase("archery") == "archery"
    pair = [
        open_semantics("minilm-attributes", *each).vectors[0] for each in ((ucf, ["Archery"]), (kinetics, ["archery"]))
    ]
    assert not np.array_equal(*pair)
    np.testing.assert_array_equal(text_vectors("minilm-attributes", ucf, ["archery"])[0], pair[0])
    assert "minilm-attributes" not in get_dataset("kinetics600").vectors
