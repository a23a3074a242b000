"""The Job and the pod that an attempt becomes."""

import copy
import json
import re
from dataclasses import replace

import pytest

from distillery_contract import wire
from distillery_contract.request import Request, Stage
from distillery_operator.cluster import errands, jobs, pod_template
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.resource import label_names
from distillery_operator.trials.trial import Trial
from support import shapes
from support.shapes import DEFAULTS, Object, experiment
from support.templates import LAUNCH, LONGEST, RICH, rendered, trainer, variables


def expanded(value: str, known: dict[str, str]) -> str:
    """A value as the kubelet hands it on: k8s.io/kubernetes/third_party/.../expansion, Expand."""
    return re.sub(
        r"\$(?:\$|\(([^)]*)\))",
        lambda m: "$" if m[1] is None else known.get(m[1], m[0]),
        value,
    )


MADE_FOR = {
    "distillery.dev/request": requests.digest(
        requests.order(experiment(), LAUNCH, Trial(LAUNCH.trial, {"n_layers": 2}))
    ),
    "distillery.dev/generation": "1",
    "distillery.dev/image": DEFAULTS.image,
}
"""What tells a Job from another of the same name, and its pod, which may outlive it."""


def test_a_silent_template_makes_a_whole_job() -> None:
    assert rendered() == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "tiny-8f1c2f7e-00007-2",
            "namespace": "science",
            "labels": LABELS,
            "annotations": {
                "linkerd.io/inject": "disabled",
                "distillery.dev/template": pod_template.digest(experiment(), DEFAULTS),
                **MADE_FOR,
            },
            "ownerReferences": [
                {
                    "apiVersion": "distillery.dev/v1alpha1",
                    "kind": "DistillationExperiment",
                    "name": "tiny",
                    "uid": shapes.UID,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "backoffLimit": 0,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": "trainer",
                            "operator": "NotIn",
                            "values": [0],
                        },
                    },
                ]
            },
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": 604800,
            "template": {
                "metadata": {
                    "labels": LABELS,
                    "annotations": {"linkerd.io/inject": "disabled", **MADE_FOR},
                },
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 120,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "fsGroup": 65532,
                        "fsGroupChangePolicy": "OnRootMismatch",
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "volumes": [
                        {"name": "workspace", "persistentVolumeClaim": {"claimName": "work"}},
                        {"name": "tmp", "emptyDir": {}},
                    ],
                    "containers": [
                        {
                            "name": "trainer",
                            "image": "registry.example/trainer:1",
                            "workingDir": "/workspace",
                            "terminationMessagePath": "/dev/termination-log",
                            "terminationMessagePolicy": "File",
                            "env": [
                                {"name": "DISTILLERY_REQUEST", "value": REQUEST},
                                {"name": "DISTILLERY_METRICS_PORT", "value": "9090"},
                            ],
                            "ports": [
                                {"name": "metrics", "containerPort": 9090, "protocol": "TCP"}
                            ],
                            "volumeMounts": [
                                {"name": "workspace", "mountPath": "/workspace"},
                                {"name": "tmp", "mountPath": "/tmp"},
                            ],
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                                "readOnlyRootFilesystem": True,
                            },
                        }
                    ],
                },
            },
        },
    }


LABELS = {
    "sidecar.istio.io/inject": "false",
    "app.kubernetes.io/name": "distillery-trial",
    "app.kubernetes.io/instance": "tiny",
    "app.kubernetes.io/managed-by": "distillery",
    "distillery.dev/experiment": "tiny",
    "distillery.dev/experiment-uid": shapes.UID,
    "distillery.dev/stage": "train",
    "distillery.dev/trial": "7",
    "distillery.dev/attempt": "2",
}
REQUEST = requests.order(experiment(), LAUNCH, Trial(7, {"n_layers": 2})).to_json()


def test_a_rich_template_is_kept_where_distillery_has_nothing_to_say() -> None:
    job = rendered(experiment(template=RICH))
    template, given = job["spec"]["template"], RICH["spec"]
    spec, container = template["spec"], trainer(job)
    as_given = (
        "priorityClassName",
        "imagePullSecrets",
        "nodeSelector",
        "tolerations",
        "affinity",
        "resourceClaims",
        "terminationGracePeriodSeconds",
        "serviceAccountName",
        "initContainers",
    )
    assert {k: spec[k] for k in as_given} == {k: given[k] for k in as_given}
    assert [c["name"] for c in spec["containers"]] == ["trainer", "shipper"]
    assert spec["containers"][1] == given["containers"][0]
    assert [v["name"] for v in spec["volumes"]] == ["workspace", "shm", "tmp"]
    assert spec["volumes"][:2] == given["volumes"]
    assert container["resources"] == given["containers"][1]["resources"]
    assert (container["image"], container["imagePullPolicy"]) == ("mine:2", "Always")
    assert [m["name"] for m in container["volumeMounts"]] == ["shm", "workspace", "tmp"]
    assert container["volumeMounts"][1]["subPath"] == "team"
    assert [p["name"] for p in container["ports"]] == ["debug", "metrics"]
    assert container["ports"][1]["containerPort"] == 9090
    assert variables(job).keys() == {
        "HF_HOME", "TOKEN", "DISTILLERY_REQUEST", "DISTILLERY_METRICS_PORT", "OMP_NUM_THREADS",
    }  # fmt: skip
    assert Request.from_json(variables(job)[wire.REQUEST]).trial == 7


