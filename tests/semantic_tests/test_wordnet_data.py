"""Finding and getting WordNet's data."""

import os
import stat
import zipfile

import nltk
import pytest

from zslbench.errors import NotFoundError
from zslbench.semantic_tests import wordnet_data
from zslbench.semantic_tests.wordnet_data import find_wordnet, get_wordnet, lexnames, open_wordnet, wordnet_version

pytestmark = pytest.mark.versions


@pytest.fixture
def nltk_folder(tmp_path, monkeypatch):
    """The only folder on NLTK's data path; empty."""
    folder = tmp_path / "nltk_data"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(nltk.data, "path", [str(folder)])
    return folder


def no_way(scratch, seconds):
    raise wordnet_data._FailedError("not today")


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(wordnet_data, "_download", no_way)


@pytest.fixture
def installed(wordnet_path, tmp_path, monkeypatch):
    """A system's WordNet as Debian's wordnet-base has it: without lexnames and index.sense, open to a group."""
    folder = tmp_path / "share"
    folder.mkdir()
    for name in wordnet_data._WANTED:
        if name not in ("lexnames", "index.sense") and (wordnet_path / name).is_file():
            (folder / name).symlink_to(wordnet_path / name)
    monkeypatch.setattr(wordnet_data, "SYSTEM_FOLDERS", (folder,))
    return folder


@pytest.mark.slow
def test_an_installed_wordnet_is_completed_and_opened(nltk_folder, no_network, installed):
    assert find_wordnet() is None
    made = get_wordnet()
    assert made == (nltk_folder / "corpora" / "wordnet", str(installed))
    assert open_wordnet().synset("dog.n.01").lexname() == "noun.animal"
    assert not any(path.is_symlink() for path in made.path.iterdir())
    assert [path.name for path in made.path.parent.iterdir()] == ["wordnet"]


def test_a_second_call_does_nothing(nltk_folder, no_network, installed, monkeypatch):
    first = get_wordnet()
    monkeypatch.setattr(wordnet_data, "_put", None)
    assert get_wordnet() == (first.path, "")


def test_no_other_account_may_write_what_was_put_there(nltk_folder, no_network, installed):
    before = os.umask(0o002)  # as many systems set it; NLTK 3.10 refuses data that a group may write to
    try:
        made = get_wordnet()
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (made.path, *made.path.iterdir())]
    assert not any(mode & 0o022 for mode in modes)


def test_the_table_of_lexicographer_files_agrees_with_the_data(wordnet_path, wordnet):
    files = [line.split() for line in lexnames().splitlines()]
    assert [int(number) for number, _, _ in files] == list(range(45))
    for part, category in (("noun", "1"), ("verb", "2"), ("adj", "3"), ("adv", "4")):
        used = {
            line.split()[1]
            for line in (wordnet_path / f"data.{part}").read_text(encoding="utf-8").splitlines()
            if not line.startswith(" ")
        }
        assert {number for number, name, _ in files if name.startswith(f"{part}.")} >= used
        assert {of for _, name, of in files if name.startswith(f"{part}.")} == {category}
    names = {"act": "walk.n.01", "food": "bread.n.01", "time": "day.n.01", "Tops": "entity.n.01"}
    for topic, synset in names.items():
        assert wordnet.synset(synset).lexname() == f"noun.{topic}"
    for topic, synset in {"motion": "run.v.01", "weather": "rain.v.01", "body": "sneeze.v.01"}.items():
        assert wordnet.synset(synset).lexname() == f"verb.{topic}"


def test_half_a_wordnet_counts_as_none_and_is_replaced(nltk_folder, no_network, installed):
    half = nltk_folder / "corpora" / "wordnet"
    half.mkdir(parents=True)
    (half / "data.noun").write_text("")
    assert find_wordnet() is None
    assert get_wordnet().path == half
    assert find_wordnet() == half


def test_a_zip_file_of_nltks_server_is_read(nltk_folder, wordnet_path):
    (nltk_folder / "corpora").mkdir()
    with zipfile.ZipFile(nltk_folder / "corpora" / "wordnet.zip", "w") as archive:
        for path in wordnet_path.iterdir():
            archive.write(path, f"wordnet/{path.name}")
    assert find_wordnet() == nltk_folder / "corpora" / "wordnet.zip"
    assert open_wordnet().synset("dog.n.01").lexname() == "noun.animal"


def test_where_no_way_works_each_is_named_with_the_remedy(nltk_folder, no_network, monkeypatch, tmp_path):
    monkeypatch.setattr(wordnet_data, "SYSTEM_FOLDERS", (tmp_path / "nowhere",))
    with pytest.raises(NotFoundError) as error:
        get_wordnet()
    for part in (
        "NLTK's server (not today)",
        "none in",
        "apt-get install wordnet-base",
        "nltk.downloader",
    ):
        assert part in str(error.value)
    assert not (nltk_folder / "corpora").exists()


def test_a_downloader_that_does_not_end_is_given_up(nltk_folder, monkeypatch):
    monkeypatch.setattr(wordnet_data, "SYSTEM_FOLDERS", ())
    monkeypatch.setattr(wordnet_data, "_DOWNLOAD", "import time; time.sleep(60)")
    with pytest.raises(NotFoundError, match=r"NLTK's server \(no end after 1 s\)"):
        get_wordnet(seconds=1)


def test_what_the_downloader_complains_of_is_told(nltk_folder, monkeypatch):
    monkeypatch.setattr(wordnet_data, "SYSTEM_FOLDERS", ())
    monkeypatch.setattr(wordnet_data, "_DOWNLOAD", "import sys; sys.exit('no route')")
    with pytest.raises(NotFoundError, match=r"NLTK's server \(no route\)"):
        get_wordnet()


def test_opening_without_data_names_the_command(nltk_folder):
    with pytest.raises(NotFoundError, match="run 'zslbench resources wordnet'"):
        open_wordnet()


def test_the_version_is_read_without_reading_all_of_wordnet(wordnet, wordnet_path, tmp_path, monkeypatch):
    expected = wordnet.get_version()
    monkeypatch.setattr("zslbench.semantic_tests.wordnet_data.open_wordnet", lambda: pytest.fail("all was read"))
    assert wordnet_version(wordnet_path) == expected
    text = b"  1 WordNet 3.1 Copyright 2011 by Princeton University.\n"
    with zipfile.ZipFile(tmp_path / "wordnet.zip", "w") as archive:
        archive.writestr("wordnet/data.adj", text)
    assert wordnet_version(tmp_path / "wordnet.zip") == "3.1"
