"""Videos with fewer frames than a video model takes are reported; one frame for such a model is refused."""

from importlib.util import find_spec

import pytest
from models_made import write_model
from videos_made import write_video

from zslbench.datasets.catalog import get_dataset
from zslbench.features.catalog import open_features

transformers = pytest.importorskip("transformers")
NEW = pytest.mark.skipif(
    int(transformers.__version__.split(".")[0]) < 5, reason="transformers 4 has another code of it"
)
PROCESSOR = pytest.mark.skipif(find_spec("torchvision") is None, reason="its video processor needs torchvision")
VJEPA2 = pytest.param("vjepa2", marks=[NEW, PROCESSOR])
VIDEOS = (pytest.param("xclip", marks=NEW), "videomae", "timesformer", "vivit", VJEPA2)
SEGMENTS = ["--sampler", "segments"]
JOINED = [*SEGMENTS, "--set", "sampler.joined=true"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a function of a model type to the folder of a tiny model of 4 frames, which is written once."""
    root = tmp_path_factory.mktemp("models")
    return lambda kind: root / kind if (root / kind).is_dir() else write_model(root / kind, kind)


@pytest.fixture
def extract(zslbench, model, tmp_path):
    """Return a function that runs extract on videos of 1, 3, 4 and 9 frames."""
    videos = tmp_path / "clips"
    for name, n in (("jump/of_1", 1), ("jump/of_4", 4), ("walk/of_3", 3), ("walk/of_9", 9)):
        write_video(videos / f"{name}.mp4", n)
    assert zslbench("datasets", "add", "mine", "--videos", videos)[0] == 0

    def run(kind, name, *more):
        line = ["extract", "--dataset", "mine", "--videos", videos, "--device", "cpu", "--model", model(kind)]
        return zslbench(*line, "--name", name, *more)

    return run


def note_of(name):
    return open_features(get_dataset("mine"), name).manifest.note


@pytest.mark.parametrize("kind", VIDEOS)
def test_videos_with_fewer_frames_than_a_video_model_takes_are_told_once_and_kept(extract, kind):
    code, out, err = extract(kind, "a", "--sampler", "whole")
    told = "2 of 4 videos gave fewer frames than the 4 that transformers takes: the last frame was repeated"
    assert code == 0, err
    assert out.count(f"note: {told}.\n") == 1
    assert note_of("a") == f"0 of 4 videos failed, 0 were decoded in part; {told}"


def test_the_report_says_how_the_clips_were_filled(extract):
    segments = ["--set", "sampler.n_segments=4", "--set", "sampler.frames_per_segment=1"]
    assert extract("videomae", "joined", *JOINED, *segments)[0] == 0
    assert note_of("joined").endswith("4 that transformers takes: frames were taken for several segments")
    assert extract("videomae", "clips")[0] == 0
    assert note_of("clips").endswith(
        "4 that transformers takes: frames were repeated to reach 30 fps, then the last one"
    )


def test_nothing_is_told_of_frames_or_if_each_video_has_enough(extract, zslbench, tmp_path):
    code, out, err = extract("clip", "frames")
    assert (code, "fewer frames" in out) == (0, False), err
    (tmp_path / "clips" / "jump" / "of_1.mp4").unlink()
    (tmp_path / "clips" / "walk" / "of_3.mp4").unlink()
    code, out, err = extract("videomae", "long", "--sampler", "whole")
    assert (code, "fewer frames" in out) == (0, False), err
    assert note_of("long") == "0 of 2 videos failed, 0 were decoded in part"


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (["--set", "sampler.clip_len=1"], ["--set", "sampler.clip_len=4"]),
        (
            [*SEGMENTS, "--set", "sampler.frames_per_segment=1"],
            ["--set", "sampler.frames_per_segment=4"],
        ),
        (
            [*JOINED, "--set", "sampler.n_segments=1", "--set", "sampler.frames_per_segment=1"],
            ["--set", "sampler.frames_per_segment=1", "--set", "sampler.n_segments=4"],
        ),
    ],
)
def test_one_frame_for_a_video_model_is_refused_with_settings_that_work(extract, options, remedy):
    code, _, err = extract("videomae", "one", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert f"takes clips of 4 frames, but the sampler makes clips of 1; use {' '.join(remedy)}." in err
    sampler = options[: -4 if "sampler.n_segments=1" in options else -2]
    assert extract("videomae", "one", *sampler, *remedy)[0] == 0
