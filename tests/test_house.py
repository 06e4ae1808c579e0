"""tools/house.py counts rooms, floors, arrows and circles as it says."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")


@pytest.fixture
def tiny(tools, tmp_path, monkeypatch):
    """Write a package with four rooms: ``top`` needs the circle of ``ring/`` and ``other``, they need ``ground``."""
    files = {
        "tinyhouse/__init__.py": "from tinyhouse import top\n",
        "tinyhouse/ground.py": "GROUND = 1\n",
        "tinyhouse/other.py": "def later():\n    from tinyhouse.ring import a\n\n    return a\n",
        "tinyhouse/ring/__init__.py": "",
        "tinyhouse/ring/a.py": "from tinyhouse import ground, other\nfrom tinyhouse.ring import b\n",
        "tinyhouse/ring/b.py": "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from tinyhouse import ground, ring\n",
        "tinyhouse/top.py": "import tinyhouse.ground\nfrom tinyhouse.ring import b\n",
        "tinysister/__init__.py": "from tinyhouse.ground import GROUND\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    from house import measure

    yield measure("tinyhouse", "tinysister")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tinyhouse", "tinysister")]:
        del sys.modules[name]


def shown(picture):
    return set(re.findall(r">(\w+(?:/|\.py))</text>", picture.read_text()))


def test_a_flat_module_or_a_package_directory_is_a_room_and_so_is_a_sister_package(tiny):
    assert sorted(tiny.rooms) == ["ground", "other", "ring", "tinysister", "top"]
    assert {name for name, room in tiny.rooms.items() if room.is_package} == {"ring", "tinysister"}
    assert (tiny.rooms["ring"].modules, tiny.rooms["ring"].lines) == (3, 5)


def test_an_arrow_counts_once_wherever_its_imports_stand(tiny):
    assert sorted(tiny.arrows) == [
        ("other", "ring"),
        ("ring", "ground"),
        ("ring", "other"),
        ("tinysister", "ground"),
        ("top", "ground"),
        ("top", "ring"),
    ]


def test_rooms_of_a_circle_share_a_floor_and_the_longest_chain_counts_the_floors(tiny):
    floors = {name: room.floor for name, room in tiny.rooms.items()}
    assert floors == {"ground": 1, "ring": 2, "other": 2, "tinysister": 2, "top": 3}
    assert tiny.circles_of_rooms == [["other", "ring"]]
    assert tiny.circles_of_files == [["tinyhouse.other", "tinyhouse.ring.a"]]
    assert tiny.figures() == {
        "rooms": 5,
        "modules flat in the package": 3,
        "floors": 3,
        "arrows between rooms": 6,
        "arrows that do not lead down": 2,
        "circles of files": 1,
        "circles of rooms": 1,
        "modules": 7,
        "lines": 13,
    }


def test_the_picture_shows_every_room_and_leaves_out_implied_arrows(tiny, tmp_path):
    from house_picture import draw, needed_arrows

    assert set(tiny.arrows) - set(needed_arrows(tiny)) == {("top", "ground")}
    draw(tiny, tmp_path / "house.svg")
    assert shown(tmp_path / "house.svg") == {"ground.py", "other.py", "ring/", "tinysister/", "top.py"}


def test_the_picture_of_the_docs_shows_the_rooms_that_there_are(tools):
    from house import PACKAGES, measure

    rooms = measure(*PACKAGES).rooms.values()
    now = {room.name + ("/" if room.is_package else ".py") for room in rooms}
    assert shown(ROOT / "docs" / "images" / "house.svg") == now, "run make docs: the rooms have changed"


def test_no_files_and_no_rooms_import_each_other_in_a_circle(tools):
    from house import PACKAGES, measure

    house = measure(*PACKAGES)
    assert (house.circles_of_files, house.circles_of_rooms) == ([], [])
