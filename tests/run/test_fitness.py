"""Methods say in one sentence that they cannot run in a protocol."""

import pytest

from zslbench.registry import get_method
from zslbench.run.fitness import why_unfit

ALL = ("zsl", "gzsl", "base-to-novel", "few-shot", "supervised")


@pytest.mark.parametrize(
    ("name", "params", "refused"),
    [
        ("ridge", {}, ()),
        ("tip-adapter", {}, ()),
        ("clip-adapter", {}, ()),
        ("nearest-text", {}, ()),
        ("ridge+nrm", {}, ()),
        ("f-clswgan", {}, ()),
        ("linear-probe", {}, ALL[:3]),
        ("nearest-class-mean", {}, ALL[:3]),
        ("nearest-class-mean+nrm", {}, ALL[:3]),
        ("coco", {}, ALL[3:]),
        ("coco", {"cycle_weight": 0.0}, ()),  # nothing of it looks at unseen names then
        ("uda", {}, ALL[3:]),
        ("mte", {"weights": "names"}, ALL[3:]),
        ("mte", {}, ()),
    ],
)
def test_who_is_refused_where(name, params, refused):
    said = {protocol: why_unfit(get_method(name)(params), protocol) for protocol in ALL}
    assert tuple(protocol for protocol, sentence in said.items() if sentence) == refused
    for protocol in refused:
        assert said[protocol].startswith(name)
        assert protocol in said[protocol]
        assert "use --protocol" in said[protocol]
