"""The pods that read and remove the files of trials."""

import asyncio
from dataclasses import replace

import pytest

from distillery_contract import wire
from distillery_contract.request import Request, Stage
from distillery_operator.cluster import errands
from distillery_operator.cluster.api import Api
from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Kind
from distillery_operator.cluster.runner import Runner
from distillery_operator.resource import label_names
from distillery_operator.trials.attempt import Removal
from support import shapes
from support.shapes import DEFAULTS, Object, experiment
from support.templates import LONGEST, RICH, rendered, trainer, variables


def test_a_pod_that_reads_the_volume_needs_nothing_else_and_ends_by_itself() -> None:
    for of in (experiment(), experiment(template=RICH)):
        pod = errands.reader(of, DEFAULTS, "reader")
        (container,) = pod["spec"]["containers"]
        assert container["command"] == ["sleep", "3600"]
        assert container["image"] == trainer(rendered(of))["image"]
        assert container["securityContext"] == trainer(rendered(of))["securityContext"]
        assert container["resources"] == {"requests": {"cpu": "50m", "memory": "128Mi"}}
        assert "workspace" in {m["name"] for m in container["volumeMounts"]}
        assert not {"env", "ports", "args"} & container.keys()
        assert pod["spec"]["activeDeadlineSeconds"] == 3600
        assert pod["spec"]["volumes"] == rendered(of)["spec"]["template"]["spec"]["volumes"]
        # No attempt, or an operator would take it for a trial's.
        assert label_names.STAGE not in pod["metadata"]["labels"]


def test_files_are_removed_by_the_trainer_alone_without_a_gpu() -> None:
    job = errands.collection(experiment(template=RICH), [3, 4], DEFAULTS)
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["resources"] == {"requests": {"cpu": "50m", "memory": "128Mi"}}
    assert not {"initContainers", "resourceClaims"} & spec.keys()
    assert {m["name"] for m in container["volumeMounts"]} == {"shm", "workspace", "tmp"}
    assert spec["restartPolicy"] == "Never"
    assert job["metadata"]["annotations"]["distillery.dev/removes"] == "3,4"
    request = Request.from_json(variables(job)[wire.REQUEST])
    assert request.stage is Stage.COLLECT
    assert [folder.split("/")[-2:] for folder in request.remove] == [
        ["00003", "model"],
        ["00003", "checkpoints"],
        ["00004", "model"],
        ["00004", "checkpoints"],
    ]
    names = {
        errands.collection(experiment(), trials, DEFAULTS)["metadata"]["name"]
        for trials in ([3, 4], [4, 3], [3], [3, 4, 5])
    }
    assert len(names) == 3


def test_the_files_of_500_trials_fit_one_variable() -> None:
    job = errands.collection(LONGEST, range(99_000, 99_500), DEFAULTS)
    assert len(variables(job)[wire.REQUEST]) < 128 * 1024  # MAX_ARG_STRLEN


PICKY: Object = {
    "metadata": {
        "labels": {
            "kueue.x-k8s.io/queue-name": "gpus",
            "kueue.x-k8s.io/priority-class": "high",
            "sidecar.istio.io/inject": "true",
            "team": "nlp",
        },
        "annotations": {
            "linkerd.io/inject": "enabled",
            "sidecar.istio.io/inject": "true",
            "kueue.x-k8s.io/podset-required-topology": "rack",
        },
    },
    "spec": {
        "nodeSelector": {"nvidia.com/gpu.product": "H200", "kubernetes.io/arch": "arm64"},
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [{"maxSkew": 1}],
        "runtimeClassName": "nvidia",
        "schedulerName": "gangs",
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    },
}


