"""Networks that come as a program: TorchScript, ExportedProgram and ONNX, and their preprocessing blocks."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from zslbench.errors import ZslbenchError
from zslbench.video.backbones._preprocessing import Preprocessing, centre_crop, pick_output, read_preprocessing, resize
from zslbench.video.backbones.onnx_file import OnnxFile
from zslbench.video.backbones.torch_file import TorchFile
from zslbench.video.pipeline import one_line

pytestmark = pytest.mark.versions

BLOCK = """
resize = 24
crop = [16, 20]
mean = [0.5, 0.4, 0.3]
std = [0.2, 0.25, 0.5]
channels = "bgr"
layout = "NCTHW"
clip_len = 4
trained_on = ["kinetics400"]
"""


class Tiny(nn.Module):
    """Averages over time and space, then five weighted sums; also gives the averages."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(15, dtype=torch.float32).reshape(3, 5))

    def forward(self, clips):
        mean = clips.mean(dim=(2, 3, 4))
        return mean @ self.weight, mean


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (4, *size, 3), dtype=np.uint8) for size in ((30, 40), (24, 33), (50, 26))]


def save(path, kind, block=BLOCK, network=None, batch="dynamic", example=(2, 3, 4, 16, 20)):
    """Write a network as a program of some kind, and its block beside it."""
    network, inputs = (network or Tiny()).eval(), torch.zeros(example)
    if kind == "torchscript":
        torch.jit.trace(network, inputs).save(str(path))
    elif kind == "exported":
        dynamic = {0: torch.export.Dim("batch")} if batch == "dynamic" else None
        torch.export.save(torch.export.export(network, (inputs,), dynamic_shapes=(dynamic,)), path)
    else:
        onnx_tiny(path, batch)
    path.with_suffix(".toml").write_text(block)
    return path


def onnx_tiny(path, batch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    first = batch if batch == "dynamic" else int(batch)
    weight = numpy_helper.from_array(Tiny().weight.detach().numpy(), "weight")
    axes = numpy_helper.from_array(np.array([2, 3, 4]), "axes")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["clip", "axes"], ["mean"], keepdims=0),
            helper.make_node("MatMul", ["mean", "weight"], ["features"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("clip", TensorProto.FLOAT, [first, 3, 4, 16, 20])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [first, d]) for n, d in (("features", 5), ("mean", 3))],
        [weight, axes],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


KINDS = {"torchscript": (TorchFile, ".pt"), "exported": (TorchFile, ".pt2"), "onnx": (OnnxFile, ".onnx")}
kinds = pytest.mark.parametrize("kind", KINDS)


def expected(clips):
    """The tiny network's features from the definition of its block."""
    rows = []
    for clip in clips:
        frames = centre_crop(resize(clip, 24), (16, 20))
        pixels = frames[..., ::-1].astype(np.float64) / 255
        values = (pixels - [0.5, 0.4, 0.3]) / [0.2, 0.25, 0.5]
        rows.append(values.mean(axis=(0, 1, 2)) @ np.arange(15).reshape(3, 5))
    return np.array(rows)


@kinds
def test_a_program_gives_its_features_of_clips_of_any_size(tmp_path, kind, clips):
    make, suffix = KINDS[kind]
    backbone = make(weights=save(tmp_path / f"tiny{suffix}", kind), device="cpu")
    got = backbone.extract(clips)
    assert got.dtype == np.float32
    assert backbone.dim == 5
    assert backbone.clip_len == 4
    assert backbone.trained_on == ("kinetics400",)
    np.testing.assert_allclose(got, expected(clips), rtol=1e-4, atol=1e-4)


@kinds
def test_a_program_of_a_fixed_batch_size_gives_the_same_for_any_number_of_clips(tmp_path, kind, clips):
    make, suffix = KINDS[kind]
    block = BLOCK if kind == "onnx" else BLOCK + "batch_size = 2\n"  # ONNX files tell
    backbone = make(weights=save(tmp_path / f"tiny{suffix}", kind, block, batch="2"), device="cpu")
    np.testing.assert_allclose(backbone.extract(clips), expected(clips), rtol=1e-4, atol=1e-4)


