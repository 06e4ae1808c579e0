"""Class names that the shipped vectors lack: pooled from known words and marked, or refused with a remedy."""

import re
import shlex

import numpy as np
import pytest

from zslbench.datasets.catalog import DatasetFile, add_dataset, get_dataset
from zslbench.datasets.own_words import with_words
from zslbench.errors import CoverageError, OutOfVocabularyError, ZslbenchError
from zslbench.semantics.class_vectors import missing_words, open_semantics, text_vectors
from zslbench.semantics.importing import import_semantics
from zslbench.semantics.own_classes import strange_classes, suggested_words, words_of_classes
from zslbench.semantics.pooled import known_words, pool_phrases

UTD_MHAD = """
    arm_curl_two_arms baseball_swing_from_right basketball_shooting bowling_right_hand cross_arms_in_the_chest
    draw_circle_clockwise draw_circle_counter_clockwise draw_triangle draw_x forward_lunge_left_foot_forward
    front_boxing hand_catch jogging knock_on_door pick_up_and_throw right_arm_swipe_to_the_left
    right_arm_swipe_to_the_right right_arm_throw right_hand_wave sit_to_stand squat stand_to_sit
    tennis_forehand_swing tennis_serve two_hand_front_clap two_hand_push walking
"""  # Chen, Jafari, Kehtarnavaz, ICIP 2015


def without_encoder(table, phrases):
    raise OutOfVocabularyError("it is not on this machine")


def added(*classes, name="mine", encode=without_encoder, **more):
    return add_dataset(DatasetFile(name=name, classes=classes, **more), encode, replace=True)


def command_in(text):
    """Return the arguments of the command ``zslbench datasets words`` that a message tells."""
    words = shlex.split(re.search(r"zslbench datasets words .*", text)[0].split(" (or under")[0])
    assert words[:3] == ["zslbench", "datasets", "words"]
    return words[3:]


def test_every_action_of_utd_mhad_has_a_vector_without_the_encoder():
    dataset = added(*UTD_MHAD.split())
    assert missing_words("minilm", dataset) == {}
    says = {each.name: each.says for each in words_of_classes(dataset)}
    assert says["tennis_serve"] == "tennis serve"
    assert says["two_hand_push"] == "two + hand + push"
    assert says["right_arm_swipe_to_the_left"] == "right + arm + to + the + left (not swipe)"


def test_a_pooled_vector_is_the_mean_of_its_known_words_unit_vectors():
    dataset = added("walking_zebu_dog", "jogging")
    table = known_words(dataset.vectors["minilm"])
    rows = [table[word].astype(float) / np.linalg.norm(table[word].astype(float)) for word in ("walking", "dog")]
    mean = np.mean(rows, axis=0) / np.linalg.norm(np.mean(rows, axis=0))
    vectors = open_semantics("minilm", dataset)
    np.testing.assert_allclose(vectors.vectors[0], mean, atol=1e-4)  # stored as float16
    np.testing.assert_array_equal(text_vectors("minilm", dataset, ["walking zebu dog"]), vectors.vectors[:1])


def test_pooled_classes_are_marked_and_whole_phrases_keep_their_digest():
    dataset = added("fold_laundry", "tennis_serve", "jogging")
    vectors = open_semantics("minilm", dataset)
    assert vectors.pooled == ("fold_laundry",)
    assert vectors.describe() == "minilm: 384-d, unit length, 1 of 3 classes pooled from words"
    known = vectors.take(["tennis_serve", "jogging"])
    assert known.pooled_text == ""
    assert known.digest == open_semantics("minilm", added("tennis_serve", "jogging")).digest


def test_accents_and_small_numbers_are_known_in_another_form():
    words = {
        each.name: each.says for each in words_of_classes(added("Café visit", "gesture 1", "gesture 2", "level 44"))
    }
    assert words == {
        "Café visit": "cafe + visit",
        "gesture 1": "gesture + one",
        "gesture 2": "gesture + two",
        "level 44": "level (not 44)",
    }
    assert len(open_semantics("minilm", get_dataset("mine"))) == 4
    assert list(missing_words("minilm", added("1", "02", "jogging"))) == ["1", "02"]  # numbers alone name no action
    with pytest.raises(ZslbenchError, match=r"'level 45=\.\.\.'"):
        open_semantics("minilm", added("level 44", "level 45"))