def test_what_needs_the_volume_alone_asks_for_no_gpu_node_and_no_queue_and_no_mesh() -> None:
    of = experiment(template=PICKY)
    job = errands.collection(of, [3], replace(DEFAULTS, queue="gpus"))
    template = job["spec"]["template"]
    for metadata in (job["metadata"], template["metadata"]):
        assert not [k for part in ("labels", "annotations") for k in metadata[part] if "kueue" in k]
        assert metadata["labels"]["team"] == "nlp"
    assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert template["metadata"]["annotations"] == {"linkerd.io/inject": "disabled"}
    for spec in (template["spec"], errands.reader(of, DEFAULTS, "reader")["spec"]):
        assert spec["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
        assert spec["tolerations"] == PICKY["spec"]["tolerations"]  # they ask for nothing
        for part in ("affinity", "topologySpreadConstraints", "runtimeClassName", "schedulerName"):
            assert part not in spec


def removals(*found: Object) -> list[Removal]:
    """What a runner makes of the Jobs and pods of removals that the watches have shown."""
    cache = Cache()
    for each in found:
        cache.put(Kind.POD if "phase" in each["status"] else Kind.JOB, each)
    runner = Runner(Api(lambda *_: None), cache, experiment(), DEFAULTS)
    assert list(asyncio.run(runner.list())) == []  # they hold no slot
    return list(asyncio.run(runner.removals()))


def removing(*conditions: Object) -> Object:
    made = errands.collection(experiment(), [4, 3], DEFAULTS)
    made["metadata"] |= {"uid": "gc", "creationTimestamp": shapes.at(0)}
    made["status"] = {"conditions": list(conditions)}
    return made


def test_a_removal_names_trials_and_further_trainings_by_their_seeds() -> None:
    made = errands.collection(experiment(), [4], DEFAULTS, [(3, 2**31 - 1), (3, 43)])
    request = Request.from_json(variables(made)[wire.REQUEST])
    assert sorted(request.remove)[0].endswith("trials/00003/confirm/seed-2147483647/checkpoints")
    assert len(request.remove) == 6
    made["metadata"] |= {"uid": "gc", "creationTimestamp": shapes.at(0)}
    made["status"] = {"conditions": [shapes.complete()]}
    (gone,) = removals(made, shapes.pod(made, "Succeeded", shapes.terminated(0)))
    assert (gone.trials, gone.runs) == ((4,), ((3, 43), (3, 2**31 - 1)))
    assert gone.whose == [3, 4]
    others = errands.collection(experiment(), [4], DEFAULTS, [(3, 43)])
    assert others["metadata"]["name"] != made["metadata"]["name"]


def test_files_are_gone_when_their_job_has_succeeded_and_not_before() -> None:
    job = removing()
    (begun,) = removals(job, shapes.pod(job, "Running", shapes.running()))
    assert (begun.trials, begun.done, begun.failed) == ((3, 4), False, False)
    job = removing(shapes.complete())
    (gone,) = removals(job, shapes.pod(job, "Succeeded", shapes.terminated(0)))
    assert (gone.done, gone.failed) == (True, False)
    job = removing(shapes.exceeded())
    (stayed,) = removals(job, shapes.pod(job, "Failed", shapes.terminated(1)))
    assert (stayed.done, stayed.failed) == (False, True)
    assert "exit code 1" in stayed.attempt.message
    job = removing(shapes.expired())
    (late,) = removals(job, shapes.pod(job, "Failed", None, shapes.scheduled(), deleted=60))
    assert (late.failed, late.attempt.message) == (True, "its Job did not end within 3600 s")


def test_files_are_gone_though_a_sidecar_keeps_the_pod_alive() -> None:
    job = removing()
    proxy = shapes.container("proxy", shapes.running())
    (gone,) = removals(job, shapes.pod(job, "Running", shapes.terminated(0), others=(proxy,)))
    assert gone.done
    assert job["spec"]["activeDeadlineSeconds"] == 3600  # what ends the sidecar


def test_a_pod_of_a_removal_whose_job_is_gone_is_no_attempt() -> None:
    assert removals(shapes.pod(removing(), "Running", shapes.running())) == []


@pytest.mark.parametrize("annotations", [{}, {"distillery.dev/removes": "3,x"}])
def test_a_job_that_does_not_say_what_it_removes_is_no_removal(annotations: Object) -> None:
    job = removing()
    job["metadata"]["annotations"] = annotations
    assert removals(job, shapes.pod(job, "Running", shapes.running())) == []
