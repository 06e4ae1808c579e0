"""Bundles carry cells to others, who verify them; a bundle that is unsafe or disagrees with itself changes nothing."""

import io
import json
import shutil
import stat
import zipfile
from dataclasses import replace

import pytest
from tiny import make_features

from zslbench.bundles.exchange import export_bundle
from zslbench.cells.store import Store
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import feature_path
from zslbench.leaderboard.board import build_rows
from zslbench.proof.verify import verify

RUN = ("run", "--dataset", "hmdb51", "--features", "tiny", "--no-track")


@pytest.fixture
def ran(zslbench, tmp_path):
    """Return a function that runs methods into a results folder of a name."""
    make_features()

    def run(name, *methods, splits="2"):
        chosen = [part for method in methods for part in ("--method", method)]
        code, _, err = zslbench(*RUN, *chosen, "--splits", splits, "--results", tmp_path / name)
        assert code == 0, err
        return tmp_path / name

    return run


@pytest.fixture
def bundle(zslbench, tmp_path, ran):
    """Return a bundle of two cells of ridge, named ``theirs``."""
    code, out, _ = zslbench("results", "export", tmp_path / "theirs.zip", "--results", ran("other", "ridge"))
    assert code == 0
    assert out.startswith("2 cells written to ")
    return tmp_path / "theirs.zip"


def test_bundles_of_two_people_make_one_leaderboard(zslbench, tmp_path, ran, bundle):
    mine = ran("mine", "random", "ridge")
    code, out, err = zslbench("results", "import", bundle, "--results", mine)
    assert code == 0, err
    assert "2 cells verified and imported as theirs" in out
    third = ran("third", "sae", splits="1")
    zslbench("results", "export", tmp_path / "third.zip", "--results", third, "--name", "third-lab")
    assert zslbench("results", "import", tmp_path / "third.zip", "--results", mine)[0] == 0
    records, unreadable = Store(mine).scan()
    assert [record.origin for record in records] == [""] * 4 + ["theirs"] * 2 + ["third-lab"]
    assert not unreadable
    rows = {row.name: row for row in build_rows(records)}
    assert set(rows) == {"ridge", "random", "ridge [imported: theirs]", "sae [imported: third-lab]"}
    ours, theirs = rows["ridge"], rows["ridge [imported: theirs]"]
    assert ours.figures["top1"] == theirs.figures["top1"]
    assert ours.rank == theirs.rank
    for verb in (["leaderboard"], ["compare", "ridge", "random"], ["audit"], ["results", "verify"]):
        code, out, err = zslbench(*verb, "--results", mine)
        assert code == 0, err
    assert "ridge [imported: theirs]" in zslbench("leaderboard", "--results", mine, "--format", "csv")[1]


def test_imported_cells_do_not_count_as_run_here(zslbench, tmp_path, bundle):
    zslbench("results", "import", bundle, "--results", tmp_path / "mine")
    code, _, err = zslbench(*RUN, "--method", "ridge", "--splits", "2", "--results", tmp_path / "mine")
    assert code == 0
    assert "2 cells: 0 kept from before, 2 to run" in err
    assert len(Store(tmp_path / "mine").records()) == 4


def test_verbs_read_a_bundle_like_a_folder_and_leave_nothing_behind(zslbench, tmp_path, bundle, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    for verb in (["leaderboard"], ["results", "list"], ["audit"], ["results", "verify"]):
        code, out, err = zslbench(*verb, "--results", bundle)
        assert code == 0, err
        assert "ridge" in out or verb[-1] == "verify"
        assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("field", "origins", "hidden"),
    [("method_digest", ["", "theirs"], ()), ("features_digest", [""], ("[imported: theirs]",))],
)
def test_newer_code_or_data_of_a_bundle_does_not_hide_what_ran_here(
    zslbench, tmp_path, ran, bundle, field, origins, hidden
):
    mine = ran("mine", "ridge")
    zslbench("results", "import", bundle, "--results", mine)
    records = [
        replace(
            record,
            cell=record.cell.model_copy(update={field: "f" * 32}),
            result=record.result.model_copy(update={"finished": record.result.finished + 1e6}),
        )
        if record.origin else record
        for record in Store(mine).records()
    ]  # fmt: skip
    board = build_rows(records)
    assert [row.origin for row in board] == origins
    assert len(board.hidden) == len(hidden)
    assert all(mark in name for mark, name in zip(hidden, board.hidden, strict=True))


