"""The pods that read and remove the files of trials."""

from distillery_contract import wire
from distillery_contract.request import Request, Stage
from distillery_operator.cluster import errands
from distillery_operator.resource import label_names
from support.shapes import DEFAULTS, experiment
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
