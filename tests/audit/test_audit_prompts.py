"""Names that are not split into words are a warning, and so are several prompts that were tried on the test."""

import json

import numpy as np
import pytest
from audited import record
from fakes import fake_record
from tiny import make_features

from zslbench.audit._prompts import check_spelling
from zslbench.audit.audit import audit_records
from zslbench.datasets.catalog import get_dataset
from zslbench.semantics import encoder
from zslbench.semantics.importing import import_classes
from zslbench.semantics.texts import import_texts


def found(code, records):
    return [each for each in audit_records(records) if each.code == code]


def test_camel_case_is_a_warning_with_the_number_of_names():
    (finding,) = check_spelling("ucf101", "minilm:names=official,template=a video of {}")
    assert finding.code == "W18"
    several = sum(" " in words for words in get_dataset("ucf101").phrases["plain"].values())
    assert finding.evidence == (f"{several} of 101 class names are not split into words, such as ApplyEyeMakeup",)
    assert "Archery" not in finding.classes


@pytest.mark.parametrize("more", ["", ":names=spaced", ":names=clip,template=clip-ucf101", ":template=a video of {}"])
def test_names_of_words_are_no_finding(more):
    assert list(check_spelling("ucf101", f"minilm{more}")) == []


def test_underscores_are_a_warning_too_also_of_an_import_that_recorded_its_names(tmp_path):
    hmdb51 = get_dataset("hmdb51")
    vectors = np.random.default_rng(0).normal(size=(51, 4))
    import_classes("mine", tmp_path, {"hmdb51": (list(hmdb51.classes), vectors)}, prompt="names=official,template=none")
    (finding,) = check_spelling("hmdb51", "mine")
    assert "such as brush_hair" in finding.evidence[0]
    assert list(check_spelling("hmdb51", "gone")) == []


def test_the_audit_of_results_has_both_and_says_what_choosing_would_be(monkeypatch):
    monkeypatch.setattr(encoder, "find_spec", lambda name: None)  # the audit does without the encoder
    specs = ["minilm", "minilm:names=official", "minilm:template=a video of {}"]
    records = [fake_record(semantics=spec, semantics_digest=spec) for spec in specs]
    assert found("W13", records[:2]) == []
    (tried,) = found("W13", records)
    assert tried.evidence[0] == "3 prompts"
    assert "is an oracle" in tried.remedy
    (joined,) = found("W18", records)
    assert joined.concerns == "hmdb51, class vectors minilm:names=official"


def test_class_texts_with_such_names_are_a_warning(tmp_path):
    hmdb51 = get_dataset("hmdb51")
    texts = {name: [f"a person doing {name.replace('_', ' ')} number {i}"] for i, name in enumerate(hmdb51.classes)}
    texts["golf"] = ["not a shoot_ball, but a small one"]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    import_texts("mine", tmp_path / "texts.json", hmdb51)
    (finding,) = found("W18", [record(make_features("hmdb51", "tiny"), texts="mine", texts_digest="d")])
    assert finding.concerns == "hmdb51, class texts mine"
    assert finding.classes == ("golf",)