@pytest.mark.parametrize("kind", ["requests", "limits"])
def test_a_trainer_has_as_many_threads_as_it_asks_for_cores(kind: str) -> None:
    container: Object = {"name": "trainer", "resources": {kind: {"cpu": "500m"}}}
    (bound,) = [e for e in trainer(one(container))["env"] if e["name"] == pod_template.THREADS]
    assert bound["valueFrom"] == {"resourceFieldRef": {"resource": "requests.cpu"}}
    own = {"name": pod_template.THREADS, "value": "3"}
    assert variables(one({**container, "env": [own]}))[pod_template.THREADS] == "3"
    assert pod_template.THREADS not in variables(one({"name": "trainer"}))


def one(container: Object) -> Object:
    return rendered(experiment(template={"spec": {"containers": [container]}}))


def test_a_queues_label_stands_on_the_job_and_on_its_pod() -> None:
    job = rendered(experiment(template=RICH))
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert labels["kueue.x-k8s.io/queue-name"] == "gpus"
        assert labels[label_names.TRIAL] == "7"
    assert job["metadata"]["annotations"].keys() == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict",
        "linkerd.io/inject",
        label_names.TEMPLATE,
        label_names.REQUEST,
        label_names.GENERATION,
        label_names.IMAGE,
    }


@pytest.mark.parametrize(
    ("metadata", "istio", "linkerd"),
    [
        ({}, "false", "disabled"),
        ({"labels": {"sidecar.istio.io/inject": "true"}}, "true", "disabled"),
        ({"annotations": {"sidecar.istio.io/inject": "true"}}, None, "disabled"),
        ({"annotations": {"linkerd.io/inject": "enabled"}}, "false", "enabled"),
    ],
)
def test_meshes_stay_out_of_pods_unless_the_template_says_otherwise(
    metadata: Object, istio: str | None, linkerd: str
) -> None:
    made = rendered(experiment(template={"metadata": metadata}))["spec"]["template"]["metadata"]
    assert made["labels"].get("sidecar.istio.io/inject") == istio
    assert made["annotations"]["linkerd.io/inject"] == linkerd


def test_a_security_context_is_restricted_where_the_template_is_silent() -> None:
    job = rendered(experiment(template=RICH))
    pods, containers = (
        job["spec"]["template"]["spec"]["securityContext"],
        trainer(job)["securityContext"],
    )
    assert (pods["runAsUser"], pods["supplementalGroups"]) == (1000, [44])
    assert pods["runAsNonRoot"] is True
    assert pods["seccompProfile"] == {"type": "RuntimeDefault"}
    assert containers["readOnlyRootFilesystem"] is False
    assert containers["allowPrivilegeEscalation"] is False
    assert containers["capabilities"] == {"drop": ["ALL"]}


def test_a_place_that_the_template_has_taken_gets_no_second_volume() -> None:
    mounts = [{"name": "scratch", "mountPath": "/tmp"}, {"name": "code", "mountPath": "/code"}]
    given = {
        "volumes": [{"name": "scratch", "emptyDir": {}}, {"name": "code", "emptyDir": {}}],
        "containers": [{"name": "trainer", "volumeMounts": mounts}],
    }
    found = trainer(rendered(experiment(template={"spec": given})))["volumeMounts"]
    assert [m["mountPath"] for m in found] == ["/tmp", "/code", "/workspace"]


@pytest.mark.parametrize(
    "text", ["$(HOME)", "$$(DISTILLERY_METRICS_PORT)", "$(DISTILLERY_METRICS_PORT)", "a$$b$", "$("]
)
def test_a_request_reaches_the_trainer_as_it_is(text: str) -> None:
    of = experiment(data={"name": text, "unanswerable": False})
    known = {"HOME": "/root", "DISTILLERY_METRICS_PORT": "9090"}
    value = expanded(variables(rendered(of))[wire.REQUEST], known)
    assert Request.from_json(value).data.name == text


