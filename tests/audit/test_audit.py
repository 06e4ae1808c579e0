"""The leak audit: each finding appears where it should, and only there."""

from dataclasses import replace

import numpy as np
import pytest
from audited import CLASSES, features_with, record, written
from fakes import fake_record, fake_store

from zslbench.audit.audit import audit_features, audit_records, mark_notes, marks, refuse
from zslbench.audit.findings import CODES, Severity, in_order
from zslbench.cells.cell import State
from zslbench.cells.rows import group_cells
from zslbench.cells.source import source_digest
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.split_files import write_imported
from zslbench.datasets.splits import Split, SplitFamily
from zslbench.errors import ZslbenchError
from zslbench.registry import get_method
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan


def codes(findings):
    return {finding.code for finding in findings}


def one(findings, code):
    (found,) = [finding for finding in findings if finding.code == code]
    return found


# What an extractor saw


def test_unseen_classes_that_bear_a_labels_name_are_a_leak_and_near_ones_a_warning():
    features = features_with(trained_on=["Sports-1M"])
    found = audit_records([record(features, unseen=("fencing", "golf", "shoot_bow", "pour"))])
    assert one(found, "L1").classes == ("fencing", "golf")
    assert one(found, "W1").classes == ("shoot_bow",)
    assert "shoot_bow ~ archery (cosine 0.75)" in one(found, "W1").evidence
    assert "zslbench splits filter hmdb51 --against sports1m" in one(found, "L1").remedy


def test_seen_classes_that_the_extractor_knows_are_no_finding():
    features = features_with(trained_on=["sports1m"])
    found = audit_records([record(features, unseen=("pour", "pick"), others=("fencing", "golf"), protocol="gzsl")])
    assert not {"L1", "W1"} & codes(found)


def test_overlap_is_counted_split_by_split():
    features = features_with(trained_on=["sports1m"])
    records = [
        record(features, split=0, unseen=("fencing", "golf", "pour")),
        record(features, split=1, unseen=("pick", "talk", "golf")),
    ]
    summary = one(audit_records(records), "L1").evidence[0]
    assert (
        summary
        == "2 of 5 classes that are unseen in any split; 1 to 2 of 3 unseen classes in each of 2 distinct splits"
    )


def test_evidence_tells_what_the_overlap_is_worth_as_means_over_classes():
    features = features_with(trained_on=["sports1m"])
    made = record(features, unseen=("fencing", "golf", "pour", "pick"), scored=(10, 20, 10, 10), top1=(9, 10, 2, 0))
    # Known classes: (9/10 + 10/20) / 2 = 70 %; the others: (2/10 + 0) / 2 = 10 %.
    assert (
        "ridge, zsl, minilm: 70.0 % correct in these classes, 10.0 % in the other unseen ones"
        in one(audit_records([made]), "L1").evidence
    )


def test_an_extractor_trained_on_the_tested_dataset_is_a_leak_whatever_the_split():
    features = features_with(trained_on=["HMDB-51"])
    found = audit_records([record(features)])
    assert {"L2"} == {code for code in codes(found) if code[0] == "L"}


def test_objects_of_actions_are_a_warning_of_their_own_and_no_leak():
    features = features_with(trained_on=["imagenet"])
    found = audit_records([record(features, unseen=("pick", "shoot_bow", "pour"))])
    assert set(one(found, "W2").classes) == {"pick", "shoot_bow"}
    assert not [code for code in codes(found) if code[0] == "L"]


@pytest.mark.parametrize(
    ("trained_on", "says"),
    [
        ((), "nothing is recorded"),
        (("our-videos",), "there is no list of the labels of"),
        (("clip",), "no action can be ruled out"),
    ],
)
def test_unknown_training_data_are_a_warning(trained_on, says):
    found = audit_records([record(features_with(trained_on=list(trained_on)))])
    assert says in one(found, "W3").evidence[0]


def test_an_untrained_extractor_gives_no_finding_about_training():
    found = audit_records([record(features_with(trained_on=["nothing"]))])
    assert not {"L1", "L2", "W1", "W2", "W3"} & codes(found)


def test_results_on_a_feature_set_that_has_changed_cannot_be_checked():
    features = features_with(trained_on=["sports1m"])
    old = record(features, features_digest="of another version")
    assert "the feature set was removed or changed here" in one(audit_records([old]), "W3").evidence[0]


