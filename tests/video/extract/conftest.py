"""Videos and backbones of the extraction tests."""

import shutil

import pytest
from extraction import DATASET, MOVES, Brightness, Deadly, Picky
from videos_rendered import encode, render

from zslbench.video import recipe as recipes
from zslbench.video.backbones.motion import Motion
from zslbench.video.videos import find_videos


@pytest.fixture(autouse=True)
def backbones(monkeypatch):
    """Backbones by name, without an installation; none is kept from another test."""
    known = {"motion": Motion, "brightness": Brightness, "deadly": Deadly, "picky": Picky}
    monkeypatch.setattr(recipes, "get_backbone", known.__getitem__)
    monkeypatch.setattr(Brightness, "fails", staticmethod(lambda clip: None))
    recipes._backbone.cache_clear()
    yield
    recipes._backbone.cache_clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven videos of three classes, of different lengths and sizes."""
    root = tmp_path_factory.mktemp("videos")
    for i, move in enumerate((*MOVES, *MOVES, "jump")):
        images = render(move, i)[: 24 - 3 * i]
        encode(root / move / f"{move}_{i}.mp4", images if i != 4 else images[:, :48])
    return root


@pytest.fixture
def videos(folder):
    return find_videos(DATASET, folder).files


@pytest.fixture
def own(folder, tmp_path):
    """Six videos that a test may change, and a function that finds those that are there."""
    shutil.copytree(folder, tmp_path / "own")
    (tmp_path / "own" / "walk" / "walk_5.mp4").unlink()
    return lambda: find_videos(DATASET, tmp_path / "own").files
