"""Which encoder made a source's class vectors: it is found by the manifest, and every other case is refused."""

import json

import numpy as np
import pytest
from clip_made import write_clip

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.registry import get_method
from zslbench.run.sources import refuse_without_tower
from zslbench.semantics.encoded import import_encoded
from zslbench.semantics.importing import import_classes
from zslbench.semantics.store import semantics_root
from zslbench.semantics.token_tower import class_phrases, find_tower, open_tower
from zslbench.video.model_files import ModelFiles
from zslbench.video.text_tower import TextTower, tower_encoder

HMDB = get_dataset("hmdb51")


@pytest.fixture
def folder(tmp_path):
    (made := tmp_path / "clip").mkdir()
    write_clip(made)
    import_encoded("tiny", made, "hmdb51", tower_encoder(ModelFiles(made)), ["a video of {}"], names="spaced")
    return made


def test_the_tower_is_that_of_the_folder_and_gives_the_vectors_that_were_imported(folder):
    assert find_tower("tiny", HMDB)[0] == folder
    tower = open_tower("tiny:normalise=false", HMDB)
    phrases = class_phrases("tiny", HMDB, ["brush_hair", "juggling balls"])
    assert phrases == (HMDB.spelling("spaced")["brush_hair"], "juggling balls")
    ids = tower.ids([f"a video of {phrase}" for phrase in phrases])
    found = tower.encode(ids, [[1]] * 2, tower.rows(ids[0][1:2]))
    np.testing.assert_allclose(found, TextTower(folder).class_vectors(phrases, ("a video of {}",)), atol=1e-5)


def test_a_folder_that_is_gone_and_weights_that_were_exchanged_are_refused(folder, tmp_path):
    path = semantics_root() / "tiny" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"weights": "0123"}))
    with pytest.raises(ZslbenchError, match="other weights than made the class vectors tiny"):
        open_tower("tiny", HMDB)
    path.write_text(json.dumps(manifest))
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(ZslbenchError, match="no longer in .*import it again"):
        open_tower("tiny", HMDB)


def test_a_source_without_a_tower_is_refused_before_a_run_with_the_command_that_makes_one(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((51, 8))
    import_classes("finished", tmp_path / "finished.npz", {"hmdb51": (list(HMDB.classes), vectors)})
    needs = [get_method("ridge")(), get_method("coop+csls")()]
    with pytest.raises(ZslbenchError, match="coop.*semantics import NAME --model MODEL --dataset hmdb51"):
        refuse_without_tower(needs, "finished", HMDB)
    refuse_without_tower(needs[:1], "finished", HMDB)