@kinds
def test_another_output_can_be_taken(tmp_path, kind, clips):
    make, suffix = KINDS[kind]
    name = '"mean"' if kind == "onnx" else "1"
    backbone = make(weights=save(tmp_path / f"tiny{suffix}", kind, f"{BLOCK}output = {name}\n"), device="cpu")
    np.testing.assert_allclose(
        backbone.extract(clips) @ np.arange(15).reshape(3, 5), expected(clips), rtol=1e-4, atol=1e-3
    )


@kinds
def test_an_input_of_another_shape_is_explained(tmp_path, kind, clips):
    make, suffix = KINDS[kind]
    block = BLOCK.replace("NCTHW", "NTHWC") if kind != "torchscript" else BLOCK.replace("NCTHW", "NHWC")
    backbone = make(weights=save(tmp_path / f"tiny{suffix}", kind, block), device="cpu")
    with pytest.raises(ZslbenchError, match="layout"):
        backbone.extract(clips)


@kinds
def test_a_file_that_is_no_program_is_explained(tmp_path, kind, clips):
    make, suffix = KINDS[kind]
    path = save(tmp_path / f"tiny{suffix}", kind)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ZslbenchError, match="tiny"):
        make(weights=path, device="cpu").extract(clips)


def test_a_state_dict_is_no_program(tmp_path, clips):
    torch.save(Tiny().state_dict(), tmp_path / "tiny.pt")
    (tmp_path / "tiny.toml").write_text(BLOCK)
    with pytest.raises(ZslbenchError, match=r"tiny\.pt is no TorchScript file.*torch\.jit\.trace"):
        TorchFile(weights=tmp_path / "tiny.pt", device="cpu").extract(clips)


class Picky(nn.Module):
    """Refuses all clips but those of eight frames, in its own words."""

    def forward(self, clips):
        if clips.shape[2] != 8:
            raise ValueError("clips of 8 frames, please")
        return clips.mean(dim=(2, 3, 4))


def test_the_reason_that_a_torchscript_program_gives_is_told(tmp_path, clips):
    program = torch.jit.script(Picky())
    program.save(str(tmp_path / "picky.pt"))
    (tmp_path / "picky.toml").write_text(BLOCK)
    with pytest.raises(ZslbenchError, match=r"picky\.pt failed on .*clips of 8 frames, please; check layout"):
        TorchFile(weights=tmp_path / "picky.pt", device="cpu").extract(clips)
    with pytest.raises(torch.jit.Error) as caught:
        program(torch.zeros(1, 3, 4, 16, 20))
    assert one_line(caught.value) == "Error: builtins.ValueError: clips of 8 frames, please"
    assert one_line(RuntimeError("first\nmore\nlast")) == "RuntimeError: first"


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (self.path.touch, ())


