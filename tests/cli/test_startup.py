import subprocess
import sys
from importlib.metadata import version

import cv2
import pytest

pytestmark = pytest.mark.versions

HEAVY = ("torch", "sklearn", "pandas", "mlflow", "gensim", "matplotlib", "distributed", "scipy")


@pytest.mark.parametrize("args", [["--help"], ["methods"], ["run", "--help"], ["methods", "action2vec"], ["--version"]])
def test_nothing_heavy_is_imported_to_list_and_to_help(args):
    code = (
        "import sys; sys.argv = ['zslbench', *sys.argv[1:]]\n"
        "from zslbench.cli import main\n"
        "try: main()\n"
        f"finally: sys.stderr.write(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout


def test_import_zslbench_is_light():
    code = f"import sys, zslbench; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [(["rnu"], "Did you mean run"), (["run", "--methd", "x"], "No such option"), (["run"], "--method"),
     (["methods", "rigde"], "Did you mean ridge"), (["run", "--rerun", "often"], "rerun")],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_exit_code_2(args, sentence, zslbench):
    code, _, err = zslbench(*args)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.slow  # it imports what every extra installs
def test_doctor_tells_versions_devices_places_and_how_to_get_the_rest(zslbench, data_root):
    code, out, _ = zslbench("doctor")
    assert code == 0
    for word in ("torch", "mlflow", "devices", str(data_root), "zslbench features import", "WordNet", "minilm"):
        assert word in out


def test_doctor_tells_what_videos_need(zslbench, monkeypatch):
    from zslbench.cli import doctor

    _, out, _ = zslbench("doctor")
    found = dict(line.split(None, 1) for line in out.splitlines() if len(line.split(None, 1)) == 2)
    assert found["PyAV"] == f"{version('av')} (av)"
    assert found["OpenCV"].startswith(cv2.__version__)
    assert {"transformers", "onnxruntime"} <= found.keys()
    assert "or zslbench extract" in out
    monkeypatch.setattr(doctor, "packages_distributions", dict)
    extras = {"PyAV": "video", "OpenCV": "video", "transformers": "clip", "open_clip": "open-clip",
              "onnxruntime": "onnx", "dask-jobqueue": "cluster", "Optuna": "tune"}  # fmt: skip
    expected = {name: f"not installed: pip install 'zslbench[{extra}]'" for name, extra in extras.items()}
    assert dict(doctor._optional()) == expected


def test_every_option_has_an_environment_variable(zslbench, monkeypatch):
    monkeypatch.setenv("ZSLBENCH_RUN_METHOD", "rigde")
    monkeypatch.setenv("ZSLBENCH_RUN_DATASET", "hmdb51")
    code, _, err = zslbench("run")
    assert code == 2
    assert "Did you mean ridge" in err


def test_the_variable_of_an_option_is_named_as_the_option_is(zslbench, monkeypatch):
    monkeypatch.setenv("ZSLBENCH_RUN_SET", "ridge.alpah=3")
    code, _, err = zslbench("run", "--method", "ridge", "--dataset", "hmdb51")
    assert (code, "Did you mean alpha" in err) == (2, True)
    monkeypatch.setenv("ZSLBENCH_FEATURES_IMPORT_FEATURES", "nowhere.npy")
    code, _, err = zslbench("features", "import", "hmdb51", "x", "--extractor", "e", "--videos", "v.csv")
    assert (code, "Missing option" in err) == (2, False)
