"""Papers as TOML files, and the one that is shipped."""

import tomllib

import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.ledger.papers import PAPERS, get_paper, read_paper
from zslbench.reproduce.reproduction import paper_figures, published_figure
from zslbench.run.experiment import resolve_method


@pytest.fixture(scope="module")
def paper():
    return get_paper("action2vec")


def test_an_unknown_paper_is_named_with_its_nearest():
    with pytest.raises(NotFoundError, match="Did you mean action2vec"):
        get_paper("action2vek")


def test_every_row_is_a_method_with_valid_parameters_quick_ones_too(paper):
    for row in paper.rows:
        name = row.method.partition(":")[0]
        quick = paper.quick.set[name]
        method, params = resolve_method(row.method, {row.method: {**row.set, **quick}})
        assert method.info.name == name
        assert {key: getattr(params, key) for key in quick} == quick


def test_rows_are_different_methods(paper):
    made = [resolve_method(row.method, {row.method: row.set}) for row in paper.rows]
    assert len({(method.info.name, params.model_dump_json()) for method, params in made}) == len(paper.rows)


@pytest.mark.parametrize("method", ["action2vec", "stacked-lstm", "single-lstm"])
def test_the_papers_literal_settings_are_a_preset(method):
    _, params = resolve_method(f"{method}:paper", {})
    assert (params.pr_negatives, params.mask_padding) == ("batch", False)


def test_every_row_and_quoted_row_has_a_published_figure_for_each_entry(paper):
    ledger = paper_figures(paper)
    for row in paper.rows:
        for ratio in paper.ratios:
            for dataset in paper.datasets:
                assert published_figure(paper, row.published, dataset, protocol=ratio.name) is not None
    assert {other.published for other in paper.table2.others} <= {figure.system for figure in ledger}
    semantic = {paper.semantic.pooled, paper.semantic.class_vectors, paper.semantic.model}
    assert semantic <= {figure.system for figure in ledger if figure.metric == "spearman"}


def test_each_ratio_has_a_family_in_each_dataset(paper):
    for dataset in paper.datasets:
        for ratio in paper.ratios:
            assert set(ratio.families) & set(get_dataset(dataset).family_names)


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ('splits = "5"', 'colour = "red"\nsplits = "5"', "colour"),
        ('row = "Action2Vec w/dual loss + attention"', 'row = "Nobody"', "no row is called 'Nobody'"),
        ("[[ratios]]", "[[ratio]]", "ratio"),
        ('method = "pooled-krr"', 'default = { method = "pooled-krr" }', "rows.5.method"),
    ],
)
def test_a_file_with_a_mistake_is_refused_by_one_sentence(tmp_path, old, new, hint):
    text = PAPERS.get("action2vec")().read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "paper.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    tomllib.loads(path.read_text(encoding="utf-8"))
    with pytest.raises(ZslbenchError, match=hint):
        read_paper(path)


def test_what_is_no_toml_is_refused(tmp_path):
    (tmp_path / "paper.toml").write_text("[", encoding="utf-8")
    with pytest.raises(ZslbenchError, match="cannot be read"):
        read_paper(tmp_path / "paper.toml")