def _packed(path, files, kind=zipfile.ZIP_STORED, **attributes):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = kind
            entry.external_attr = attributes.get("mode", 0) << 16 if name == attributes.get("name") else 0
            archive.writestr(entry, content)
    return path


def _files(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _one(files, name):
    return next(each for each in files if each.endswith(name))


ID = "0" * 32
UNSAFE = [
    "/etc/passwd", "../../evil", f"cells/{ID}/../../../evil", f"cells\\{ID}\\cell.json", f"cells/{ID}/__init__.py",
    f"cells/{ID}/cell.json/", f"models/{ID}/model.json", "index.sqlite", "cells/..../cell.json",
    f"cells/{ID}/cell.json\n", f"cells/{ID}/cell.json\0.txt", f"cells/{ID.replace('0', 'A')}/cell.json",
]  # fmt: skip


@pytest.mark.parametrize("name", UNSAFE)
def test_an_archive_with_another_file_is_refused(zslbench, tmp_path, bundle, name):
    bad = _packed(tmp_path / "bad.zip", _files(bundle) | {name: b"x"})
    code, _, err = zslbench("results", "import", bad, "--results", tmp_path / "mine")
    assert code == 2
    assert "bad.zip" in err
    assert not Store(tmp_path / "mine").bundles()
    assert not list(tmp_path.rglob("evil"))


def test_an_archive_with_a_link_is_refused(zslbench, tmp_path, bundle):
    files = _files(bundle)
    bad = _packed(tmp_path / "bad.zip", files, name=_one(files, "log.txt"), mode=stat.S_IFLNK | 0o777)
    code, _, err = zslbench("results", "import", bad, "--results", tmp_path / "mine")
    assert code == 2
    assert "is encrypted, packed by another method or not a plain file" in err


def test_a_zip_bomb_is_refused_before_it_is_unpacked(zslbench, tmp_path, bundle):
    files = _files(bundle)
    bad = _packed(tmp_path / "bad.zip", files | {_one(files, "log.txt"): bytes(1 << 27)}, zipfile.ZIP_DEFLATED)
    code, _, err = zslbench("results", "import", bad, "--results", tmp_path / "mine")
    assert code == 2
    assert "it would grow from" in err


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"no zip at all"])
def test_a_file_that_is_no_bundle_is_refused(zslbench, tmp_path, content):
    (tmp_path / "bad.zip").write_bytes(content)
    for verb in (["results", "import", tmp_path / "bad.zip"], ["leaderboard", "--results", tmp_path / "bad.zip"]):
        code, _, err = zslbench(*verb)
        assert code == 2
        assert "is not a bundle of results" in err


def test_a_bundle_that_was_changed_is_refused_and_nothing_is_stored(zslbench, tmp_path, bundle):
    files = _files(bundle)
    result = _one(files, "result.json")
    edited = json.loads(files[result])
    edited["metrics"]["top1"] = 1.0
    cases = {
        "figure": files | {result: json.dumps(edited).encode()},
        "sums": files | {result.replace("result.json", "SHA256SUMS"): b""},
        "predictions": files | {result.replace("result.json", "predictions.parquet"): b"PAR1"},
        "cell lost": {name: each for name, each in files.items() if not name.startswith(result.rpartition("/")[0])},
        "card": files | {"bundle.json": b"{}"},
        "key twice": files | {"bundle.json": files["bundle.json"].replace(b"{", b'{"name": "another", ', 1)},
        "deep card": files | {"bundle.json": b"[" * 200_000},
    }
    for case, changed in cases.items():
        bad = _packed(tmp_path / "bad.zip", changed)
        code, _, err = zslbench("results", "import", bad, "--results", tmp_path / "mine")
        assert code == 2, case
        assert "bad.zip" in err, case
        assert not list((tmp_path / "mine" / "imported").iterdir()), case