def test_a_pca_fitted_on_all_videos_is_a_leak_and_one_on_seen_videos_is_not():
    assert "L4" in codes(audit_records([record(features_with(name="a", pca_fit="all"))]))
    assert "L4" not in codes(audit_records([record(features_with(name="b", pca_fit="seen"))]))


def test_simulated_features_are_loud_and_not_asked_about_training():
    found = audit_records([record(features_with(simulated=True, trained_on=[]), simulated=True)])
    assert "W11" in codes(found)
    assert "W3" not in codes(found)


def test_training_classes_of_another_dataset_that_are_tested_are_a_leak(data_root):
    """What E2E removes: Kinetics classes that the test has too."""
    from zslbench.datasets.split_files import write_imported
    from zslbench.datasets.splits import Split, SplitFamily

    split = Split(("archery", "golf putting", "yoga"), ("shoot_bow", "golf", "pour"), seen_dataset="kinetics400")
    clean = Split(("yoga", "abseiling"), ("shoot_bow", "golf", "pour"), seen_dataset="kinetics400")
    same = Split(("punching person (boxing)", "yoga"), ("punch", "pour"), seen_dataset="kinetics400")
    families = [SplitFamily(n, "hmdb51", (s,), "") for n, s in (("near", split), ("clean", clean), ("same", same))]
    write_imported(families)
    features = features_with(trained_on=["nothing"], classes=(*CLASSES, "punch"))
    found = {}
    for family in families:
        cell = {"family": family.name, "family_digest": family.digest, "split_digest": family.splits[0].digest,
                "seen_dataset": "kinetics400", "seen_features_digest": "k"}  # fmt: skip
        found[family.name] = audit_records([record(features, unseen=family.splits[0].unseen, **cell)])
    assert set(one(found["near"], "W12").classes) == {"shoot_bow", "golf"}
    assert "L3" not in codes(found["near"])
    assert not {"L3", "W12"} & codes(found["clean"])
    assert one(found["same"], "L3").classes == ("punch",)
    untrained = record(features, method="nearest-text", method_digest=source_digest(get_method("nearest-text")),
                       unseen=families[2].splits[0].unseen, **cell)  # fmt: skip
    assert not {"L3", "W12"} & codes(audit_records([untrained]))


# Budgets and code


def test_test_labels_are_a_leak():
    found = audit_records([record(features_with(), method="majority", budget=("oracle",))])
    assert one(found, "L5").rows == ("majority",)


def installed(method):
    """Return the fields of a cell of a method as it is installed now."""
    from zslbench.cells.source import source_digest
    from zslbench.run.experiment import resolve_method

    kind, params = resolve_method(method, {})
    return {"method_digest": source_digest(kind), "method_version": kind.info.version,
            "params": params.model_dump(mode="json"), "budget": tuple(sorted(kind(params).budget))}  # fmt: skip


def test_a_recorded_budget_that_is_not_the_declared_one_is_a_leak():
    features = features_with()
    honest = record(features, **installed("ridge"))
    assert not {"L6", "W8", "N3"} & codes(audit_records([honest]))
    tampered = record(features, **(installed("ridge") | {"budget": ()}))
    assert "recorded nothing, declared class-vectors" in one(audit_records([tampered]), "L6").evidence[0]


def test_parameters_that_widen_the_budget_are_noted():
    from zslbench.cells.source import source_digest
    from zslbench.run.experiment import resolve_method

    method, params = resolve_method("pooled-krr", {"pooled-krr": {"laplacian": "train+test"}})
    budget = tuple(sorted(method(params).budget))
    made = record(features_with(), method="pooled-krr", method_digest=source_digest(method), budget=budget,
                  params=params.model_dump(mode="json"))  # fmt: skip
    assert "unseen-videos" in one(audit_records([made]), "N3").evidence[0]


def test_results_of_changed_code_and_of_absent_methods_are_a_warning():
    features = features_with()
    changed = record(features, **(installed("ridge") | {"method_digest": "old"}))
    assert "has changed" in one(audit_records([changed]), "W8").evidence[0]
    absent = record(features, method="nobody-has-this")
    assert "not installed" in one(audit_records([absent]), "W8").evidence[0]