def test_a_trials_limit_is_the_pods_not_the_jobs_which_would_count_the_wait_for_a_node() -> None:
    of = experiment(trialTimeoutSeconds=3600)
    job = rendered(of)
    assert "activeDeadlineSeconds" not in job["spec"]
    limit = job["spec"]["template"]["spec"]["activeDeadlineSeconds"]
    assert limit >= 3600 + pod_template.GRACE_SECONDS  # Distillery itself is to be the first
    for stage in (Stage.TEST, Stage.CONFIRM):
        other = rendered(of, Launch(stage, 0, 1))
        assert other["spec"]["template"]["spec"]["activeDeadlineSeconds"] == limit
        assert other["metadata"]["name"] != job["metadata"]["name"]
    prepare = rendered(of, Launch(Stage.PREPARE, 0, 1))
    assert "activeDeadlineSeconds" not in prepare["spec"]["template"]["spec"]
    assert "activeDeadlineSeconds" not in rendered()["spec"]["template"]["spec"]


@pytest.mark.parametrize("stage", [Stage.TRAIN, Stage.TEST, Stage.CONFIRM, Stage.PREPARE])
def test_names_fit_a_label_and_tell_attempts_apart(stage: Stage) -> None:
    launches = [Launch(stage, t, n) for t, n in ((99_999, 999), (99_999, 99), (9_999, 999))]
    names = [rendered(LONGEST, launch)["metadata"]["name"] for launch in launches]
    assert max(map(len, names)) <= 63
    assert len(set(names)) == (2 if stage is Stage.PREPARE else 3)
    assert all(re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) for name in names)


def test_names_of_other_jobs_fit_a_label_too() -> None:
    for job in (
        jobs.trial(LONGEST, DEFAULTS),
        errands.collection(LONGEST, [99_998, 99_999], DEFAULTS, [(99_999, 2**31 - 1)]),
    ):
        assert len(job["metadata"]["name"]) <= 63


def test_a_name_that_fits_is_whole_in_the_names_of_jobs_and_a_longer_one_is_told_apart() -> None:
    assert jobs.stem("a" * 40) == "a" * 40
    long = [f"{'a' * 62}{end}" for end in "bc"]
    stems = {jobs.stem(name) for name in long}
    assert len(stems) == 2
    assert {len(stem) for stem in stems} == {40}
    assert all(stem.startswith("a" * 31) for stem in stems)


def test_names_differ_from_those_of_an_experiment_that_was_created_anew() -> None:
    other = experiment(uid="99999999-2b5d-4a51-9c56-2d0d5a1f3b77")
    assert rendered(other)["metadata"]["name"] != rendered()["metadata"]["name"]


def test_equal_attempts_are_equal_texts() -> None:
    texts = {json.dumps(rendered(experiment(template=RICH)), sort_keys=True) for _ in range(2)}
    assert len(texts) == 1


def test_the_users_template_stays_as_it_is() -> None:
    of = experiment(template=copy.deepcopy(RICH))
    for job in (
        rendered(of),
        jobs.trial(of, DEFAULTS),
        errands.collection(of, [1], DEFAULTS),
    ):
        container = trainer(job)
        container["env"].clear()
        container["volumeMounts"][0]["mountPath"] = "/elsewhere"
        container.setdefault("resources", {}).clear()
        job["spec"]["template"]["metadata"]["labels"].clear()
        job["spec"]["template"]["spec"]["tolerations"].clear()
    assert of.spec.template == RICH


def test_jobs_wait_in_the_operators_queue_unless_their_template_names_another() -> None:
    queued = replace(DEFAULTS, queue="shared")
    silent, named = experiment(), experiment(template=RICH)
    for job, queue in (
        (rendered(silent, defaults=queued), "shared"),
        (errands.collection(silent, [1], queued), None),
        (errands.collection(named, [1], queued), None),
        (rendered(named, defaults=queued), "gpus"),
        (rendered(silent), None),
    ):
        assert job["metadata"]["labels"].get(label_names.QUEUE) == queue
    # Kueue queues pods by themselves too, and this one's Job already waits.
    pod = rendered(silent, defaults=queued)["spec"]["template"]["metadata"]["labels"]
    assert label_names.QUEUE not in pod


def test_a_dry_run_asks_for_the_pod_that_the_job_would_make() -> None:
    job = jobs.trial(experiment(template=RICH), DEFAULTS)
    pod = jobs.pod(job)
    assert pod["spec"] == job["spec"]["template"]["spec"]
    assert pod["metadata"]["namespace"] == "science"
    assert pod["metadata"]["labels"] == job["metadata"]["labels"]
    assert job["metadata"]["name"].endswith("-check")