def test_built_in_datasets_have_no_pooled_class():
    for name in ("hmdb51", "ucf101", "kinetics700", "olympicsports16"):
        assert open_semantics("minilm", get_dataset(name)).pooled == ()


def test_an_encoded_phrase_is_not_pooled():
    def encode(table, phrases):
        return np.random.default_rng(0).normal(size=(len(phrases), 384)).astype(np.float16)

    dataset = added("fold_laundry", "jogging", "zxcvb", encode=encode)
    assert open_semantics("minilm", dataset).pooled == ()
    assert [each.name for each in strange_classes(dataset, words_of_classes(dataset))] == ["zxcvb"]


def test_words_of_the_shipped_file_are_near_those_of_the_table():
    """A word's int8 vector against the float16 one: words of the texts are near the words of class names."""
    table = get_dataset("ucf101").vectors["minilm"]
    found = pool_phrases(table, ["baseballs", "swimmer", "zxcvb"])
    assert "zxcvb" not in found
    known = known_words(table)
    cosine = found["swimmer"].vector.astype(float) @ known["swimming"].astype(float)
    assert cosine > 0.6
    assert len(known) > 12_000


def test_classes_without_a_known_word_are_refused_with_a_command():
    dataset = added("zxcvb", "skokk", "jogging")
    with pytest.raises(CoverageError, match=r"no vector of 2 of 3 mine classes \(zxcvb, skokk\)") as caught:
        open_semantics("minilm", dataset)
    assert "'zslbench datasets words mine' shows why and what to do" in str(caught.value)


def test_two_classes_of_the_same_words_are_refused_and_the_command_in_the_message_works():
    dataset = added("sit to stand", "stand to sit", "jogging")
    with pytest.raises(ZslbenchError, match="equal vectors, so no method can distinguish them") as caught:
        open_semantics("minilm", dataset)
    assert "[phrases]" in str(caught.value)
    assert "name-edit" not in str(caught.value)
    name, *words = command_in(str(caught.value))
    add_dataset(with_words(name, words), without_encoder, replace=True)
    assert len(open_semantics("minilm", get_dataset("mine"))) == 3


def test_the_same_holds_for_imported_word_vectors(tmp_path):
    (tmp_path / "w.txt").write_text("sit 1 0\nto 0 1\nstand 1 1\n")
    import_semantics("w", tmp_path / "w.txt")
    dataset = added("sit to stand", "stand to sit")
    with pytest.raises(ZslbenchError, match="w gives sit to stand and stand to sit of mine equal vectors") as caught:
        open_semantics("w", dataset)
    name, *words = command_in(str(caught.value))
    add_dataset(with_words(name, words), without_encoder, replace=True)
    assert len(open_semantics("w", get_dataset("mine"))) == 2
    with pytest.raises(OutOfVocabularyError, match=r"datasets words mine dance=\.\.\. \(or under \[phrases\]"):
        open_semantics("w", added("sit", "dance"))


def test_words_that_may_be_meant_are_suggested():
    dataset = added("wlaking", "ridingahorse", "ApplyEyeMakup", "zxcvb", "run")
    classes = words_of_classes(dataset)
    assert suggested_words(classes) == {
        "wlaking": "walking",
        "ridingahorse": "riding a horse",
        "ApplyEyeMakup": "apply eye makeup",
    }


def test_other_words_are_kept_with_those_given_before():
    added("c01", "c02", "jogging", phrases={"c01": "open fridge"}, videos_per_class={"c01": 3})
    again = with_words("mine", ["C02=peel mango"])
    assert again.phrases == {"c01": "open fridge", "c02": "peel mango"}
    assert again.videos_per_class == {"c01": 3}
    for wrong in ("c02", "c02=", "c02=...", "c09=run"):
        with pytest.raises(ZslbenchError, match="not CLASS=WORDS|no class of mine"):
            with_words("mine", [wrong])