# Videos, splits, rows


def test_missing_videos_are_counted_class_by_class():
    features = features_with()
    expected = get_dataset("hmdb51").videos_per_class
    made = record(features, unseen=("fencing", "pick"), scored=(expected["fencing"], 60), top1=(1, 1))
    finding = one(audit_records([made]), "W4")
    assert finding.classes == ("pick",)
    assert f"pick: 60 of {expected['pick']}" in finding.evidence


def test_ids_that_name_another_class_and_a_surplus_are_warnings():
    videos = [
        (f"v_{name}_g01_c0{i}", name, np.ones((1, 4), np.float32) + i) for name in ("run", "walk") for i in (1, 2)
    ]
    assert not {"W19", "W20"} & codes(audit_features(written(videos)))
    moved = [("v_run_g02_c01", "walk", np.zeros((1, 4), np.float32)), *videos]
    features = written([*moved, *((f"x{i}", "run", np.eye(4, dtype=np.float32)) for i in range(240))], name="more")
    found = audit_features(features)
    wrong, more = one(found, "W19"), one(found, "W20")
    assert wrong.evidence == (
        "the ids of 1 of 245 videos name another class", "v_run_g02_c01 is in walk, but its id names run",
    )  # fmt: skip
    assert (wrong.classes, more.classes) == (("walk",), ("run",))
    assert more.evidence == ("1 class has 10 videos more than hmdb51", "run: 242 of 232")
    stored = audit_records([record(features, unseen=("run", "walk"), scored=(242, 3), top1=(1, 1))])
    assert {"W19", "W20"} <= codes(stored)


def test_a_surplus_of_one_class_does_not_hide_what_another_lacks():
    features = features_with()
    expected = get_dataset("hmdb51").videos_per_class
    scored = (expected["fencing"] + 10, expected["pick"] - 10)
    finding = one(audit_records([record(features, scored=scored, top1=(1, 1))]), "W4")
    assert f"{sum(expected[c] for c in ('fencing', 'pick')) - 10} of" in finding.evidence[0]


def test_a_chosen_few_splits_are_told_from_the_first_few():
    features = features_with()
    first = [record(features, split=i, family_size=50) for i in range(3)]
    assert "3 of 50 splits (the first 3): ridge" in one(audit_records(first), "W5").evidence
    chosen = [record(features, split=i, family_size=50) for i in (4, 17, 33)]
    assert "numbers 4, 17, 33: not the first 3" in one(audit_records(chosen), "W5").evidence[0]
    whole = [record(features, split=i, family_size=3) for i in range(3)]
    assert "W5" not in codes(audit_records(whole))


def test_splits_lost_to_failures_are_told():
    features = features_with()
    cells = [record(features, split=0, family_size=2), record(features, split=1, family_size=2, state=State.TIMEOUT)]
    assert "without figures: 1 timeout" in one(audit_records(cells), "W5").evidence[0]


def test_repeated_splits_count_as_the_first_ones_and_are_noted():
    """UCF101: splits 6, 7, 8 repeat 0, 1, 2, so ten splits are seven cells."""
    features = features_with()
    cells = [record(features, split=i, repeats=2 if i < 3 else 1) for i in (0, 1, 2, 3, 4, 5, 9)]
    found = audit_records(cells)
    assert "10 of 50 splits (the first 10)" in one(found, "W5").evidence[0]
    assert "3 of 50 splits repeat others" in one(found, "N1").evidence[0]


@pytest.mark.parametrize("other", [{"split": 1}, {"seed": 1}])
def test_rows_on_other_splits_or_seeds_are_not_like_with_like(other):
    features = features_with()
    alike = [record(features), record(features, method="eszsl")]
    assert "W6" not in codes(audit_records(alike))
    assert one(audit_records([record(features), record(features, method="eszsl", **other)]), "W6")


def test_rows_of_one_name_on_other_class_vectors_are_told_what_differs():
    features = features_with()
    cells = [record(features), record(features, method="eszsl", semantics_digest="other words")]
    finding = one(audit_records(cells), "W7")
    assert finding.evidence == ("2 versions, different in: class vectors",)


