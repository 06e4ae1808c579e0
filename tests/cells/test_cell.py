import pytest
from tiny import make_features, plan

pytestmark = pytest.mark.versions


def test_the_identity_is_the_same_in_another_process_and_order():
    make_features()
    a, b = plan(method=["ridge", "random"]), plan(method=["random", "ridge"])
    assert {c.id for c in a} == {c.id for c in b}
    assert len({c.id for c in a}) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"method": "random"},
        {"set": {"ridge": {"alpha": 2.0}}},
        {"protocol": "gzsl"},
        {"family": "random-50/50"},
        {"seed": 1},
        {"semantics": "minilm:normalise=false"},
    ],
)
def test_whatever_changes_the_result_changes_the_identity(change):
    make_features()
    before = {c.id for c in plan(method="ridge")}
    assert not before & {c.id for c in plan(**{"method": "ridge"} | change)}


def test_other_features_under_the_same_name_change_the_identity(data_root):
    import shutil

    make_features()
    before = {c.id for c in plan(method="ridge")}
    shutil.rmtree(data_root / "features")
    make_features(seed=1)
    assert not before & {c.id for c in plan(method="ridge")}


def test_the_presets_name_is_not_part_of_the_identity_but_its_values_are():
    make_features()
    plain = plan(method="action2vec", splits="1")[0]
    spelt_out = plan(method="action2vec:no-attention", splits="1")[0]
    by_hand = plan(method="action2vec", splits="1", set={"action2vec": {"attn_at": "none"}})[0]
    assert spelt_out.label != by_hand.label
    assert spelt_out.params["attn_at"] == "none"
    assert (spelt_out.id == by_hand.id) == (spelt_out.params == by_hand.params)
    assert plain.id == plan(method="action2vec", splits="1")[0].id
