"""The device of the run, torch's random numbers from a seed, and bfloat16 where the processor has none."""

import subprocess
import sys

import pytest
import torch

from zslbench import compute
from zslbench.compute import Offer, computing_on, current_offer, native_bfloat16, native_float16, torch_seed
from zslbench.method import Report
from zslbench.registry import get_method
from zslbench.testing import tiny_task


def test_a_seed_alone_decides_what_is_drawn_inside_and_nothing_is_changed_outside():
    def drawn(seed):
        with torch_seed(seed):
            return torch.nn.Linear(3, 2).weight.tolist(), torch.nn.functional.dropout(torch.ones(9)).tolist()

    before = torch.get_rng_state()
    first = drawn(5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    assert drawn(5) == first
    assert drawn(6) != first


def test_the_global_generator_is_put_back_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), torch_seed(1):
        torch.rand(3) @ torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_methods_and_methods_inside_methods_get_the_innermost_offer_and_it_notes_that_they_asked():
    with computing_on("mps") as outer:
        with computing_on("cpu") as inner:
            assert not inner.asked
            assert get_method("ridge+nrm")()._base.device == "cpu"
        assert (inner.asked, outer.asked) == (True, False)
        assert get_method("ridge")().device == "mps"
    assert current_offer().wanted == "cpu"  # that of the tests


def test_a_device_that_is_missing_is_a_sentence_with_the_remedy(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert Offer("auto").device == "cpu"
    assert [Offer(each).missing for each in ("auto", "cpu")] == ["", ""]
    for device in ("cuda", "mps"):
        assert Offer(device).missing.endswith(f"leave out --device {device}, or use --device cpu.")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Offer("auto").device == "cuda"
    assert Offer("cuda").missing == ""


def test_a_result_records_the_gpu_only_if_a_method_asked_for_its_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    assert Offer("cuda").name == "cpu"
    assert Offer("cuda", asked=True).name == "A GPU"
    assert Offer("mps", asked=True).name == "mps"


@pytest.mark.parametrize(
    ("text", "native"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512f\nbugs : avx512_bf16\n", False),
        ("flags : fpu avx512f avx512_bf16\n", True),
        ("flags : fpu amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("Features\t: fp asimd\n", False),
        (None, False),
    ],
)
def test_bfloat16_is_native_where_the_processors_flags_say_so(text, native, tmp_path, monkeypatch):
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(compute, "_CPUINFO", tmp_path / "cpuinfo")
    assert native_bfloat16("cpu") is native


@pytest.mark.parametrize(
    ("text", "native"),
    [
        ("flags : fpu f16c avx512f avx512_bf16\n", False),  # f16c converts only
        ("flags : fpu avx512_fp16\n", True),
        ("Features\t: fp asimd fphp asimdhp\n", True),
        ("Features\t: fp asimd bf16\n", False),
    ],
)
def test_float16_is_native_where_the_processors_flags_say_so_and_on_every_gpu(text, native, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(compute, "_CPUINFO", tmp_path / "cpuinfo")
    assert native_float16("cpu") is native
    assert native_float16("cuda")


@pytest.mark.parametrize("name", ["devise", "f-vaegan"])
def test_bf16_becomes_float32_with_a_warning_and_a_note_on_a_processor_without_it(name, monkeypatch):
    task = tiny_task()

    def scores(precision, *, native):
        monkeypatch.setattr("zslbench_methods._training.native_bfloat16", lambda device: native)
        method, report = get_method(name)({**get_method(name).test_params, "precision": precision}), Report()
        method.fit(task.train, task.seen_classes, None, report)
        return method.score(task.test, task.test_classes), report

    exact, silent = scores("float32", native=False)
    fallen, told = scores("bf16", native=False)
    rounded, quiet = scores("bf16", native=True)
    assert (fallen == exact).all()
    assert (rounded != exact).any()
    assert [sentence for sentence in told.warnings if "bfloat16" in sentence] == [
        "cpu is not known to have bfloat16 of its own, so precision=float32 was used"
    ]
    assert told.notes["precision"] == "float32"
    assert not any("precision" in report.notes for report in (silent, quiet))


def test_it_is_imported_without_torch():
    code = "import zslbench.compute, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
