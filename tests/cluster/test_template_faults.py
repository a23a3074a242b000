"""Templates whose trials would run without what is meant for them, or with what is not."""

from dataclasses import replace
from typing import Any

import pytest

from distillery_operator.cluster import pod_template, template_faults
from support.shapes import DEFAULTS, Object, experiment

GPU = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
CLAIM = {"resources": {"claims": [{"name": "gpu"}]}}


def faults(spec: Object, defaults: pod_template.Defaults = DEFAULTS) -> list[str]:
    return template_faults.faults(experiment(template={"spec": spec}), defaults)


@pytest.mark.parametrize("name", ["main", "trianer"])
@pytest.mark.parametrize(
    ("container", "shown"),
    [
        (GPU, '{"nvidia.com/gpu":1}'),
        ({"resources": {"requests": {"amd.com/gpu": "2", "cpu": 1}}}, '{"amd.com/gpu":"2"}'),
        (CLAIM, '[{"name":"gpu"}]'),
    ],
)
def test_an_accelerator_of_a_container_that_does_not_train_is_refused(
    name: str, container: Object, shown: str
) -> None:
    rule = (
        f"spec.template.spec.containers[{name}].resources: must ask for no accelerator, because"
        f" the container that trains is named trainer, but got {shown}"
    )
    assert faults({"containers": [{"name": name, **container}]}) == [rule]


@pytest.mark.parametrize(
    "containers",
    [
        [{"name": "trainer", **GPU}, {"name": "shipper", "resources": {"limits": {"cpu": 1}}}],
        [{"name": "trainer", **GPU}, {"name": "x", "resources": {"limits": {"nvidia.com/gpu": 0}}}],
        [{"name": "trainer", **CLAIM}, {"name": "monitor", **CLAIM}],  # a claim may be shared
        [{"name": "shipper"}],
    ],
)
def test_other_containers_may_have_what_takes_nothing_from_the_trainer(
    containers: list[Object],
) -> None:
    assert faults({"containers": containers}) == []


def test_a_check_before_the_training_may_look_at_the_gpu() -> None:
    assert faults({"initContainers": [{"name": "nvidia-smi", **GPU}]}) == []


def test_two_containers_named_trainer_are_refused() -> None:
    containers = [{"name": "trainer"}, {"name": "trainer", **GPU}]
    assert faults({"containers": containers}) == [
        "spec.template.spec.containers: must have one container named trainer at most, but got 2"
    ]


@pytest.mark.parametrize(
    ("resources", "count"),
    [
        ({"claims": [{"name": "gpu"}]}, 1),
        ({"claims": [{"name": "a"}, {"name": "b", "request": "first"}]}, 2),
        ({"claims": [{"name": "gpu"}], "limits": {"nvidia.com/gpu": 1}}, 2),
        ({"claims": "gpu"}, 0),
    ],
)
def test_a_claim_of_devices_counts_as_a_gpu(resources: Any, count: int) -> None:
    container = {"name": "trainer", "resources": resources}
    assert pod_template.gpus(experiment(template={"spec": {"containers": [container]}})) == count


def test_what_only_tells_which_templates_are_allowed_makes_no_pod_outdated() -> None:
    of = experiment()
    allowed: list[dict[str, Any]] = [
        {"accounts": ("a",)},
        {"private": ("a/b",)},
        {"credentials": True},
    ]
    for more in allowed:
        same = replace(DEFAULTS, **more)
        assert pod_template.digest(of, same) == pod_template.digest(of, DEFAULTS)
    shaping: list[dict[str, Any]] = [{field: "other"} for field in ("image", "claim", "queue")]
    for more in shaping:
        other = replace(DEFAULTS, **more)
        assert pod_template.digest(of, other) != pod_template.digest(of, DEFAULTS)