def test_uncommitted_code_is_told_with_its_commit(tmp_path):
    features = features_with()
    made = [record(features, split=i) for i in range(2)]
    store = fake_store(tmp_path / "runs", [])
    store.write(made[0].cell, made[0].result, environment={"git": {"commit": "abcdef1234567", "dirty": True}})
    store.write(made[1].cell, made[1].result, environment={"git": {"commit": "abcdef1234567", "dirty": False}})
    finding = one(audit_records(list(store.records()), store), "W9")
    assert finding.concerns == "1 of 2 cells"
    assert "abcdef123456" in finding.evidence[0]


def test_gzsl_without_source_groups_is_a_warning_and_zsl_is_not():
    with_groups, without = features_with(name="a"), features_with(name="b", groups=False)
    gzsl = {"unseen": ("fencing",), "others": ("pick",), "protocol": "gzsl", "metrics": {"H": 0.5}}
    assert "W10" in codes(audit_records([record(without, **gzsl)]))
    assert "W10" not in codes(audit_records([record(without)]))
    assert "W10" not in codes(audit_records([record(with_groups, **gzsl)]))


def test_nearly_equal_class_vectors_are_noted(monkeypatch):
    from zslbench.audit import _rows as audit_rows
    from zslbench.semantics.class_vectors import open_semantics

    assert "N2" not in codes(audit_records([record(features_with())]))  # MiniLM's nearest pair of HMDB51 is at 0.8
    monkeypatch.setattr(audit_rows, "NEARLY_EQUAL", 0.7)
    vectors = open_semantics("minilm", get_dataset("hmdb51"))
    pairs = {(a, b) for i, a in enumerate(vectors.names) for j, b in enumerate(vectors.names)
             if i < j and float(vectors.vectors[i] @ vectors.vectors[j]) > 0.7}  # fmt: skip
    finding = one(audit_records([record(features_with(name="again"))]), "N2")
    assert {tuple(line.partition(":")[0].split(" and ")) for line in finding.evidence[1:]} == pairs
    assert set(finding.classes) == {name for pair in pairs for name in pair}


@pytest.mark.real
def test_the_known_near_pair_of_ucf101s_word_vectors_is_noted(shared_data, zslbench):
    code, _, error = zslbench("semantics", "import", "xu", shared_data / "xu-ijcv17" / "Label.mat")
    assert code == 0, error
    from zslbench.audit._rows import check_vectors

    (finding,) = check_vectors("ucf101", "xu")
    assert any(line.startswith("JavelinThrow and ThrowDiscus: cosine 0.957") for line in finding.evidence)
    assert any(line.startswith("PlayingCello and PlayingViolin: cosine 0.954") for line in finding.evidence)


def test_published_figures_selected_on_the_test_are_noted():
    found = one(audit_records([record(features_with())]), "N4")
    assert any("self-training" in line for line in found.evidence)


# Before a run


def test_a_feature_set_is_audited_without_any_result():
    features = features_with(trained_on=["sports1m"], pca_fit="all", groups=False)
    found = audit_features(features)
    assert {"L1", "L4", "W4", "W10"} <= codes(found)
    assert "fencing" in one(found, "L1").classes


def test_a_feature_set_is_audited_on_the_families_that_it_covers():
    every = get_dataset("hmdb51").classes
    features = features_with(trained_on=["kinetics400"], classes=every)
    evidence = one(audit_features(features), "L1").evidence
    assert any(line.startswith("xu-50/50: ") for line in evidence)
    # TruZe's unseen classes are those that Kinetics-400 does not have.
    truze = audit_features(features, ["truze-v1"])
    assert "L1" not in codes(truze)


def plan_on(features, *methods):
    settings = {"method": methods, "dataset": "hmdb51", "features": features.manifest.name, "splits": "2"}
    return make_plan(make_experiment(settings))


def test_strict_refuses_a_plan_that_leaks_and_says_why():
    leaking = features_with(name="leaking", pca_fit="all", trained_on=["nothing"])
    with pytest.raises(ZslbenchError, match=r"L4 .*hmdb51@leaking.*--features-only hmdb51@leaking"):
        refuse(plan_on(leaking, "ridge"))
    clean = features_with(name="clean", trained_on=["nothing"])
    refuse(plan_on(clean, "ridge"))
    with pytest.raises(ZslbenchError, match="L5"):
        refuse(plan_on(clean, "ridge", "majority"))


