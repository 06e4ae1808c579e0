"""``zslbench datasets lists``: what is shipped, official files compared, one's own stored, missing videos counted."""

import numpy as np
import pytest

from zslbench.datasets.video_lists import known_lists

RUN_AND_WAVE = 'name = "mine"\nclasses = ["run", "wave"]\n'
FILES = {
    "trainlist01.txt": "run/a.avi 1\nwave/c.avi 2\n",
    "testlist01.txt": "run/b.avi\nwave/d.avi\n",
}


def write(folder, files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def bring(zslbench, tmp_path, dataset, rows, header="video,class"):
    np.save(tmp_path / "f.npy", np.random.default_rng(0).normal(size=(len(rows), 4)))
    (tmp_path / "v.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    given = ("--features", tmp_path / "f.npy", "--videos", tmp_path / "v.csv", "--extractor", "none")
    code, _, err = zslbench("features", "import", dataset, "x", *given, "--trained-on", "nothing")
    assert code == 0, err


def test_shipped_lists_are_shown_with_their_sources(zslbench):
    code, out, _ = zslbench("datasets", "lists", "ucf101", "--sources")
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith("official-1  ")]
    assert line.split()[1:3] == ["9,537", "3,783"]
    assert "base to novel: 51 base and 50 novel classes" in out
    assert "official-1: Soomro, Zamir, Shah" in out


def test_three_published_counts_of_kinetics_600_are_shown(zslbench):
    code, out, _ = zslbench("datasets", "lists", "kinetics600")
    assert code == 0
    assert [out.count(count) for count in ("14,131", "14,119", "14,161")] == [1, 1, 1]


def test_files_that_differ_from_the_published_lists_are_refused(zslbench, tmp_path):
    folder = tmp_path / "splits"
    folder.mkdir()
    lists = known_lists("hmdb51")
    code = {"": 0, "train": 1, "test": 2}
    for number in (1, 2, 3):
        listed = lists.named(f"official-{number}")
        for name, videos in lists.videos.items():
            rows = zip(videos, listed.sides(videos), strict=True)
            text = "".join(f"{video}.avi {code[side]} \n" for video, side in rows)
            (folder / f"{name}_test_split{number}.txt").write_text(text)
    code_, out, err = zslbench("datasets", "lists", "hmdb51", folder)
    assert (code_, err) == (0, "")
    assert "3 official lists of 6,766 videos, equal to the published ones" in out
    file = folder / "wave_test_split2.txt"
    file.write_text(file.read_text().replace(" 2 ", " 1 ", 1))
    code_, _, err = zslbench("datasets", "lists", "hmdb51", folder)
    assert code_ == 2
    assert "official-2 has 3,571 + 1,529 videos instead of 3,570 + 1,530, and 1 video on another side" in err


def test_lists_of_ones_own_dataset_are_stored_once(zslbench, tmp_path, data_root):
    write(tmp_path, {"mine.toml": RUN_AND_WAVE})
    assert zslbench("datasets", "add", "mine", "--file", tmp_path / "mine.toml")[0] == 0
    code, _, err = zslbench("datasets", "lists", "mine")
    assert code == 2
    assert "mine has no lists of videos; give their folder" in err
    folder = write(tmp_path / "lists", FILES)
    code, out, _ = zslbench("datasets", "lists", "mine", folder)
    assert code == 0
    assert "Stored 1 list of 4 videos" in out
    assert (data_root / "lists" / "mine.json.gz").is_file()
    assert zslbench("datasets", "lists", "mine", folder)[0] == 2
    assert zslbench("datasets", "lists", "mine", folder, "--replace")[0] == 0
    bring(zslbench, tmp_path, "mine", ["a,run", "c,wave", "d,wave"])
    out = zslbench("datasets", "lists", "mine", "--top1", "0.5")[1]
    (row,) = [line.split() for line in out.splitlines() if line.startswith("x  ")]
    assert row == ["x", "official-1", "0", "1", "0", "25.00%", "to", "75.00%"]


def test_a_contradiction_stores_nothing(zslbench, tmp_path, data_root):
    write(tmp_path, {"mine.toml": RUN_AND_WAVE})
    zslbench("datasets", "add", "mine", "--file", tmp_path / "mine.toml")
    folder = write(tmp_path / "lists", FILES | {"testlist01.txt": "run/a.avi\nwave/d.avi\n"})
    code, _, err = zslbench("datasets", "lists", "mine", folder)
    assert code == 2
    assert "lists a as test and train" in err
    assert not (data_root / "lists").exists()


def test_a_removed_dataset_leaves_no_lists_to_another_of_its_name(zslbench, tmp_path, data_root):
    write(tmp_path, {"mine.toml": RUN_AND_WAVE})
    zslbench("datasets", "add", "mine", "--file", tmp_path / "mine.toml")
    zslbench("datasets", "lists", "mine", write(tmp_path / "lists", FILES))
    assert zslbench("datasets", "remove", "mine", "--yes")[0] == 0
    assert not (data_root / "lists" / "mine.json.gz").exists()


@pytest.mark.real
@pytest.mark.slow
def test_real_captions_have_every_video_of_every_list(zslbench, shared_data):
    folder = shared_data / "ucf101-captions"
    given = ("--features", folder / "features.npy", "--videos", folder / "videos.csv", "--extractor", "minilm-captions")
    assert zslbench("features", "import", "ucf101", "captions", *given, "--trained-on", "captions")[0] == 0
    assert "ucf101@captions has all videos of 10 lists." in zslbench("datasets", "lists", "ucf101")[1]