def test_a_bit_flipped_anywhere_in_a_bundle_is_refused_or_changes_nothing(zslbench, tmp_path, bundle):
    import numpy as np

    content, good = bundle.read_bytes(), _files(bundle)
    for place in np.random.default_rng(0).choice(len(content), 40, replace=False):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        (tmp_path / "bad.zip").write_bytes(changed)
        code, _, _ = zslbench("results", "import", tmp_path / "bad.zip", "--results", tmp_path / "mine", "--replace")
        assert code == 2 or _files(tmp_path / "bad.zip") == good  # a time or a comment of the zip format


def test_a_name_that_is_taken_needs_replace(zslbench, tmp_path, bundle):
    mine = ("--results", tmp_path / "mine")
    assert zslbench("results", "import", bundle, *mine)[0] == 0
    code, _, err = zslbench("results", "import", bundle, *mine)
    assert code == 2
    assert "a bundle theirs is imported already; choose another --name, or add --replace" in err
    assert zslbench("results", "import", bundle, *mine, "--replace")[0] == 0
    assert zslbench("results", "import", bundle, *mine, "--name", "again")[0] == 0
    assert list(Store(tmp_path / "mine").bundles()) == ["again", "theirs"]
    assert zslbench("results", "import", bundle, *mine, "--name", "../up")[0] == 2


def test_merge_copies_what_is_missing_and_keeps_what_is_here(zslbench, tmp_path, ran, bundle):
    mine = ran("mine", "random", "ridge", splits="1")
    code, out, err = zslbench("results", "merge", bundle, "--results", mine)
    assert code == 0, err
    assert out == f"cells copied to {mine}: 1; there already: 0; kept as they are: 1\n"
    assert [record.origin for record in Store(mine).records()] == [""] * 3
    code, out, _ = zslbench("results", "merge", mine, tmp_path / "other", "--results", tmp_path / "all")
    assert code == 0
    assert out.endswith("all: 3; there already: 1; kept as they are: 1\n")
    assert not verify(Store(tmp_path / "all")).defects
    out = zslbench("results", "merge", mine, "--results", tmp_path / "all")[1]
    assert out.endswith(": 0; there already: 3; kept as they are: 0\n")


def test_merge_says_that_imported_cells_are_left_out_and_how_to_take_them(zslbench, tmp_path, bundle):
    assert zslbench("results", "import", bundle, "--results", tmp_path / "mine")[0] == 0
    code, out, err = zslbench("results", "merge", tmp_path / "mine", "--results", tmp_path / "all")
    folder = tmp_path / "mine" / "imported" / "theirs"
    assert (code, out.endswith("all: 0; there already: 0; kept as they are: 0\n")) == (0, True)
    assert f"left out, because it was imported there: {folder}; name this folder" in err
    _, out, err = zslbench("results", "merge", folder, "--results", tmp_path / "all")
    assert (out.endswith("all: 2; there already: 0; kept as they are: 0\n"), err) == (True, "")


def test_merge_copies_nothing_if_one_source_is_damaged(zslbench, tmp_path, bundle):
    log = next((tmp_path / "other" / "cells").iterdir()) / "log.txt"
    log.write_text(log.read_text() + "x")
    code, _, err = zslbench("results", "merge", bundle, tmp_path / "other", "--results", tmp_path / "all")
    assert code == 2
    assert "log.txt does not match SHA256SUMS; nothing was merged" in err
    assert not Store(tmp_path / "all").records()


def test_a_bundle_says_whom_to_cite_and_has_no_features(bundle):
    files = _files(bundle)
    card = json.loads(files["bundle.json"])
    assert any("HMDB" in text for text in card["citations"])
    assert card["features"]["hmdb51@tiny"]["digest"]
    assert len(card["splits"]["hmdb51 xu-50/50"]) == 2
    assert card["licences"]
    assert {name.rpartition("/")[2] for name in files} == {
        "bundle.json", "cell.json", "result.json", "environment.json", "log.txt", "predictions.parquet", "SHA256SUMS",
    }  # fmt: skip


