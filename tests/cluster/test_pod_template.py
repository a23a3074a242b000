"""The users' pod template: what it may say, its faults, its digest."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery_operator.cluster import errands, jobs, pod_template, template_faults
from support.shapes import DEFAULTS, Object, experiment
from support.templates import NO_CLAIM, RICH


def test_a_template_is_known_by_its_digest() -> None:
    digests = [
        pod_template.digest(of, defaults)
        for of, defaults in (
            (experiment(), DEFAULTS),
            (experiment(maxTrials=9), DEFAULTS),
            (experiment(template=RICH), DEFAULTS),
            (experiment(), NO_CLAIM),
        )
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        ({}, 0),
        ({"cpu": "8", "memory": "40Gi"}, 0),
        ({"nvidia.com/gpu": "1"}, 1),
        ({"nvidia.com/gpu": 4}, 4),
        ({"nvidia.com/mig-1g.10gb": "2", "nvidia.com/mig-3g.20gb": "1"}, 3),
        ({"nvidia.com/gpu.shared": "1"}, 1),
        ({"nvidia.com/gpu": "1", "nvidia.com/gpumem": "3000", "nvidia.com/gpucores": "30"}, 1),
        ({"amd.com/gpu": "2"}, 2),
        ({"gpu.intel.com/i915": "1", "gpu.intel.com/millicores": "100"}, 1),
        ({"nvidia.com/gpu": "many"}, 0),
        ({"nvidia.com/gpu": None}, 0),
        ([], 0),
    ],
)
def test_accelerators_are_counted_from_the_trainers_limits(limits: Any, count: int) -> None:
    sidecar = {"name": "other", "resources": {"limits": {"nvidia.com/gpu": "7"}}}
    container = {"name": "trainer", "resources": {"limits": limits}}
    of = experiment(template={"spec": {"containers": [sidecar, container]}})
    assert pod_template.gpus(of) == count


WORKSPACE = {"name": "workspace", "emptyDir": {}}
ODD = {
    "name": "trainer",
    "env": None,
    "ports": {"metrics": 1},
    "volumeMounts": ["/tmp"],
    "resources": {"limits": "all"},
    "securityContext": [],
}


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        ({"spec": {"volumes": [WORKSPACE]}}, []),
        ({"spec": {"volumes": [WORKSPACE], "restartPolicy": "Never"}}, []),
        ({"spec": {"volumes": [WORKSPACE], "containers": None}, "metadata": None}, []),
        ({}, ["spec.volumes"]),
        ({"spec": {"volumes": [{"name": "other"}]}}, ["spec.volumes"]),
        ({"spec": {"volumes": [WORKSPACE], "restartPolicy": "OnFailure"}}, ["spec.restartPolicy"]),
        (
            {"spce": {}, "spec": {"volumes": [WORKSPACE]}, "metadata": {"finalizers": ["a"]}},
            ["spce", "metadata.finalizers"],
        ),
        (
            {
                "spec": {"volumes": [WORKSPACE]},
                "metadata": {
                    "labels": {"distillery.dev/told": "true", "distillery.devil/x": ""},
                    "annotations": {"distillery.dev/halted": ""},
                },
            },
            ["metadata.labels.distillery.dev/told", "metadata.annotations.distillery.dev/halted"],
        ),
        ({"spec": []}, ["spec", "spec.volumes"]),
        (
            {"metadata": {"labels": ["a"], "annotations": "b"}, "spec": {"volumes": [WORKSPACE]}},
            ["metadata.labels", "metadata.annotations"],
        ),
        (
            {"spec": {"volumes": {"workspace": {}}, "containers": {}, "securityContext": 1}},
            ["spec.securityContext", "spec.volumes", "spec.containers", "spec.volumes"],
        ),
        ({"spec": {"volumes": [WORKSPACE], "containers": ["trainer"]}}, ["spec.containers"]),
        (
            {"spec": {"volumes": [WORKSPACE], "containers": [ODD]}},
            [
                "spec.containers[trainer].resources.limits",
                "spec.containers[trainer].securityContext",
                "spec.containers[trainer].ports",
                "spec.containers[trainer].volumeMounts",
            ],
        ),
    ],
)
def test_all_faults_of_a_template_are_told_at_once(template: Object, fields: list[str]) -> None:
    found = template_faults.faults(experiment(template=template), NO_CLAIM)
    assert [fault.split(": ")[0].removeprefix("spec.template.") for fault in found] == fields


@pytest.mark.parametrize("field", ["serviceAccountName", "serviceAccount"])
def test_a_template_names_no_service_account_but_those_that_the_operator_allows(field: str) -> None:
    of = experiment(template={"spec": {field: "deployer"}})
    assert template_faults.faults(of, DEFAULTS) == [
        f"spec.template.spec.{field}: must be one that the operator allows trials,"
        ' ["default"], but got "deployer"'
    ]
    assert not template_faults.faults(of, replace(DEFAULTS, accounts=("trainer", "deployer")))
    for account in ("default", "", None):
        assert not template_faults.faults(experiment(template={"spec": {field: account}}), DEFAULTS)


HERE = experiment().metadata.namespace
TOKEN = {"serviceAccountToken": {"path": "token"}}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"automountServiceAccountToken": True}, "automountServiceAccountToken"),
        (
            {"volumes": [{"name": "t", "projected": {"sources": [{"configMap": {}}, TOKEN]}}]},
            "volumes[0].projected.sources[1].serviceAccountToken",
        ),
        (
            {"volumes": [{"name": "s", "secret": {"secretName": "distillery-database"}}]},
            "volumes[0].secret.secretName",
        ),
        (
            {
                "initContainers": [
                    {"name": "i", "envFrom": [{"secretRef": {"name": "distillery-database"}}]}
                ]
            },
            "initContainers[0].envFrom[0].secretRef.name",
        ),
        (
            {
                "containers": [
                    {
                        "name": "trainer",
                        "env": [
                            {
                                "name": "URL",
                                "valueFrom": {
                                    "secretKeyRef": {"name": "distillery-database", "key": "url"}
                                },
                            }
                        ],
                    }
                ]
            },
            "containers[0].env[0].valueFrom.secretKeyRef.name",
        ),
        (
            {
                "volumes": [
                    {
                        "name": "d",
                        "projected": {"sources": [{"secret": {"name": "distillery-database"}}]},
                    }
                ]
            },
            "volumes[0].projected.sources[0].secret.name",
        ),
        (
            {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "studies"}}]},
            "volumes[0].persistentVolumeClaim.claimName",
        ),
    ],
)
def test_no_template_reaches_an_api_token_or_what_is_the_operators_own(
    spec: Object, field: str
) -> None:
    own = (f"{HERE}/distillery-database", f"{HERE}/studies")
    faults = template_faults.faults(
        experiment(template={"spec": spec}), replace(DEFAULTS, private=own)
    )
    assert [fault.split(": ")[0] for fault in faults] == [f"spec.template.spec.{field}"]
    allowing = replace(DEFAULTS, private=own, credentials=True)
    assert template_faults.faults(experiment(template={"spec": spec}), allowing) == []


def test_what_only_has_the_name_of_the_operators_own_is_accepted() -> None:
    name = "distillery-database"
    spec = {
        "automountServiceAccountToken": False,
        "volumes": [{"name": name, "configMap": {"name": name}}],
        "imagePullSecrets": [{"name": name}],
        "containers": [{"name": "trainer", "env": [{"name": name, "value": name}]}],
    }
    here = replace(DEFAULTS, private=(f"{HERE}/{name}",))
    assert template_faults.faults(experiment(template={"spec": spec}), here) == []
    secret = {"volumes": [{"name": "s", "secret": {"secretName": name}}]}
    elsewhere = replace(DEFAULTS, private=(f"elsewhere/{name}",))
    assert template_faults.faults(experiment(template={"spec": secret}), elsewhere) == []


def test_a_fault_says_the_rule_then_the_value() -> None:
    spec = {"containers": {"trainer": {}}, "restartPolicy": "Always"}
    assert template_faults.faults(experiment(template={"spec": spec}), DEFAULTS) == [
        'spec.template.spec.containers: must be a list of objects, but got {"trainer":{}}',
        'spec.template.spec.restartPolicy: must be Never or absent, but got "Always"',
    ]


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)


def part(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with some of these keys, or anything else."""
    return st.fixed_dictionaries({}, optional=known) | JSON


