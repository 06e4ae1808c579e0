"""``zslbench features`` as a user types it: what it prints, exit codes, one sentence for what is wrong."""

import os
import subprocess
import sys

import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.features.kept_means import KEPT_MEANS

ARCHERY = [f"v_Archery_g{g:02d}_c{c:02d}" for g in range(1, 25) for c in range(1, 7)] + ["v_Archery_g25_c01"]
VIDEOS = [(video, "Archery", video[11:13]) for video in ARCHERY] + [("v_YoYo_g01_c01", "yo yo", "01")]
RNG = np.random.default_rng(0)


@pytest.fixture
def given(tmp_path):
    """All 145 videos of Archery and one of YoYo."""
    np.save(tmp_path / "f.npy", RNG.normal(size=(146, 3, 4)).astype(np.float16))
    lines = ["video,class,group", *(",".join(row) for row in VIDEOS)]
    (tmp_path / "v.csv").write_text("\n".join(lines))
    return ["--features", tmp_path / "f.npy", "--videos", tmp_path / "v.csv", "--extractor", "vgg16-fc6"]


@pytest.fixture
def imported(zslbench, given):
    code, out, err = zslbench("features", "import", "ucf101", "vgg16", *given, "--trained-on", "imagenet")
    assert (code, err) == (0, "")
    return out


def wrong(result):
    """Return the only line of a refusal."""
    code, out, err = result
    assert code == 2, (out, err)
    (line,) = err.splitlines()
    assert line.startswith("zslbench: ")
    return line


def squeeze(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_import_tells_what_it_found(imported):
    lines = squeeze(imported)
    assert lines[0] == "Imported ucf101@vgg16: 2 of 101 classes"
    expected = get_dataset("ucf101").videos_per_class
    yoyo, both = expected["YoYo"], expected["Archery"] + expected["YoYo"]
    for line in (
        f"videos 146 ({both} expected in these classes)",
        "frames 438 (3 per video)",
        "values 4 x float16 per frame",
        "classes 2 of 101",
        "source groups 26 in all classes",
        "official list unknown",
        "extractor vgg16-fc6",
        "trained on imagenet",
        "class expected present difference",
        f"YoYo {yoyo} 1 {1 - yoyo}",
    ):
        assert line in lines
    assert not any(line.startswith("Archery") for line in lines)
    assert any(line.startswith("digest ") and len(line) == 39 for line in lines)


def test_show_equals_what_import_printed(zslbench, imported):
    code, out, _ = zslbench("features", "show", "ucf101", "vgg16")
    assert code == 0
    assert out.splitlines()[1:] == [line for line in imported.splitlines()[1:] if not line.startswith("note")]


def test_unknown_training_data_are_told(zslbench, given):
    _, out, _ = zslbench("features", "import", "ucf101", "x", *given)
    assert "note: --trained-on is missing" in out


def test_data_that_nobody_can_list_are_a_state_and_no_name_of_a_dataset(zslbench, given):
    _, out, _ = zslbench("features", "import", "ucf101", "x", *given, "--trained-on", "unknown")
    assert "note: overlap unknown: the extractor may have seen every class" in " ".join(out.split())
    assert "no label list" not in out
    assert "--trained-on is missing" not in out


def test_provenance_is_kept(zslbench, given):
    more = ["--weights-digest", "abc", "--pca-fit", "all", "--reader", "decord", "--frame-indices", "25", "--note", "n"]
    trained = ["--trained-on", "kinetics400", "--trained-on", "imagenet"]
    _, out, _ = zslbench("features", "import", "ucf101", "x", *given, *more, *trained)
    for line in ("weights abc", "PCA fitted on all videos", "reader decord", "frame indices 25", "note n"):
        assert line in squeeze(out)
    assert "trained on imagenet, kinetics400" in squeeze(out)


def test_list(zslbench, imported, data_root):
    code, out, _ = zslbench("features", "list")
    assert code == 0
    assert "ucf101@vgg16 2 of 101 146 438 4 float16" in squeeze(out)[-1]
    assert zslbench("features", "list", "hmdb51")[1].startswith("No feature sets in ")
    assert "no dataset is called 'ucf1'. Did you mean ucf101" in wrong(zslbench("features", "list", "ucf1"))


def test_list_survives_a_broken_set_and_tells_unfinished_ones(zslbench, imported, data_root):
    broken = data_root / "features" / "ucf101" / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{}")
    (broken.parent / ".unfinished-y-1").mkdir()
    code, out, _ = zslbench("features", "list")
    assert code == 0
    assert "ucf101@broken unusable: " in " ".join(out.split())
    assert "ucf101@vgg16" in out
    assert ".unfinished-y-1 (0 bytes) belongs to an import that runs or was killed" in out


def test_verify(zslbench, imported, data_root):
    for which in ([], ["ucf101"], ["ucf101", "vgg16"]):
        code, out, _ = zslbench("features", "verify", *which)
        assert (code, squeeze(out)) == (0, ["ok ucf101@vgg16"])
    file = data_root / "features" / "ucf101" / "vgg16" / "features.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    result = zslbench("features", "verify")
    assert squeeze(result[1]) == ["damaged ucf101@vgg16"]
    assert "features.npy does not match its checksum" in wrong(result)


def test_kept_means_are_shown_and_verified(zslbench, imported, data_root):
    file = data_root / "features" / "ucf101" / "vgg16" / KEPT_MEANS
    assert KEPT_MEANS not in zslbench("features", "show", "ucf101", "vgg16")[1]
    file.write_bytes(b"damaged")
    assert "kept means     7 bytes" in zslbench("features", "show", "ucf101", "vgg16")[1]
    code, out, _ = zslbench("features", "verify")
    assert code == 0
    assert f"note: {KEPT_MEANS} of ucf101@vgg16 was not that of its frames" in " ".join(out.split())
    assert not file.exists()


def test_verify_sees_a_change_that_kept_size_and_time(zslbench, imported, data_root):
    file = data_root / "features" / "ucf101" / "vgg16" / "features.npy"
    stat, content = file.stat(), bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "does not match its checksum" in wrong(zslbench("features", "verify"))


def test_verify_of_nothing(zslbench):
    assert "No feature sets to verify" in zslbench("features", "verify")[1]
    told = wrong(zslbench("features", "verify", "ucf101", "x"))
    assert "has no feature set 'x'" in told
    assert (
        "or extract one from videos with 'zslbench extract --dataset ucf101 --videos DIR --backbone NAME --na" in told
    )
    assert "no dataset is called" in wrong(zslbench("features", "verify", "ufc101"))


def test_remove(zslbench, imported, data_root, monkeypatch):
    folder = data_root / "features" / "ucf101" / "vgg16"
    monkeypatch.setattr("click.confirm", lambda text, **_: "Delete ucf101@vgg16" in text)
    assert zslbench("features", "remove", "ucf101", "vgg16")[:2] == (0, f"Deleted {folder}\n")
    assert not folder.exists()
    assert "has no feature set 'vgg16'" in wrong(zslbench("features", "remove", "ucf101", "vgg16"))


def test_remove_asks_nobody(zslbench, imported, data_root, monkeypatch):
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115, PTH123
    code, _, err = zslbench("features", "remove", "ucf101", "vgg16")
    assert code == 2
    assert "was not deleted; add --yes" in err
    assert (data_root / "features" / "ucf101" / "vgg16").is_dir()
    assert zslbench("features", "remove", "ucf101", "vgg16", "--yes")[0] == 0


def test_replace(zslbench, imported, given):
    command = ["features", "import", "ucf101", "vgg16", *given]
    assert "give --replace" in wrong(zslbench(*command))
    assert zslbench(*command, "--replace")[0] == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["import", "ucf101", "x"], "Missing option '--features'"),
        (["import", "ucf101", "x", "--features", "f.npy"], "Missing option '--extractor'"),
        (["import", "ufc", "x", "--features", "f", "--extractor", "e"], "no dataset is called 'ufc'"),
        (["import", "ucf101", "X", "--features", "f", "--extractor", "e"], "'X' cannot name a feature set"),
        (["import", "ucf101", "simulated", "--features", "f", "--extractor", "e"], "reserved for the built-in"),
        (["import", "ucf101", "x", "--features", "gone.npy", "--extractor", "e"], "there is no gone.npy"),
        (["show", "ucf101", "x"], "ucf101 has no feature set 'x'"),
        (["remove", "ucf101", "../.."], "cannot name a feature set"),
        (["improt"], "No such command 'improt'"),
    ],
)
def test_what_is_wrong_is_one_sentence(zslbench, args, message):
    assert message in wrong(zslbench("features", *args))