def test_export_writes_only_what_passes_the_filters(zslbench, tmp_path, ran):
    mine = ran("mine", "random", "ridge")
    code, out, _ = zslbench("results", "export", tmp_path / "some.zip", "--results", mine, "--method", "random")
    assert code == 0
    assert out.startswith("2 cells written")
    code, _, err = zslbench("results", "export", tmp_path / "some.tar", "--results", mine)
    assert code == 2
    assert "must end in .zip" in err
    store = Store(mine)
    with pytest.raises(ZslbenchError, match="cannot write"):
        export_bundle(store, store.records(), tmp_path / "absent" / "mine.zip")


def test_list_and_show_name_cells_by_the_beginning_of_their_ids(zslbench, ran):
    mine = ran("mine", "ridge")
    code, out, _ = zslbench("results", "list", "--results", mine, "--format", "json")
    assert code == 0
    first, second = json.loads(out)
    assert first["cell"] != second["cell"]
    code, out, _ = zslbench("results", "show", first["cell"][:6], "--results", mine)
    assert code == 0
    assert first["cell"] in out
    code, _, err = zslbench("results", "show", "xyz", "--results", mine)
    assert code == 2
    assert "'zslbench results list' shows the ids" in err
    code, out, _ = zslbench("results", "list", "--results", mine)
    assert max(map(len, out.splitlines())) <= 80


def test_list_tells_the_variants_of_a_method_apart(zslbench, tmp_path):
    make_features()
    mine = tmp_path / "mine"
    zslbench(*RUN, "--method", "ridge", "--set", "ridge.alpha=1,10", "--splits", "1", "--results", mine)
    _, out, _ = zslbench("results", "list", "--results", mine)
    assert "ridge (alpha=1)" in out
    assert "ridge (alpha=10)" in out


