"""Results of MTEB as published figures: what is read, which caveats each gets, and what is refused."""

import json
import os

import numpy as np
import pytest
from fakes import fake_record
from tiny import make_features

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.features.feature_set import feature_path
from zslbench.leaderboard.agreement import published_beside
from zslbench.leaderboard.board import build_rows
from zslbench.leaderboard.why import explain
from zslbench.ledger.keys import find_published
from zslbench.ledger.mteb import import_mteb, imported_files, mteb_tasks
from zslbench.ledger.published import imported_root, published_problems, published_results
from zslbench.ledger.reported import reported_by
from zslbench.semantics.importing import import_classes
from zslbench.video.recipe import RECIPE_FILE, make_recipe

MODEL, REVISION = "openai/clip-vit-base-patch16", "57c216476eefef5ab752ec549e440a49ae4ae5f3"


def result(task, accuracy=0.465359, *, revision=None, draws=(), version="2.13.1", **more):
    """Return the content of a result file, as ``TaskResult.to_disk`` of MTEB writes it."""
    score = {
        "accuracy": accuracy, "ap": float("nan"), "main_score": accuracy, "hf_subset": "default",
        "languages": ["eng-Latn"], "mteb_version": version,
    }  # fmt: skip
    if draws:
        score["scores_per_experiment"] = [{"accuracy": each, "f1": each, "ap": None} for each in draws]
    return {
        "dataset_revision": revision or mteb_tasks()[task].revision, "task_name": task, "mteb_version": version,
        "scores": {"test": [score]}, "evaluation_time": 12.5, "kg_co2_emissions": None, "date": None,
    } | more  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Return a function that writes result files in the folders of MTEB, and returns the folder of the model."""

    def write(*results, meta=True):
        folder = tmp_path / "results" / MODEL.replace("/", "__") / REVISION
        folder.mkdir(parents=True)
        if meta:
            meta = {"name": MODEL, "revision": REVISION, "release_date": "2021-02-26", "modalities": ["image", "text"]}
            (folder / "model_meta.json").write_text(json.dumps(meta))
        for each in results:
            (folder / f"{each['task_name']}.json").write_text(json.dumps(each))
        return folder.parent

    return write


def imported():
    return [row for row in published_results() if row.paper == "mteb"]


def test_a_folder_becomes_figures_with_the_model_the_version_and_the_caveats_of_the_task(write):
    folder = write(result("HMDB51ZeroShot"), result("UCF101VideoZeroShotClassification", 0.751543))
    (folder / REVISION / "NFCorpus.json").write_text("not read")
    assert import_mteb(folder).others == ["NFCorpus"]
    hmdb, ucf = imported()
    assert (hmdb.system, hmdb.dataset, hmdb.metric, hmdb.text) == (MODEL, "hmdb51", "top1", "46.54")
    assert (hmdb.setting, hmdb.source) == ("official-list-1", "MTEB 2.13.1, task HMDB51ZeroShot")
    assert hmdb.setup["backbone"] == f"{MODEL}, revision {REVISION[:12]}"
    assert hmdb.setup["prompt"] == "a video of {}"
    assert (ucf.setting, ucf.setup["names"], ucf.text) == (None, "CamelCase", "75.15")
    assert any(caveat.startswith("51 of UCF101's 101 classes") for caveat in ucf.caveats)
    assert any("does not say whether the model was trained" in caveat for caveat in hmdb.caveats)
    assert reported_by("mteb") == {"official-list-1": ("hmdb51",)}


def test_the_mean_over_draws_has_their_standard_deviation(write):
    import_mteb(write(result("HMDB51Classification", 0.5, draws=(0.4, 0.5, 0.6))))
    (row,) = imported()
    assert (row.text, row.spread, row.kind) == ("50.00", 10.0, "few-shot")
    assert row.spread_over == "10 draws of 8 training videos per class, ddof=1"


def test_variants_with_sound_and_other_revisions_of_the_data_say_so(write):
    import_mteb(
        write(result("UCF101VideoAudioZeroShotClassification", revision="1098eed48f2929443f47c39f3b5c814e16369c11"))
    )
    (row,) = imported()
    assert row.protocol == "list-1-sound, with sound"
    assert row.method is None
    assert "The model also got the sound of the videos." in row.caveats
    assert any("revision 1098eed48f29 of MTEB's copy" in caveat for caveat in row.caveats)


def test_every_split_and_subset_is_a_figure_of_its_own_that_no_setting_claims(write):
    one = result("HMDB51ZeroShot")["scores"]["test"][0]
    import_mteb(write(result("HMDB51ZeroShot", scores={"test": [one], "train": [one, one | {"hf_subset": "b"}]})))
    assert [row.protocol for row in imported()] == [
        "list-1, split test, subset default", "list-1, split train, subset default", "list-1, split train, subset b",
    ]  # fmt: skip
    assert {row.setting for row in imported()} == {None}


def test_frames_are_no_videos(write):
    import_mteb(write(result("UCF101ZeroShot")))
    (row,) = imported()
    assert (row.metric, row.method) == ("top1 of frames", None)


def test_importing_again_replaces_and_removing_removes(write):
    folder = write(result("HMDB51ZeroShot"))
    import_mteb(folder)
    (path,) = imported_files(MODEL.upper())
    changed = folder / REVISION / "HMDB51ZeroShot.json"
    changed.write_text(json.dumps(result("HMDB51ZeroShot", 0.25)))
    import_mteb(changed)
    assert [row.text for row in imported()] == ["25.00"]
    path.unlink()
    assert imported() == []
    with pytest.raises(NotFoundError, match="no figures of 'x' have been imported"):
        imported_files("x")


def test_the_model_comes_from_the_file_beside_the_folders_or_the_option(write, tmp_path):
    path = write(result("HMDB51ZeroShot"), meta=False) / REVISION / "HMDB51ZeroShot.json"
    import_mteb(path)
    assert [row.system for row in imported()] == [MODEL]
    alone = path.rename(tmp_path / "result.json")
    with pytest.raises(ZslbenchError, match="add --model NAME"):
        import_mteb(alone)
    import_mteb(alone, "my-model")
    assert {row.system for row in imported()} == {MODEL, "my-model"}


def test_two_files_of_one_model_revision_and_task_are_refused_unless_they_say_the_same(write, tmp_path):
    write(meta=False)
    for name, accuracy in (("first", 0.1), ("second", 0.2)):
        (tmp_path / "results" / name).mkdir()
        (tmp_path / "results" / name / "HMDB51ZeroShot.json").write_text(json.dumps(result("HMDB51ZeroShot", accuracy)))
    with pytest.raises(ZslbenchError, match=r"first/HMDB51ZeroShot.json and .*second/.* have different figures"):
        import_mteb(tmp_path / "results", "mine")
    assert not imported_root().exists()
    (tmp_path / "results" / "second" / "HMDB51ZeroShot.json").write_text(json.dumps(result("HMDB51ZeroShot", 0.1)))
    import_mteb(tmp_path / "results", "mine")
    assert [row.text for row in imported()] == ["10.00"]


@pytest.mark.parametrize("name", ["a__b", "a/b", "a__b/c", "a/b__c", "a__/b"])
def test_a_model_is_removed_by_its_own_name_and_hides_no_other(write, name):
    path = write(result("HMDB51ZeroShot"), meta=False) / REVISION / "HMDB51ZeroShot.json"
    names = ["a__b", "a/b", "a__b/c", "a/b__c", "a__/b"]
    for each in names:
        import_mteb(path, each)
    assert sorted(row.system for row in imported()) == sorted(names)
    (file,) = imported_files(name)
    file.unlink()
    assert sorted(row.system for row in imported()) == sorted(set(names) - {name})


def test_an_option_that_contradicts_the_file_beside_or_is_no_name_is_refused(write):
    folder = write(result("HMDB51ZeroShot"))
    import_mteb(folder, MODEL)
    with pytest.raises(ZslbenchError, match="model_meta.json names another model than --model mine"):
        import_mteb(folder, "mine")
    with pytest.raises(ZslbenchError, match="--model '../x' is no name of a model"):
        import_mteb(folder, "../x")


SCORES = result("HMDB51ZeroShot")["scores"]["test"]
HOSTILE = {
    "no JSON": "{", "a list": "[]", "deep": "[" * 5000 + "]" * 5000, "twice": '{"task_name": "a", "task_name": "b"}',
    "a key is missing": json.dumps({"task_name": "HMDB51ZeroShot"}),
    "per cent": json.dumps(result("HMDB51ZeroShot", 46.5)), "text": json.dumps(result("HMDB51ZeroShot", "0.5")),
    "not a number": json.dumps(result("HMDB51ZeroShot", float("nan"))),
    "no scores": json.dumps(result("HMDB51ZeroShot", scores={"test": []})),
    "a split of escape codes": json.dumps(result("HMDB51ZeroShot", scores={"\x1b[2J": SCORES})),
    "a long split": json.dumps(result("HMDB51ZeroShot", scores={"s" * 5000: SCORES})),
    "escape codes": json.dumps(result("HMDB51ZeroShot", version="\x1b[2J")),
    "before 1.11": json.dumps({"mteb_dataset_name": "HMDB51ZeroShot", "test": {"accuracy": 0.5}}),
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_damaged_file_ends_with_one_sentence_and_nothing_is_imported(write, content):
    folder = write(result("UCF101ZeroShot"))
    (folder / REVISION / "HMDB51ZeroShot.json").write_text(content)
    with pytest.raises(ZslbenchError) as caught:
        import_mteb(folder)
    assert "HMDB51ZeroShot.json" in str(caught.value)
    assert len(str(caught.value)) < 700
    assert "\x1b" not in str(caught.value)
    assert not imported_root().exists()


@pytest.mark.parametrize("name", ["../../x", "a/../../x", ".hidden", "a/b/c", "\x1b[2J", ""])
def test_a_models_name_leaves_the_folder_of_imports_never(write, name):
    folder = write(result("HMDB51ZeroShot"))
    (folder / REVISION / "model_meta.json").write_text(json.dumps({"name": name, "revision": REVISION}))
    with pytest.raises(ZslbenchError, match="model_meta.json"):
        import_mteb(folder)


def test_a_folder_without_known_tasks_and_a_file_of_another_are_refused(write, tmp_path):
    with pytest.raises(NotFoundError, match="has no result of MTEB on HMDB51"):
        import_mteb(tmp_path)
    folder = write(result("HMDB51ZeroShot") | {"task_name": "NFCorpus"})
    with pytest.raises(NotFoundError, match="'NFCorpus' of MTEB, which is none"):
        import_mteb(folder / REVISION / "NFCorpus.json")


def test_a_damaged_import_is_left_out_and_named(write):
    import_mteb(write(result("HMDB51ZeroShot")))
    (path,) = imported_files(MODEL)
    path.write_text('{"system": 1}')
    os.utime(path, (1, 1))
    assert imported() == []
    (problem,) = published_problems()
    assert f"remove {path}" in problem


def beside(*, splits=1, **cell):
    records = [fake_record("nearest-text", split=i, **cell) for i in range(splits)]
    found = published_beside(build_rows(records, defaults=lambda label: {}))
    return {each.published.protocol: each for each in found if each.published.paper == "mteb"}


def test_figures_stand_beside_a_run_of_the_same_setting(write):
    import_mteb(write(result("HMDB51ZeroShot"), result("HMDB51Classification"), result("UCF101ZeroShot")))
    (each,) = beside(family="official-lists").values()
    assert (each.published.text, each.row.method) == ("46.54", "nearest-text")
    assert "simulated" not in each.outcome.why
    (each,) = beside(family="official-lists", splits=3).values()
    assert each.outcome.why == "over 3 splits, the published figure over the first 1"
    assert not beside(family="xu-50/50")  # half of the classes


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"model": "openai/clip-vit-large-patch14"}, "on features of transformers 1, the published figure on "),
        ({"weights": "other"}, "with class vectors mine, the published figure with those of the features' model"),
        ({"template": "{}"}, "with the prompts names=plain,template={}, the published figure with 'a video of {}'"),
    ],
)
def test_only_the_same_model_and_prompt_are_compared(write, tmp_path, change, why):
    given = {"model": MODEL, "weights": "same", "template": "a video of {}"} | change
    import_mteb(write(result("HMDB51ZeroShot", 0.5)))
    features = make_features(name="mine", extractor='transformers 1 {"normalise":null}', weights_digest="same")
    recipe = make_recipe("motion").model_copy(update={"model": given["model"]})
    (feature_path("hmdb51", "mine") / RECIPE_FILE).write_text(recipe.model_dump_json())
    classes = get_dataset("hmdb51").classes
    table, prompt = (list(classes), np.eye(len(classes), dtype=np.float32)), f"names=plain,template={given['template']}"
    import_classes("mine", tmp_path / "model", {"hmdb51": table}, prompt=prompt, weights=given["weights"])
    cell = {"features": "mine", "features_digest": features.manifest.digest, "semantics": "mine"}
    (each,) = beside(family="official-lists", **cell).values()
    if why is None:
        assert each.outcome.status == "reproduced"  # the row has 50 %
    else:
        assert each.outcome.status == "not comparable"
        assert each.outcome.why.startswith(why)


def test_a_figure_of_no_setting_stands_apart_with_the_reason(write):
    import_mteb(write(result("UCF101VideoZeroShotClassification"), result("UCF101VideoClassification")))
    (each,) = beside(dataset="ucf101", family="xu-50/50").values()
    assert (each.row, each.outcome.status) == (None, "not comparable")
    assert each.outcome.why.startswith("51 of the 101 classes, test list 1")


def test_why_names_what_such_a_figure_tests_and_what_no_setting_trains(write):
    import_mteb(write(result("HMDB51ZeroShot"), result("UCF101VideoZeroShotClassification")))

    def differing(key, **cell):
        record = fake_record("nearest-text", family="official-lists", **cell)
        (row,) = build_rows([record], defaults=lambda label: {})
        made = explain(find_published(key), row, record.cell, [row])
        return {each.what: each for each in made.differences}, made.unsaid

    same, _ = differing("openai-clip-vit-base-patch16@hmdb51:list-1")
    assert not {"protocol, splits", "trained on"} & same.keys()
    apart, unsaid = differing("openai-clip-vit-base-patch16@ucf101:list-1-sound", dataset="ucf101")
    assert apart["protocol, splits"].published.startswith("51 of the 101 classes")
    assert "its setting" not in unsaid


def test_the_tasks_name_datasets_and_settings_that_exist():
    for task in mteb_tasks().values():
        assert get_dataset(task.dataset)
        assert task.setting or task.apart or task.metric != "top1"