def test_strict_looks_at_the_planned_splits_only():
    features = features_with(trained_on=["sports1m"], classes=("chew", "fencing", "pour", "talk"))
    family = get_dataset("hmdb51").family("random-50/50", features.covered)
    clean = next(i for i, split in enumerate(family.splits) if "fencing" not in split.unseen)
    leaking = next(i for i, split in enumerate(family.splits) if "fencing" in split.unseen)
    settings = {"method": "ridge", "dataset": "hmdb51", "features": "tiny"}
    refuse(make_plan(make_experiment(settings | {"splits": f"{clean},"})))
    with pytest.raises(ZslbenchError, match="L1"):
        refuse(make_plan(make_experiment(settings | {"splits": f"{leaking},"})))


# Marks in the leaderboard


def test_marks_are_the_codes_of_each_rows_leaks():
    leaking = features_with(name="leaking", trained_on=["sports1m"], pca_fit="all")
    clean = features_with(name="clean", trained_on=["nothing"])
    records = [
        record(leaking),
        record(leaking, method="majority", budget=("oracle",)),
        record(clean),
        record(clean, method="majority", budget=("oracle",)),
    ]
    keys = {(group[0].cell.features, group[0].cell.method): key for key, group in group_cells(records).items()}
    marked = marks(records)
    assert marked[keys["leaking", "ridge"]] == ("L1", "L4")
    assert marked[keys["leaking", "majority"]] == ("L1", "L4", "L5")
    assert keys["clean", "ridge"] not in marked
    assert marked[keys["clean", "majority"]] == ("L5",)


def test_marks_say_what_the_audit_says():
    features = features_with(trained_on=["sports1m", "hmdb51"], pca_fit="all")
    records = [record(features, **installed("ridge"))]
    leaks = {finding.code for finding in audit_records(records) if finding.severity is Severity.LEAK}
    assert {code for found in marks(records).values() for code in found} == leaks


def test_rows_that_chose_on_validation_classes_are_named():
    features = features_with()
    asked, silent = record(features), record(features, method="random")
    asked = replace(asked, result=asked.result.model_copy(update={"notes": {"validation_classes": 60.0}}))
    found = one(audit_records([asked, silent]), "N6")
    assert found.rows == ("ridge",)
    assert found.evidence == ("ridge: 60 classes",)


def test_a_footnote_explains_each_mark_in_the_order_of_the_codes():
    notes = mark_notes(["L4", "L1", "L4"])
    assert [note[:4] for note in notes] == ["[L1]", "[L4]"]


def test_codes_are_never_renamed():
    """Papers may quote them: add at the end, never reuse."""
    assert list(CODES) == [
        "L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10",
        "W11", "W12", "W13", "W14", "W15", "W16", "W17", "W18", "W19", "W20", "W21", "N1", "N2", "N3", "N4", "N5", "N6",
    ]  # fmt: skip


def test_findings_about_the_same_thing_are_joined():
    features = features_with(trained_on=["clip", "our-videos"])
    found = audit_records([record(features)])
    assert len(one(found, "W3").evidence) == 2
    assert in_order([*found, *found]) == found


def test_a_sweep_over_a_methods_settings_on_the_test_is_a_warning():
    def sweep(*alphas, **more):
        records = [fake_record("ridge", params={"alpha": alpha}, **more) for alpha in alphas]
        return [f for f in audit_records(records) if f.code == "W13"]

    assert sweep(3.0, 30.0) == []  # an ablation
    (finding,) = sweep(3.0, 30.0, 300.0)
    assert finding.evidence[0] == "3 settings"
    assert finding.rows == ("ridge (alpha=3)", "ridge (alpha=30)", "ridge (alpha=300)")
    assert sweep(3.0, 30.0, None) != []  # the default beside two others


def test_a_family_saved_on_this_machine_is_audited_where_it_is_asked_for_only():
    features = features_with(trained_on=["nothing"])
    before = audit_features(features)
    split = Split(("Fencing", "Biking"), ("fencing", "golf"), seen_dataset="ucf101")
    write_imported([SplitFamily("mine", "hmdb51", (split,), source="this test")])
    assert audit_features(features) == before
    assert "L3" in codes(audit_features(features, ["mine"]))