def test_remove_asks_and_removes_cells_and_bundles(zslbench, ran, bundle, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    mine = ran("mine", "ridge")
    zslbench("results", "import", bundle, "--results", mine)
    first, second = (record.cell.id for record in Store(mine).records() if not record.origin)
    code, _, err = zslbench("results", "remove", first, "--results", mine)
    assert code == 2
    assert "nothing was removed; add --yes" in err
    assert zslbench("results", "remove", first, "--results", mine, "--yes")[0] == 0
    assert zslbench("results", "remove", "--imported", "theirs", "--results", mine, "--yes")[0] == 0
    assert [record.cell.id for record in Store(mine).records()] == [second]
    assert zslbench("results", "remove", "--imported", "theirs", "--results", mine, "--yes")[0] == 2
    (Store(mine).path(second) / "cell.json").write_text("")
    assert zslbench("results", "remove", "--unreadable", "--results", mine, "--yes")[0] == 0
    assert Store(mine).scan() == ([], [])


@pytest.mark.slow
def test_a_bundle_goes_to_mlflow_with_its_origin(zslbench, ran, bundle, empty_mlflow):
    from mlflow.tracking import MlflowClient

    from zslbench.tracking.tracker import default_uri

    mine = ran("mine", "ridge")
    zslbench("results", "import", bundle, "--results", mine)
    shutil.copy(empty_mlflow, mine)
    code, out, err = zslbench("track", "sync", "--results", mine)
    assert code == 0, err
    assert out.startswith("4 cells created")
    client = MlflowClient(default_uri(mine))
    (experiment,) = [each for each in client.search_experiments() if each.name.startswith("zslbench/")]
    runs = client.search_runs([experiment.experiment_id], "tags.`zslbench.imported` = 'theirs'")
    assert len(runs) == 3  # two cells and their parent
    assert zslbench("track", "sync", "--results", mine)[1].startswith("0 cells created, 0 updated, 4 unchanged")


def test_verbs_on_a_bundle_name_the_file_and_no_temporary_folder(zslbench, bundle):
    (first, *_) = json.loads(zslbench("results", "list", "--results", bundle, "--format", "json")[1])
    for verb in (
        ["audit"],
        ["results", "show", first["cell"]],
        ["results", "show", "xyz"],
        ["leaderboard", "--method", "x"],
    ):
        _, out, err = zslbench(*verb, "--results", bundle)
        assert "theirs.zip" in (out + err).replace("\n", "")
        assert "zslbench-" not in out + err


def test_only_an_imported_bundle_is_removed_also_one_with_a_damaged_card(zslbench, tmp_path, bundle):
    mine = tmp_path / "mine"
    zslbench("results", "import", bundle, "--results", mine)
    (mine / "bundle.json").write_bytes((mine / "imported" / "theirs" / "bundle.json").read_bytes())
    for name in ("..", ".", str(mine), "../imported/theirs", "absent"):
        code, _, err = zslbench("results", "remove", "--imported", name, "--results", mine, "--yes")
        assert code == 2
        assert "there is: theirs." in err
    (mine / "imported" / "theirs" / "bundle.json").write_text("{")
    (mine / "imported" / "note.txt").touch()
    found = {defect.where: defect.kind for defect in verify(Store(mine)).defects}
    assert found == {"imported/note.txt": "orphaned", "imported/theirs": "unreadable"}
    assert zslbench("results", "remove", "--imported", "theirs", "--results", mine, "--yes")[0] == 0
    assert not Store(mine).bundles()


def test_merge_leaves_out_a_cell_that_a_run_computes(zslbench, tmp_path, bundle):
    store = Store(tmp_path / "mine")
    store.prepare()
    busy, other = sorted(path.name for path in (tmp_path / "other" / "cells").iterdir())
    with store.lock(busy):
        _, out, err = zslbench("results", "merge", bundle, "--results", store.root)
    assert ": 1; there already: 0;" in out
    assert "1 left out, because runs compute them there now" in err
    assert store.names() == [other]


def test_a_bundle_of_imported_rows_passes_on_provenance_and_citations(zslbench, tmp_path, bundle, monkeypatch):
    first = json.loads(_files(bundle)["bundle.json"])
    zslbench("results", "import", bundle, "--results", tmp_path / "mine")
    monkeypatch.setenv("ZSLBENCH_DATA_ROOT", str(tmp_path / "elsewhere"))

    def absent(name):
        raise ZslbenchError(name)

    monkeypatch.setattr("zslbench.bundles.card.get_dataset", absent)
    assert zslbench("results", "export", tmp_path / "again.zip", "--results", tmp_path / "mine")[0] == 0
    card = json.loads(_files(tmp_path / "again.zip")["bundle.json"])
    assert [card[key] for key in ("features", "licences", "citations")] == [
        first[key] for key in ("features", "licences", "citations")
    ]


def test_two_feature_sets_of_one_name_are_both_in_the_card(zslbench, tmp_path, ran):
    mine = ran("mine", "ridge", splits="1")
    shutil.rmtree(feature_path("hmdb51", "tiny"))
    make_features(seed=1)
    zslbench(*RUN, "--method", "ridge", "--splits", "1", "--results", mine)
    code, _, err = zslbench("results", "export", tmp_path / "both.zip", "--results", mine)
    assert code == 0, err
    features = json.loads(_files(tmp_path / "both.zip")["bundle.json"])["features"]
    assert len({card["digest"] for card in features.values()}) == 2
    assert all(title == f"hmdb51@tiny {card['digest'][:12]}" for title, card in features.items())


def test_a_cell_that_is_passed_on_keeps_the_name_of_the_bundle_that_first_brought_it(zslbench, tmp_path, bundle):
    for name in ("second", "third"):
        assert zslbench("results", "import", bundle, "--results", tmp_path / name)[0] == 0
        bundle = tmp_path / f"{name}.zip"
        assert zslbench("results", "export", bundle, "--results", tmp_path / name)[0] == 0
    assert zslbench("results", "import", bundle, "--results", tmp_path / "mine")[0] == 0
    record = Store(tmp_path / "mine").records()[0]
    assert record.origin == "third"
    _, out, _ = zslbench("results", "show", record.cell.id, "--results", tmp_path / "mine")
    assert "third, first imported as theirs" in out
    shown = zslbench("results", "show", record.cell.id, "--results", tmp_path / "mine", "--format", "json")[1]
    assert json.loads(shown)["first_imported"] == "theirs"


def test_the_audit_names_imported_bundles_among_what_it_takes_on_trust(zslbench, tmp_path, bundle):
    zslbench("results", "import", bundle, "--results", tmp_path / "mine")
    assert "bundle theirs: 2 cells ran elsewhere" in zslbench("audit", "--results", tmp_path / "mine")[1]
