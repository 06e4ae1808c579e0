"""C3D and R(2+1)D: shapes, counts, slow references, names and preprocessing, on weights that the tests make."""

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from torch.nn.functional import batch_norm, conv3d, relu

from zslbench.errors import ZslbenchError
from zslbench.video.backbone import get_backbone
from zslbench.video.backbones import _networks
from zslbench.video.backbones._torch import fill, initialise, read_state
from zslbench.video.backbones.c3d import C3D, CHANNEL_MEANS, named_state
from zslbench.video.backbones.r2plus1d import MEAN, STD, R2Plus1D

SHAPES = {  # of the paper's table, channels first
    "conv1": (64, 16, 112, 112), "conv2": (128, 16, 56, 56), "conv3a": (256, 8, 28, 28), "conv3b": (256, 8, 28, 28),
    "conv4a": (512, 4, 14, 14), "conv4b": (512, 4, 14, 14), "conv5a": (512, 2, 7, 7), "conv5b": (512, 2, 7, 7),
    "fc6": (4096,), "fc7": (4096,),
}  # fmt: skip


@pytest.fixture
def clip():
    return np.random.default_rng(0).integers(0, 256, (16, 120, 160, 3), dtype=np.uint8)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def on_meta(make):
    with torch.device("meta"):
        return make()


def small_c3d(seed=0, **kwargs):
    """A C3D with 2 channels in conv1 and 6 values in fc6, with biases that are not zero."""
    network = initialise(lambda: _networks.C3D(width=2, hidden=6, n_classes=5, **kwargs), seed)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.3)
    return network.eval()


def test_c3d_has_78_million_parameters_up_to_fc7_and_80_million_with_the_487_classes():
    assert count(on_meta(_networks.C3D)) == 79_991_015
    assert count(on_meta(lambda: _networks.C3D(n_classes=None))) == 77_995_776


def test_every_layer_of_c3d_has_the_shape_of_the_paper():
    network, seen = on_meta(_networks.C3D), {}
    for name in SHAPES:
        getattr(network, name).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out.shape[1:]}))
    network(torch.empty(1, 3, 16, 112, 112, device="meta"))
    assert {name: tuple(shape) for name, shape in seen.items()} == SHAPES
    assert network.convolutions(torch.empty(1, 3, 16, 112, 112, device="meta")).shape == (1, 512, 1, 4, 4)