def test_wrong_rows_are_one_sentence(zslbench, given, tmp_path):
    (tmp_path / "v.csv").write_text("video,class\na,Archry\n")
    said = wrong(zslbench("features", "import", "ucf101", "x", *given))
    assert "v.csv: 1 wrong row: line 2: 'Archry' is no class of ucf101, did you mean Archery" in said


def test_progress_is_plain_lines_without_a_terminal(zslbench, given, monkeypatch):
    monkeypatch.setattr("zslbench.tables.progress._SECONDS_BETWEEN_LINES", 0)
    _, _, err = zslbench("features", "import", "ucf101", "x", *given)
    assert "ucf101@x: 146 of 146 videos" in err.splitlines()


@pytest.mark.slow
def test_as_a_process(given, data_root):
    """The whole way once: exit code, streams, and an option from the environment."""
    code = "from zslbench.cli import main; main()"
    environment = os.environ | {"ZSLBENCH_FEATURES_IMPORT_EXTRACTOR": "from-environment"}
    run = [sys.executable, "-c", code, "features", "import", "ucf101", "x", *map(str, given[:4])]
    done = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "from-environment" in done.stdout
    done = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "already has a feature set 'x'; give --replace" in done.stderr


@pytest.mark.real
def test_the_users_command(zslbench, shared_data):
    folder = shared_data / "ucf101-vgg16-15c"
    files = ["--features", folder / "features.npy", "--videos", folder / "videos.csv"]
    code, out, _ = zslbench(
        "features", "import", "ucf101", "vgg16", *files, "--extractor", "vgg16-fc6", "--trained-on", "imagenet"
    )
    assert code == 0
    lines = squeeze(out)
    assert lines[0] == "Imported ucf101@vgg16: 15 of 101 classes"
    assert "videos 2,010 (2,010 expected in these classes)" in lines
    assert "official list 1,442 train, 568 test" in lines
    assert "Every class that is present has all its videos." in lines
