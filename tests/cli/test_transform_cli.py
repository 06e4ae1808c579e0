"""``zslbench features transform`` as a user types it, and the other verbs on what it made."""

import pytest
from tiny import make_features

from zslbench.features import derived as derive
from zslbench.features.feature_set import feature_path


@pytest.fixture
def folder():
    make_features()
    return feature_path("hmdb51", "tiny-pca6")


def transform(zslbench, *options):
    return zslbench("features", "transform", "hmdb51", "tiny", "--pca", 6, *options)


def matrices(folder):
    return sorted(path.name for path in folder.glob("pca-*.npz"))


def test_it_is_declared_and_fitted_when_it_is_needed(zslbench, folder):
    code, out, err = transform(zslbench)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "hmdb51@tiny-pca6: 6 of 16 values of tiny, fitted on each split's training videos"
    assert "To fit it for a family now, add --family FAMILY." in out
    assert matrices(folder) == []


def test_what_is_fitted_for_a_family_is_what_its_cells_use(zslbench, folder, tmp_path, monkeypatch):
    code, out, _ = transform(
        zslbench, "--family", "xu-50/50", "--splits", "1", "--protocol", "gzsl", "--protocol", "zsl"
    )
    assert code == 0
    assert "Fitted: 2 matrices, which keep " in out
    assert len(matrices(folder)) == 2
    monkeypatch.setattr(derive, "fit_pca", None)
    code, out, err = zslbench(
        "run", "--method", "ridge", "--dataset", "hmdb51", "--features", "tiny-pca6", "--splits", "1", "--protocol",
        "gzsl", "--protocol", "zsl", "--results", tmp_path / "runs", "--no-track",
    )  # fmt: skip
    assert code == 0, err
    assert "hmdb51@tiny-pca6, protocol gzsl" in out
    assert len(matrices(folder)) == 2


def test_splits_that_a_family_repeats_are_fitted_once(zslbench):
    make_features("ucf101", per_class=3)
    args = ("features", "transform", "ucf101", "tiny", "--pca", "4", "--family", "xu-50/50")
    assert zslbench(*args, "--splits", "0:9")[0] == 0  # 6, 7 and 8 repeat 0, 1 and 2
    assert len(matrices(feature_path("ucf101", "tiny-pca4"))) == 6


def test_a_second_call_adds_matrices(zslbench, folder):
    transform(zslbench, "--family", "xu-50/50", "--splits", "1")
    first = matrices(folder)
    transform(zslbench, "--family", "truze-v1")
    assert len(matrices(folder)) == 2
    assert first[0] in matrices(folder)


def test_a_fit_on_all_videos_is_one_matrix_and_a_leak_to_the_audit(zslbench, folder):
    code, out, _ = transform(zslbench, "--fit", "all", "--whiten")
    assert code == 0
    assert (
        "hmdb51@tiny-pca6-all-white: 6 of 16 values of tiny, whitened, fitted on all videos, including those of unseen"
        in out
    )
    assert "Fitted: 1 matrix, which keeps " in out
    assert "L4" in zslbench("audit", "--features-only", "hmdb51@tiny-pca6-all-white")[1]
    transform(zslbench)
    assert "L4" not in zslbench("audit", "--features-only", "hmdb51@tiny-pca6")[1]


def test_the_other_verbs_know_it(zslbench, folder):
    transform(zslbench, "--family", "xu-50/50", "--splits", "1")
    out = zslbench("features", "list")[1]
    assert "PCA of tiny (seen); test" in out
    out = zslbench("features", "show", "hmdb51", "tiny-pca6")[1]
    assert "6 of 16 values of tiny, fitted on each split's training videos; 1 matrix, which keeps " in out
    assert "values         6 x float32 per frame" in out
    assert "ok       hmdb51@tiny-pca6" in zslbench("features", "verify")[1]
    code, _, err = zslbench("features", "remove", "hmdb51", "tiny", "--yes")
    assert (code, err.strip()) == (2, "zslbench: tiny-pca6 of hmdb51 is derived from 'tiny'; remove that set first.")
    assert zslbench("features", "remove", "hmdb51", "tiny-pca6", "--yes")[0] == 0
    assert not folder.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--fit", "all", "--family", "xu-50/50"), "leave out --family"),
        (("--family", "xu-50/5"), "Did you mean xu-50/50"),
        (("--family", "xu-50/50", "--splits", "51"), "outside this family's 0 to 49"),
        (("--as", "tiny"), "has another feature set 'tiny'"),
        (("--family", "xu-50/50", "--splits", "0"), "outside this family's"),
    ],
)
def test_what_does_not_fit_is_one_sentence(zslbench, folder, options, says):
    code, _, err = transform(zslbench, *options)
    assert code == 2
    (line,) = err.splitlines()
    assert says in line


def test_a_family_that_trains_on_another_dataset_is_left_to_the_run(zslbench):
    make_features("kinetics600", per_class=1)
    args = ("features", "transform", "kinetics600", "tiny", "--pca", "4", "--family", "kinetics-zsar")
    code, _, err = zslbench(*args)
    assert code == 2
    assert "trains on kinetics400; transform the features of kinetics400 too, under the same name" in err


def test_the_videos_may_not_span_so_many_values(zslbench):
    make_features(per_class=1, dim=100, groups=False)
    code, _, err = zslbench(
        "features", "transform", "hmdb51", "tiny", "--pca", "99", "--family", "xu-50/50", "--splits", "1"
    )
    assert code == 2
    assert "choose fewer values" in err
