"""References: read from text, printed as BibTeX, and nothing invented."""

import re

import pytest
from tiny import make_features

from zslbench.datasets.catalog import working_datasets
from zslbench.leaderboard.citing import Cited, bibliography, cite_names
from zslbench.registry import METHODS, STEPS
from zslbench.tables.bibtex import Reference, references_of
from zslbench.video.backbone import BACKBONES

BUILT_IN = [each.plugin for each in (*METHODS, *STEPS) if each.distribution.startswith("zslbench ")]


def entries(text):
    """Return key -> fields of BibTeX, whose braces must close."""
    found = {}
    for entry in re.findall(r"^@\w+\{.*?^\}$", text, re.DOTALL | re.MULTILINE):
        assert entry.count("{") == entry.count("}")
        head, *lines = entry.splitlines()[:-1]
        key = re.fullmatch(r"@(?:misc|article|inproceedings)\{([a-z0-9]+),", head)[1]
        assert key not in found
        found[key] = dict(re.fullmatch(r"  (\w+) = \{(.*)\},", line).groups() for line in lines)
    return found


@pytest.mark.parametrize(
    ("text", "authors", "title", "venue", "year"),
    [
        ("Hahn, Silva, Rehg. Action2Vec: A Model. arXiv:1901.00484, 2019.", "Hahn Silva Rehg", "Action2Vec: A Model",
         "arXiv:1901.00484", "2019"),
        ("Kay et al. The Kinetics Dataset. arXiv:1705.06950, 2017", "Kay others", "The Kinetics Dataset",
         "arXiv:1705.06950", "2017"),
        ("Shigeto et al., Ridge regression, hubness, and learning, ECML 2015", "Shigeto others",
         "Ridge regression, hubness, and learning", "ECML", "2015"),
        ("Conneau and Jegou, Word Translation Without Data, ICLR 2018", "Conneau Jegou",
         "Word Translation Without Data", "ICLR", "2018"),
        ("Romera-Paredes and Torr, ICML 2015", "Romera-Paredes Torr", "", "ICML", "2015"),
        ("Wang et al., SimpleShot: Revisiting the Nearest Neighbor, 2019", "Wang others",
         "SimpleShot: Revisiting the Nearest Neighbor", "", "2019"),
        ("Radford et al.: Learning Models. ICML 2021.", "Radford others", "Learning Models", "ICML", "2021"),
    ],
)  # fmt: skip
def test_a_reference_is_read_in_its_parts(text, authors, title, venue, year):
    found = Reference.read(text)
    assert (" ".join(found.authors), found.title, found.venue, found.year) == (authors, title, venue, year)


@pytest.mark.parametrize("text", ["a page of the web", "made by zslbench: all classes of kinetics400", "Us, some day"])
def test_what_is_no_reference_is_a_note_as_it_was_written(text):
    assert Reference.read(text).authors == ()
    assert f"note = {{{text}}}" in Reference.read(text).bibtex()


def test_titles_are_escaped_for_latex():
    assert r"title = {{A \& B\_c}}" in Reference.read("Us, Them. A & B_c. ICML, 2015").bibtex()


@pytest.mark.parametrize("plugin", BUILT_IN, ids=lambda plugin: plugin.info.name)
def test_the_references_of_every_built_in_plugin_are_read(plugin):
    found = references_of(plugin.__doc__, plugin.info.citation)
    assert bool(found) == (plugin.info.name not in ("random", "majority"))
    assert all(reference.authors and reference.year for reference in found)


def test_the_references_of_every_built_in_dataset_are_read():
    for dataset in working_datasets():
        (found,) = references_of(None, dataset.citation)
        assert found.authors, dataset.name
        assert found.title, dataset.name


def test_each_reference_is_printed_once_with_all_that_needs_it():
    names = ["action2vec:paper", "stacked-lstm", "ridge+csls", "UCF-101", "clip", "clip-zero-shot"]
    text = bibliography(cite_names(names))
    assert "% method action2vec, method stacked-lstm\n@misc{hahn2019action2vec," in text
    assert "% backbone clip, method clip-zero-shot\n@inproceedings{radford2021learning," in text
    assert set(entries(text)) == {
        "zslbench", "hahn2019action2vec", "hoerl1970technometrics", "conneau2018word", "soomro2012ucf101",
        "radford2021learning",
    }  # fmt: skip