def several(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(items, max_size=2) | JSON


NAMED = part(name=st.sampled_from(["trainer", "workspace", "tmp", "metrics"]) | JSON, value=JSON)
CONTAINER = part(
    name=st.just("trainer") | JSON,
    env=several(NAMED),
    ports=several(NAMED),
    volumeMounts=several(part(name=JSON, mountPath=JSON)),
    resources=part(limits=part(**{"nvidia.com/gpu": JSON})),
    securityContext=JSON,
)
TEMPLATE = part(
    metadata=part(labels=part(a=JSON), annotations=JSON, name=JSON),
    spec=part(
        containers=several(CONTAINER),
        initContainers=several(CONTAINER),
        volumes=several(NAMED),
        securityContext=JSON,
        restartPolicy=st.just("Never") | JSON,
    ),
)


@settings(deadline=None, max_examples=500)
@given(TEMPLATE.filter(lambda value: isinstance(value, dict)))
def test_rendering_never_raises_and_keeps_what_has_no_fault(template: Object) -> None:
    of = experiment(template=template)
    found = template_faults.faults(of, DEFAULTS)
    job = jobs.trial(of, DEFAULTS)
    jobs.pod(job)
    errands.collection(of, [1], DEFAULTS)
    assert pod_template.gpus(of) >= 0
    json.dumps(job, allow_nan=False)
    if not found:
        spec, made = template.get("spec") or {}, job["spec"]["template"]["spec"]
        added = {"containers", "volumes", "securityContext"}
        assert {k: v for k, v in spec.items() if k not in added} == {
            k: v for k, v in made.items() if k in spec and k not in added
        }
        for key in ("containers", "volumes"):
            for item in spec.get(key) or []:
                assert item in made[key] or item.get("name") == "trainer"
        for item in (spec.get("securityContext") or {}).items():
            assert item in made["securityContext"].items()