def rewrite(path, change):
    """Write an archive again, each member as ``change(name, bytes)`` gives it."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, change(name, content))


@pytest.mark.slow
def test_an_exported_program_with_pickled_weights_is_refused_unopened(tmp_path, clips):
    path, sprung = save(tmp_path / "tiny.pt2", "exported"), tmp_path / "sprung"

    def change(name, content):
        if name.endswith("_weights_config.json"):
            config = json.loads(content)
            for entry in config["config"].values():
                entry["use_pickle"] = True
            return json.dumps(config)
        return pickle.dumps(Trap(sprung)) if name.endswith("weight_0") else content

    rewrite(path, change)
    with pytest.raises(ZslbenchError, match="pickled Python objects"):
        TorchFile(weights=path, device="cpu").extract(clips)
    assert not sprung.exists()


def test_an_exported_program_with_pickled_sample_inputs_does_not_run_them(tmp_path, clips):
    path, sprung = save(tmp_path / "tiny.pt2", "exported"), tmp_path / "sprung"
    touched = []

    def change(name, content):
        if "sample_inputs" in name:
            touched.append(name)
            torch.save({"trap": Trap(sprung)}, tmp_path / "trap")
            return (tmp_path / "trap").read_bytes()
        return content

    rewrite(path, change)
    assert touched
    with pytest.raises(ZslbenchError, match="pickled Python objects"):
        TorchFile(weights=path, device="cpu").extract(clips)
    assert not sprung.exists()


def test_networks_of_single_frames_give_the_mean_over_a_clips_frames(tmp_path, clips):
    class Frames(nn.Module):
        def forward(self, frames):
            return frames.square().mean(dim=(2, 3))

    block = BLOCK.replace("NCTHW", "NCHW")
    path = save(tmp_path / "frames.pt", "torchscript", block, Frames(), example=(2, 3, 16, 20))
    got = TorchFile(weights=path, device="cpu").extract(clips[:1])
    frames = centre_crop(resize(clips[0], 24), (16, 20))[..., ::-1] / 255
    values = ((frames - [0.5, 0.4, 0.3]) / [0.2, 0.25, 0.5]) ** 2
    np.testing.assert_allclose(got[0], values.mean(axis=(0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        ("NCTHW", (3, 4, 16, 20)),
        ("NTCHW", (4, 3, 16, 20)),
        ("NTHWC", (4, 16, 20, 3)),
        ("NCHW", (4, 3, 16, 20)),
        ("NHWC", (4, 16, 20, 3)),
    ],
)
def test_every_layout_holds_the_same_values_in_its_own_order(layout, shape, clips):
    block = Preprocessing(resize=24, crop=(16, 20), layout=layout, clip_len=4)
    got = block.apply(clips[0])
    assert got.shape == shape
    order = [layout.replace("N", "" if "T" in layout else "T").index(axis) for axis in "THWC"]
    np.testing.assert_allclose(got.transpose(order) * 255, centre_crop(resize(clips[0], 24), (16, 20)), atol=1e-4)


@pytest.mark.parametrize(("size", "wanted"), [(24, (24, 32)), ((128, 171), (128, 171)), (30, (30, 40))])
@pytest.mark.parametrize("how", ["bilinear", "bicubic", "area", "pillow-bilinear", "pillow-bicubic"])
def test_resizing_keeps_a_flat_picture_flat_and_gives_the_size_asked_for(size, wanted, how):
    flat = np.full((2, 30, 40, 3), (10, 100, 200), dtype=np.uint8)
    got = resize(flat, size, how)
    assert got.shape == (2, *wanted, 3)
    assert (got == (10, 100, 200)).all()


def test_a_crop_larger_than_the_frame_gets_black_borders():
    got = centre_crop(np.full((1, 3, 4, 3), 7, dtype=np.uint8), 6)
    assert got.shape == (1, 6, 6, 3)
    assert got.sum() == 3 * 4 * 3 * 7
    assert (got[0, 2:5, 1:5] == 7).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resise = 3", "no parameter 'resise'. Did you mean resize"),
        ("layout = 'NTCWH'", "layout: Input should be"),
        ("std = [1.0, 0.0, 1.0]", "std must not be zero"),
        ("crop = 0", "positive"),
        ("layout = ", "cannot be read"),
    ],
)
def test_a_wrong_preprocessing_file_is_explained(tmp_path, text, message):
    (tmp_path / "net.toml").write_text(text)
    with pytest.raises(ZslbenchError, match=message):
        read_preprocessing(tmp_path / "net.toml")


def test_a_missing_preprocessing_file_is_explained(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"")
    with pytest.raises(ZslbenchError, match=r"there is no .*net\.toml"):
        _ = OnnxFile(weights=tmp_path / "net.onnx").block


def test_the_description_holds_the_preprocessing_wherever_its_file_lies(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"x")
    (tmp_path / "net.toml").write_text(BLOCK)
    (tmp_path / "same.toml").write_text(BLOCK + "# a comment\n")
    (tmp_path / "other.toml").write_text(BLOCK.replace("24", "25"))
    first, same, other = (
        TorchFile({"preprocessing": tmp_path / f"{n}.toml"}, weights=tmp_path / "net.pt").describe()
        for n in ("net", "same", "other")
    )
    assert first == same == TorchFile(weights=tmp_path / "net.pt").describe() != other


def test_maps_are_averaged_only_where_the_block_says_so():
    maps = np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2)
    with pytest.raises(ZslbenchError, match='pool = "mean"'):
        pick_output(maps, Preprocessing(), [], "net.pt")
    np.testing.assert_array_equal(pick_output(maps, Preprocessing(pool="mean"), [], "net.pt"), maps.mean(axis=(2, 3)))
    trailing = maps[:, :, :1, :1]
    np.testing.assert_array_equal(pick_output(trailing, Preprocessing(), [], "net.pt"), trailing[:, :, 0, 0])
    with pytest.raises(ZslbenchError, match=r"1 outputs, none of them 3"):
        pick_output(maps, Preprocessing(output=3), [], "net.pt")


def inner_tensor(path, tensor, pool="none", outside=False):
    """Write the tiny network with one output, and a block that takes a tensor inside its graph."""
    onnx = pytest.importorskip("onnx")
    save(path, "onnx", f'{BLOCK}output = "{tensor}"\npool = "{pool}"\n')
    model = onnx.load(path)
    del model.graph.output[1]  # "mean" is now a tensor inside the graph
    onnx.save_model(model, path, save_as_external_data=outside, location=f"{path.name}.data", size_threshold=80)
    assert path.with_name(f"{path.name}.data").exists() == outside  # the weight; the axes of the mean stay inside
    return OnnxFile(weights=path, device="cpu")


@pytest.mark.parametrize("outside", [False, True], ids=["weights inside", "weights in a file beside it"])
def test_a_tensor_inside_an_onnx_graph_can_be_the_output(tmp_path, clips, outside):
    got = inner_tensor(tmp_path / "tiny.onnx", "mean", outside=outside).extract(clips)
    assert got.shape == (3, 3)
    np.testing.assert_allclose(got @ np.arange(15).reshape(3, 5), expected(clips), rtol=1e-4, atol=1e-3)


def test_a_tensor_that_an_onnx_graph_lacks_is_explained_with_the_nearest_name(tmp_path, clips):
    wrong = r"neither an output \(features\) nor a tensor called 'maen'; change output in .*Did you mean mean\?"
    with pytest.raises(ZslbenchError, match=wrong):
        inner_tensor(tmp_path / "tiny.onnx", "maen").extract(clips)


def test_the_tensor_that_is_taken_is_part_of_the_extractors_identity(tmp_path):
    names = {inner_tensor(tmp_path / "tiny.onnx", name).describe() for name in ("mean", "features")}
    assert len(names) == 2


def test_tokens_become_one_row_by_the_class_token_or_by_their_mean():
    tokens = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    first, mean = (pick_output(tokens, Preprocessing(pool=p), [], "vit.onnx") for p in ("class-token", "token-mean"))
    np.testing.assert_array_equal(first, [clip[0] for clip in tokens])
    np.testing.assert_allclose(mean, [sum(clip.astype(float)) / 5 for clip in tokens], rtol=1e-5)
    with pytest.raises(ZslbenchError, match="class-token"):
        pick_output(tokens, Preprocessing(), [], "vit.onnx")
    with pytest.raises(ZslbenchError, match=r"\(2, 3\), not tokens \(clips, P, D\)"):
        pick_output(first, Preprocessing(pool="class-token"), [], "vit.onnx")


def test_onnx_weights_in_files_beside_the_model_are_part_of_its_digest(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"graph")
    alone = OnnxFile(weights=tmp_path / "net.onnx").weights_digest
    (tmp_path / "net.onnx.data").write_bytes(b"weights")
    with_data = OnnxFile(weights=tmp_path / "net.onnx").weights_digest
    (tmp_path / "net.onnx.data").write_bytes(b"others!")
    assert len({alone, with_data, OnnxFile(weights=tmp_path / "net.onnx").weights_digest}) == 3
