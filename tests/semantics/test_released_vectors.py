"""``att`` and ``original_att`` of the GZSL literature become class vectors and attributes."""

import numpy as np
import pytest
from released import ORDER, chosen, write_features, write_mat, write_splits

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.semantics.attributes import open_attributes
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.importing import import_semantics

HMDB51 = get_dataset("hmdb51")
RNG = np.random.default_rng(0)
ATT = RNG.normal(size=(5, len(ORDER)))  # a column per class
ORIGINAL = np.array([[int(bit) for bit in f"{3 * i + 1:07b}"] for i in range(len(ORDER))], dtype=np.uint8).T
RAW = "{}:normalise=false"


def vectors(name, classes=ORDER):
    found = open_semantics(RAW.format(name), HMDB51, sorted(classes))
    return dict(zip(found.names, found.vectors, strict=True))


@pytest.mark.parametrize("v73", [False, True, "without header"])
@pytest.mark.parametrize("turned", [False, True])
def test_each_column_is_the_vector_of_its_class_name(zslbench, tmp_path, v73, turned):
    att = ATT.T if turned else ATT
    path = write_splits(tmp_path / "att_splits.mat", chosen(("run",)), v73=v73, att=att, original_att=ORIGINAL)
    code, out, _ = zslbench("semantics", "import", "w2v", path, "--dataset", "hmdb51")
    assert code == 0, _
    shape = "8 x 5" if turned else "5 x 8"
    assert f"w2v: 5-d, hmdb51 (8 classes) (att, {shape}; not original_att (7, 8))." in out
    found = vectors("w2v")
    for i, name in enumerate(ORDER):
        np.testing.assert_allclose(found[name], ATT[:, i], rtol=1e-6)


def test_original_att_are_attributes_as_they_are(zslbench, tmp_path):
    path = write_splits(tmp_path / "att_splits.mat", chosen(("run",)), att=ATT, original_att=ORIGINAL * 1.0)
    assert zslbench("semantics", "import", "a", path, "--dataset", "hmdb51", "--key", "original_att")[0] == 0
    found = vectors("a")
    assert [found[name].tolist() for name in ORDER] == ORIGINAL.T.tolist()


def test_whole_numbers_are_read_as_values(tmp_path):
    import_semantics("a", write_splits(tmp_path / "s.mat", chosen(("run",)), att=ORIGINAL), dataset="hmdb51")
    assert vectors("a")["chew"].tolist() == ORIGINAL[:, 1].tolist()


def test_a_square_matrix_is_read_only_if_its_norms_show_the_classes(tmp_path):
    square = RNG.normal(size=(8, 8)) * np.arange(1, 9)[:, None]
    path = write_splits(tmp_path / "s.mat", chosen(("run",)), att=square)
    with pytest.raises(ZslbenchError, match="classes may be its rows or its columns"):
        import_semantics("a", path, dataset="hmdb51")
    unit = square / np.linalg.norm(square, axis=0)
    import_semantics("a", write_splits(path, chosen(("run",)), att=unit), dataset="hmdb51")
    np.testing.assert_allclose(vectors("a")["chew"], unit[:, 1], rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        ({"att": ATT}, {}, "name their dataset with --dataset"),
        ({"att": ATT}, {"dataset": "hmdb51", "key": "atts"}, "Did you mean att"),
        ({"w2v": ATT, "img": ORIGINAL}, {"dataset": "hmdb51"}, r"w2v \(5, 8\), img \(7, 8\); choose one with --key"),
        ({"att": ATT[:, :6]}, {"dataset": "hmdb51"}, "no matrix with one vector per class"),
        ({"att": ATT * np.nan}, {"dataset": "hmdb51"}, "NaN or infinite"),
        ({"att": ATT, "allclasses_names": ["wav", *ORDER[1:]]}, {"dataset": "hmdb51"}, "Did you mean"),
        ({"att": ATT, "allclasses_names": ["chew", *ORDER[1:]]}, {"dataset": "hmdb51"}, "chew twice"),
        ({"att": ATT, "allclasses_names": np.zeros((0, 0))}, {"dataset": "hmdb51"}, "with --class-list FILE"),
    ],
)
def test_what_is_open_or_wrong_is_refused(tmp_path, content, options, sentence):
    path = write_splits(tmp_path / "att_splits.mat", chosen(("run",)), **content)
    with pytest.raises(ZslbenchError, match=sentence):
        import_semantics("a", path, **options)


def test_features_and_other_matlab_files_are_no_class_vectors(tmp_path):
    for path in (write_features(tmp_path / "i3d.mat"), write_mat(tmp_path / "x.mat", x=ATT)):
        with pytest.raises(ZslbenchError, match="is not a table of class vectors with names"):
            import_semantics("a", path, dataset="hmdb51")
    csv = tmp_path / "a.csv"
    csv.write_text("class,v0\nrun,1\n")
    with pytest.raises(ZslbenchError, match="--key names a matrix of a MATLAB file"):
        import_semantics("a", csv, dataset="hmdb51", key="att")


def test_a_run_with_attributes_reads_the_matrix(tmp_path):
    names = list(HMDB51.classes)
    many = RNG.normal(size=(5, len(names)))
    path = write_mat(tmp_path / "att_splits.mat", allclasses_names=names, original_att=many)
    import_semantics("a", path, dataset="hmdb51")
    found = open_attributes("a", [HMDB51], "shipped")
    np.testing.assert_allclose(found.take("hmdb51", ["run"])[0], many[:, names.index("run")], rtol=1e-6)