def test_two_references_that_would_have_one_key_are_both_printed():
    texts = ["Lee, Kim. Actions in Kitchens. CVPR, 2020", "Lee. Actions in Gardens. ICCV, 2020",
             "Lee and Kim, Actions in kitchens, CVPR 2020"]  # fmt: skip
    cited = [Cited(f"dataset {i}", (Reference.read(text),)) for i, text in enumerate(texts)]
    text = bibliography(cited)
    found = entries(text)
    assert found["lee2020actions"]["title"] == "{Actions in Kitchens}"
    assert found["lee2020actions2"]["title"] == "{Actions in Gardens}"
    assert len(found) == 3
    assert "% dataset 0, dataset 2\n" in text


def test_a_brace_in_a_text_leaves_the_braces_of_bibtex_closed():
    assert "note = {a \\textbraceleft{}set}" in Reference.read("a {set").bibtex()


def test_features_that_learnt_from_nothing_need_no_reference_of_it(zslbench, tmp_path):
    make_features(extractor="motion 1 {}", trained_on=("nothing",))
    run = ["--dataset", "hmdb51", "--features", "tiny", "--splits", "1", "--results", tmp_path / "runs", "--no-track"]
    assert zslbench("run", "--method", "random", *run)[0] == 0
    _, out, _ = zslbench("cite", "--results", tmp_path / "runs")
    assert "% backbone motion" in out
    assert "nothing" not in out


def test_bibtex_of_all_that_is_known_is_well_formed_and_has_no_doi():
    every = [*METHODS.names(), *(dataset.name for dataset in working_datasets()), *BACKBONES.names()]
    text = bibliography(cite_names(every))
    found = entries(text)
    assert len(found) > 30
    assert "doi" not in {name for fields in found.values() for name in fields}
    assert found["xu2017transductive"] == {
        "author": "Xu and Hospedales and Gong", "journal": "IJCV", "year": "2017",
        "title": "{Transductive Zero-Shot Action Recognition by Word-Vector Embedding}",
    }  # fmt: skip
    unknown = [line.removeprefix("% no reference known for ") for line in text.splitlines() if "% no ref" in line]
    assert unknown == ["method majority", "method random", "backbone onnx", "backbone torch"]


def test_cite_prints_what_stored_results_rest_on(zslbench, tmp_path):
    make_features(extractor="r2plus1d-18 1 {}", trained_on=("kinetics400", "imagenet"))
    runs = tmp_path / "runs"
    run = ["--dataset", "hmdb51", "--features", "tiny", "--splits", "1", "--results", runs, "--no-track"]
    assert zslbench("run", "--method", "ridge", "--method", "random", *run)[0] == 0
    code, out, err = zslbench("cite", "--results", runs)
    assert (code, err) == (0, "")
    assert [line[2:] for line in out.splitlines() if line.startswith("%")] == [
        "zslbench 0.2.0", "dataset hmdb51", "split family xu-50/50", "class vectors minilm", "backbone r2plus1d-18",
        "dataset kinetics400", "method ridge", "no reference known for training data imagenet of features hmdb51@tiny",
        "no reference known for method random",
    ]  # fmt: skip
    assert {"kuehne2011hmdb", "xu2017transductive", "reimers2019sentence", "kay2017kinetics"} < set(entries(out))
    _, filtered, _ = zslbench("cite", "--results", runs, "--method", "random", "--out", tmp_path / "a.bib")
    assert filtered == ""
    assert "hoerl1970" not in (tmp_path / "a.bib").read_text()


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["Actoin2Vec"], "Did you mean action2vec"),
        (["ridge+cslss"], "no step is called 'cslss'. Did you mean csls"),
        (["ridge", "--method", "ridge"], "leave one of them out"),
        (["ridge", "--out", "a.txt"], "must end in .bib"),
    ],
)
def test_wrong_input_is_one_sentence(zslbench, args, sentence):
    code, _, err = zslbench("cite", *args)
    assert (code, len(err.splitlines())) == (2, 1)
    assert sentence in err
