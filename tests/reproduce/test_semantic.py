"""Tables 3 and 4 of a reproduction, and what is told where they cannot be made."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from zslbench.embeddings.class_embeddings import from_features, from_vectors
from zslbench.errors import NotFoundError, OutOfVocabularyError
from zslbench.ledger.papers import get_paper
from zslbench.reproduce.reproduction import prepare
from zslbench.reproduce.semantic import SemanticTests, foreseen, not_made
from zslbench.reproduce.semantic import _arithmetic as arithmetic_test
from zslbench.reproduce.semantic import _wordnet as wordnet_test
from zslbench.reproduce.semantic_tables import semantic_tables
from zslbench.semantic_tests.matrices import WordNetMatrix


@pytest.fixture
def paper():
    return get_paper("action2vec")


def made_of(paper, *datasets):
    return prepare("action2vec", paper, datasets=list(datasets), features="tiny", quick=True)


def test_table_3_shows_both_rules_and_holds_the_one_with_the_diagonal_against_the_paper(paper):
    tiny.make_features("ucf101", per_class=2, extractor="c3d", trained_on=("sports1m",))
    made = replace(made_of(paper, "ucf101"), quick=False, semantics="word2vec-xu")

    def comparison(rho):
        return SimpleNamespace(correlation=SimpleNamespace(rho=rho, p=0.01, low=rho - 0.08, high=rho + 0.08))

    test = SemanticTests("ucf101", coverage="40 of 101 names", why={"arithmetic": "no nouns"})
    for diagonal, rho in ((True, 0.20921), (False, 0.1)):
        names = {"Action2Vec": rho, "Word2Vec": rho + 0.1, "Pooled C3D": rho - 0.1}
        test.wordnet[diagonal] = {name: comparison(value) for name, value in names.items()}
    table3, table4 = semantic_tables(made, [test])
    facts = {(fact["embedding"], fact["dataset"]): fact for fact in table3.facts}
    assert facts["Action2Vec", "ucf101"]["status"] == "reproduced"
    assert facts["Action2Vec", "ucf101"]["rho_without_diagonal"] == "0.1000"
    assert facts["Word2Vec", "ucf101"]["status"] == "differs"
    assert facts["Pooled C3D", "ucf101"]["status"] == "inconclusive"
    assert facts["Pooled C3D", "ucf101"]["low_95"] == "0.0292"
    assert facts["Word2Vec", "hmdb51"]["why"] == "no features"
    assert any("02855" in note for note in table3.notes)
    assert [fact["why"] for fact in table4.facts] == ["no nouns", "no features"]

    # With other class vectors, only the row that does not depend on them is compared.
    table3, _ = semantic_tables(replace(made, semantics="minilm"), [test])
    found = {fact["embedding"]: fact["status"] for fact in table3.facts if fact["dataset"] == "ucf101"}
    assert found == {
        "Pooled C3D": "inconclusive", "Word2Vec": "not comparable", "Action2Vec": "not comparable",
    }  # fmt: skip


def test_the_rules_of_table_3_are_those_that_both_of_its_columns_share(monkeypatch):
    def matrix(dataset, rules, names):
        similarity = np.random.default_rng(0).random((8, 8))
        return WordNetMatrix(dataset.name, names[:8], names[:8], similarity, names[8:], rules)

    monkeypatch.setattr("zslbench.semantic_tests.matrices.wordnet_matrix", matrix)
    features = tiny.make_features("ucf101", per_class=2)
    test = SemanticTests("ucf101", embeddings={"Pooled C3D": from_features(features)})
    wordnet_test(test, features)
    assert "8 of 101 names are in WordNet; whole names" in test.coverage
    assert "diagonal" not in test.coverage
    assert test.wordnet.keys() == {True, False}


def test_table_4_has_a_row_for_every_shipped_list(paper):
    features = tiny.make_features("ucf101", per_class=2)
    made = made_of(paper, "ucf101")
    test = SemanticTests("ucf101", embeddings={"Action2Vec": from_vectors("minilm", features.dataset)})
    arithmetic_test(test, made, features, lambda vectors: vectors)
    _, table4 = semantic_tables(made, [test])
    facts = [fact for fact in table4.facts if fact["dataset"] == "ucf101"]
    assert {fact["groups"]: fact["pairs"] for fact in facts} == {
        "two-word-80": 80, "any-position-90a": 90, "any-position-90b": 90,
    }  # fmt: skip
    headers, rows = table4.blocks[0].headers, table4.blocks[0].rows
    assert {len(row) for row in rows} == {len(headers)}
    for fact in facts:
        done = test.arithmetic[fact["groups"]]
        for metric in ("euclidean", "cosine"):
            outcome = done.outcome(metric, exclude_source=True)
            assert fact[f"{metric}_source_left_out"] == f"{outcome.micro.mean:.4f}"
            assert fact[f"{metric}_source_left_out_over_verbs"] == f"{outcome.macro.mean:.4f}"
        assert fact["measured"] == f"{done.outcome('euclidean', exclude_source=False).micro.mean:.4f}"
        assert fact["chance_source_left_out"] == "0.0100"
    assert any("no k/90" in note for note in table4.notes)


@pytest.fixture
def no_wordnet(monkeypatch):
    def refuse():
        raise NotFoundError("WordNet's data could not be had.")

    monkeypatch.setattr("zslbench.semantic_tests.wordnet_data.get_wordnet", refuse)


@pytest.fixture
def finished(monkeypatch):
    """Class vectors that know no single words, as Xu's are."""

    def no_words(spec, dataset, phrases):
        if list(phrases) == ["piano"]:  # one of them may be the name of a class
            return np.ones((1, 4), dtype=np.float32)
        raise OutOfVocabularyError(f"{spec} has no single words.")

    monkeypatch.setattr("zslbench.semantic_tests.arithmetic.text_vectors", no_words)


def test_what_cannot_be_made_is_known_before_anything_runs(paper, no_wordnet, finished):
    tiny.make_features("ucf101", per_class=2)
    table3, table4 = foreseen(made_of(paper, "ucf101"))
    assert table3 == "table 3 will not be made: WordNet's data could not be had."
    assert table4.startswith("table 4 and figure 4 of UCF101 will not be made: no verb has two nouns with a vector")


def test_where_everything_is_there_nothing_is_foreseen(paper, monkeypatch):
    monkeypatch.setattr("zslbench.semantic_tests.wordnet_data.get_wordnet", lambda: None)
    tiny.make_features("ucf101", per_class=2)
    tiny.make_features()
    assert foreseen(made_of(paper, "ucf101", "hmdb51")) == []


def test_what_was_not_made_is_told_with_its_reason():
    tests = [SemanticTests("ucf101", why={"wordnet": "no data.", "arithmetic": "no words."}), SemanticTests("hmdb51")]
    assert not_made(tests) == [
        "table 3 of UCF101 not run: no data.",
        "table 4 and figure 4 of UCF101 not run: no words.",
    ]