def slow_c3d(state, clip, features, pool5):
    """C3D in float64 by scipy's correlation and explicit pooling windows."""

    def convolve(x, name):
        kernels, bias = state[f"{name}.weight"].double().numpy(), state[f"{name}.bias"].double().numpy()
        maps = [sum(correlate(x[i], k[i], mode="constant") for i in range(len(x))) for k in kernels]
        return np.maximum(np.stack(maps) + bias[:, None, None, None], 0)

    def pool(x, depth, starts):
        out = np.empty((len(x), x.shape[1] // depth, len(starts), len(starts)))
        for t, (i, top), (j, left) in itertools.product(range(out.shape[1]), enumerate(starts), enumerate(starts)):
            rows, columns = slice(max(0, top), top + 2), slice(max(0, left), left + 2)
            out[:, t, i, j] = x[:, t * depth : (t + 1) * depth, rows, columns].max(axis=(1, 2, 3))
        return out

    x = pool(convolve(clip.astype(np.float64), "conv1"), 1, range(0, 112, 2))
    x = pool(convolve(x, "conv2"), 2, range(0, 56, 2))
    x = pool(convolve(convolve(x, "conv3a"), "conv3b"), 2, range(0, 28, 2))
    x = pool(convolve(convolve(x, "conv4a"), "conv4b"), 2, range(0, 14, 2))
    x = convolve(convolve(x, "conv5a"), "conv5b")
    x = pool(x, 2, {"end": (0, 2, 4, 6), "both": (-1, 1, 3, 5)}[pool5]).ravel()
    for name in ("fc6", "fc7")[: 1 if features == "fc6" else 2]:
        weight, bias = state[f"{name}.weight"].double().numpy(), state[f"{name}.bias"].double().numpy()
        x = np.maximum(weight @ x + bias, 0)
    return x


@pytest.mark.parametrize(("features", "pool5"), [("fc6", "end"), ("fc7", "end"), ("fc7", "both")])
def test_c3d_equals_a_slow_reference_in_float64(features, pool5):
    network = small_c3d(features=features, pool5=pool5)
    clip = np.random.default_rng(1).normal(0, 50, (3, 16, 112, 112)).astype(np.float32)
    expected = slow_c3d(network.state_dict(), clip, features, pool5)
    assert (expected > 0).any()
    np.testing.assert_allclose(network(torch.from_numpy(clip)[None])[0], expected, rtol=1e-4, atol=1e-3)


def test_c3ds_two_ways_to_pool_the_last_row_differ():
    clip = torch.from_numpy(np.random.default_rng(1).normal(0, 50, (1, 3, 16, 112, 112)).astype(np.float32))
    ours, ports = small_c3d(pool5="end").convolutions(clip), small_c3d(pool5="both").convolutions(clip)
    assert ours.shape == ports.shape
    assert not torch.allclose(ours, ports)


SEQUENTIAL = dict(zip((0, 3, 6, 8, 11, 13, 16, 18), list(SHAPES)[:8], strict=True))


def circulating(network, style):
    """The same weights under the names of the files that circulate."""
    state = network.state_dict()
    if style == "port":
        return state
    if style == "openmmlab":
        own = {"conv1": "conv1a", "conv2": "conv2a"}
        split = [(*name.rsplit(".", 1), value) for name, value in state.items()]
        return {
            "state_dict": {
                f"backbone.{own.get(layer, layer)}{'.conv' if layer.startswith('conv') else ''}.{kind}": value
                for layer, kind, value in split
            }
        }
    places = {layer: f"features.{place}" for place, layer in SEQUENTIAL.items()}
    places |= {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
    return {f"{places[name.rsplit('.', 1)[0]]}.{name.rsplit('.', 1)[1]}": value for name, value in state.items()}


@pytest.mark.parametrize("style", ["port", "openmmlab", "sequential"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_c3ds_weights_load_under_every_circulating_name_and_in_every_file_format(tmp_path, style, kind):
    from safetensors.torch import save_file

    network, path = small_c3d(), tmp_path / ("c3d.safetensors" if kind == "safetensors" else "c3d.pickle")
    state = circulating(network, style)
    if kind == "safetensors":
        save_file({n: v.clone() for n, v in (state.get("state_dict") or state).items()}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    empty = on_meta(lambda: _networks.C3D(width=2, hidden=6, n_classes=5))
    loaded = fill(empty, named_state(read_state(path)), path.name).state_dict()
    assert set(loaded) == set(network.state_dict())
    assert all(torch.equal(loaded[name], value) for name, value in network.state_dict().items())


def test_a_state_dict_of_another_network_is_refused_by_name_and_shape():
    state = small_c3d().state_dict()
    state["conv9.weight"] = state.pop("conv1.weight")
    state["fc6.bias"] = torch.zeros(7)
    with pytest.raises(ZslbenchError, match=r"lacks conv1\.weight and has unknown conv9.*fc6\.bias \(7,\)"):
        fill(on_meta(lambda: _networks.C3D(width=2, hidden=6, n_classes=5)), state, "c3d.pickle")


def test_a_file_with_pickled_objects_is_refused_unopened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    torch.save({"conv1.weight": torch.zeros(1), "trap": Trap()}, tmp_path / "c3d.pickle")
    with pytest.raises(ZslbenchError, match="pickled Python objects"):
        read_state(tmp_path / "c3d.pickle")
    assert not (tmp_path / "sprung").exists()


def test_a_c3d_with_another_number_of_classes_must_tell_what_it_was_trained_on(tmp_path):
    path = tmp_path / "c3d-ucf101.pth"
    torch.save({"fc8.weight": torch.zeros(101, 4096)}, path)
    with pytest.raises(ZslbenchError, match="101 classes.*--set backbone.trained_on=sports1m,NAME"):
        _ = C3D(weights=path).network
    told = C3D({"trained_on": "sports1m, ucf101"}, weights=path)
    assert told.trained_on == ("sports1m", "ucf101")
    with pytest.raises(ZslbenchError, match="lacks conv1"):
        _ = told.network


def test_c3d_takes_the_middle_of_171x128_in_blue_green_red_minus_the_mean(clip):
    cv2 = pytest.importorskip("cv2")
    small = np.stack([cv2.resize(frame, (171, 128)) for frame in clip])
    got = C3D({"random_weights": 0}).preprocess(clip)
    assert got.shape == (3, 16, 112, 112)
    assert got.dtype == np.float32
    t, row, column = 5, 17, 90
    pixel = small[t, 8 + row, 29 + column]  # red, green, blue; 29 = (171 - 112) // 2, as Caffe crops
    np.testing.assert_allclose(got[:, t, row, column], pixel[::-1] - np.float32(CHANNEL_MEANS), rtol=1e-6)
    as_rgb = C3D({"random_weights": 0, "channels": "rgb"}).preprocess(clip)
    np.testing.assert_array_equal(as_rgb, got[::-1])


def test_the_mean_volume_is_cropped_with_the_frames(tmp_path, clip):
    volume = np.random.default_rng(2).uniform(80, 110, (3, 16, 128, 171)).astype(np.float32)
    np.save(tmp_path / "full.npy", volume[None])
    np.save(tmp_path / "cropped.npy", volume[:, :, 8:120, 29:141])
    full, cropped = (C3D({"random_weights": 0, "mean": tmp_path / f"{n}.npy"}) for n in ("full", "cropped"))
    zero = C3D({"random_weights": 0, "channel_means": (0, 0, 0)}).preprocess(clip)
    np.testing.assert_allclose(full.preprocess(clip), zero - volume[:, :, 8:120, 29:141], atol=1e-4)
    np.testing.assert_array_equal(full.preprocess(clip), cropped.preprocess(clip))
    assert full.describe() != cropped.describe()


def test_a_mean_volume_of_another_shape_is_refused(tmp_path, clip):
    np.save(tmp_path / "mean.npy", np.zeros((3, 8, 128, 171)))
    with pytest.raises(ZslbenchError, match=r"\(3, 8, 128, 171\)"):
        C3D({"random_weights": 0, "mean": tmp_path / "mean.npy"}).preprocess(clip)


@pytest.mark.slow
def test_full_size_random_c3d_gives_the_same_features_twice_and_other_ones_with_another_seed(clip):
    first, again, other = (C3D({"random_weights": s}, device="cpu").extract([clip, clip[::-1]]) for s in (0, 0, 1))
    assert first.shape == (2, 4096)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    assert (first >= 0).all()
    assert not np.allclose(first[0], first[1])
    assert not np.allclose(first, other)
    assert C3D({"random_weights": 0}).trained_on == ("nothing",)


def test_r2plus1d_has_torchvisions_31_5_million_parameters_and_names():
    network = on_meta(_networks.R2Plus1D18)
    assert count(network) == 31_505_325
    state = network.state_dict()
    # Names and shapes as in torchvision's r2plus1d_18-91a641e6.pth.
    assert state["stem.3.weight"].shape == (64, 45, 3, 1, 1)
    assert state["layer1.0.conv1.0.0.weight"].shape == (144, 64, 1, 3, 3)
    assert state["layer2.0.conv1.0.3.weight"].shape == (128, 230, 3, 1, 1)
    assert state["layer4.1.conv2.1.running_var"].shape == (512,)
    assert state["layer3.0.downsample.0.weight"].shape == (256, 128, 1, 1, 1)
    assert "layer1.0.downsample.0.weight" not in state
    assert state["fc.weight"].shape == (400, 512)


def functional_r2plus1d(state, x):
    """The network by torch.nn.functional, from the paper: every convolution in space, norm, ReLU, in time."""

    def norm(x, name):
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"])

    def factored(x, name, stride):
        x = conv3d(x, state[f"{name}.0.weight"], stride=(1, stride, stride), padding=(0, 1, 1))
        return conv3d(relu(norm(x, f"{name}.1")), state[f"{name}.3.weight"], stride=(stride, 1, 1), padding=(1, 0, 0))

    x = conv3d(x, state["stem.0.weight"], stride=(1, 2, 2), padding=(0, 3, 3))
    x = conv3d(relu(norm(x, "stem.1")), state["stem.3.weight"], padding=(1, 0, 0))
    x = relu(norm(x, "stem.4"))
    for stage, block in itertools.product(range(1, 5), range(2)):
        name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
        y = relu(norm(factored(x, f"{name}.conv1.0", stride), f"{name}.conv1.1"))
        y = norm(factored(y, f"{name}.conv2.0", 1), f"{name}.conv2.1")
        if stride == 2:
            x = norm(conv3d(x, state[f"{name}.downsample.0.weight"], stride=2), f"{name}.downsample.1")
        x = relu(x + y)
    return x.flatten(2).mean(dim=2)


def random_r2plus1d(seed=0):
    network = initialise(lambda: _networks.R2Plus1D18(400), seed).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "running_var")) or (".weight" in name and tensor.ndim == 1):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return network


@pytest.mark.slow
def test_r2plus1d_loaded_from_a_file_equals_the_functional_reference(tmp_path, clip):
    network, path = random_r2plus1d(), tmp_path / "r2plus1d.pth"
    old = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(old, path)
    backbone = R2Plus1D({"clip_len": 4}, weights=path, device="cpu")
    got = backbone.extract([clip[:4], clip[4:8]])
    inputs = torch.from_numpy(np.stack([backbone.preprocess(clip[:4]), backbone.preprocess(clip[4:8])]))
    expected = functional_r2plus1d(network.state_dict(), inputs)
    assert got.shape == (2, 512)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert backbone.trained_on == ("kinetics400",)


def test_r2plus1d_standardises_the_middle_as_torchvisions_preset_does(clip):
    cv2 = pytest.importorskip("cv2")
    small = np.stack([cv2.resize(frame, (171, 128)) for frame in clip])
    got = R2Plus1D({"random_weights": 0}).preprocess(clip)
    expected = (small[3, 8 + 2, 30 + 7] / 255 - np.array(MEAN)) / np.array(STD)  # torchvision rounds 29.5 to 30
    np.testing.assert_allclose(got[:, 3, 2, 7], expected, rtol=1e-5)


def test_a_damaged_copy_of_a_known_file_is_refused(tmp_path):
    (tmp_path / "r2plus1d_18-91a641e6.pth").write_bytes(b"half of it")
    with pytest.raises(ZslbenchError, match="starts with 91a641e6"):
        R2Plus1D(weights=tmp_path / "r2plus1d_18-91a641e6.pth")


@pytest.mark.parametrize("name", ["c3d", "r2plus1d-18"])
def test_networks_without_weights_say_which_file_they_need(name):
    with pytest.raises(ZslbenchError, match=f"{name} needs --weights.*state dict"):
        get_backbone(name)()


@pytest.mark.slow
def test_bf16_is_close_to_float32_and_comes_as_float32(tmp_path, clip):
    exact, coarse = (
        R2Plus1D({"random_weights": 0, "clip_len": 2, "precision": p}, device="cpu").extract([clip[:2]])
        for p in ("float32", "bfloat16")
    )
    assert coarse.dtype == np.float32
    assert not np.array_equal(exact, coarse)
    assert np.corrcoef(exact[0], coarse[0])[0, 1] > 0.99
