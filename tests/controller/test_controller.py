"""The operator on a real control plane, whose pods a pretend kubelet runs: see ``kubelet``."""

import copy
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from distillery_contract.request import Request, Stage
from distillery_contract.wire import Exit
from distillery_operator.resource import label_names
from support import broken, kubelet, postgres, worlds
from support.cluster import ControlPlane, Refused
from support.cluster.access import Cluster
from support.operators import Operator, until
from support.postgres import Postgres
from support.spaces import Space, install

Object = dict[str, Any]


ABSENT = "absent.json"
"""A file that is there by the time of the second attempt."""


def ending(request: Request) -> tuple[int, str]:
    """End as the trial's temperature says, which the tests use to ask for something."""
    fails = request.stage is Stage.PREPARE and request.data.train == ABSENT
    if fails and request.attempt == 1:
        return int(Exit.BAD_DATA), ""
    wanted = int(request.parameters.get("warm_up_steps", 0))
    if wanted == 0 or request.attempt > 1 or request.stage is not Stage.TRAIN:
        return 0, kubelet.last_words(request)
    return {1: (int(Exit.DIVERGED), ""), 2: (1, ""), 3: (0, "")}[wanted]


def player(cluster: Cluster) -> kubelet.Kubelet:
    return kubelet.Kubelet(cluster.kubeconfig, 0.5, ending)


@pytest.fixture(scope="module")
def cluster(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The control plane with the CRD, a pretend kubelet and an operator of the whole cluster."""
    folder = tmp_path_factory.mktemp("operator")
    kubeconfig = install(control_plane, folder)
    operator = Operator(kubeconfig, f"sqlite:///{folder}", folder / "log", "--workspace-claim=work")
    with kubelet.playing(player(control_plane)), operator:
        yield control_plane
        assert operator.exit_code is None, operator.log.read_text()
        assert "fault of the program" not in operator.log.read_text()


@pytest.fixture
def space(cluster: Cluster) -> Space:
    return Space(cluster)


def test_an_experiment_runs_to_its_front(space: Space) -> None:
    space.apply(baselines=[{"name": "deep", "parameters": {"n_layers": 6}}])
    until(space.reached("Succeeded"))
    status = space.status()
    assert status["trials"]["total"] == 8
    assert status["progress"] == "8/8"
    assert status["frontSize"] == len(status["front"]) > 1
    assert [b["name"] for b in status["baselines"]] == ["deep"]
    assert status["teacher"]["exact"] == 90.0
    assert all(c["observedGeneration"] == 1 for c in status["conditions"])
    truths = {c["type"]: c["status"] for c in status["conditions"]}
    assert truths == {
        "Accepted": "True",
        "StorageReachable": "True",
        "TemplateValid": "True",
        "ActionsAccepted": "True",
        "TrainerAccepted": "True",
        "Prepared": "True",
        "Progressing": "False",
        "Succeeded": "True",
        "Degraded": "False",
    }
    assert {"Started", "Prepared", "Completed", "MaxTrialsReached"} <= space.events()
    point = status["front"][0]
    uid = space.get()["metadata"]["uid"]
    assert point["model"] == f"experiments/tiny-{uid[:8]}/trials/{point['trial']:05d}/model"
    assert status["results"] == f"experiments/tiny-{uid[:8]}"


def test_the_table_of_kubectl_get_tells_the_story(space: Space) -> None:
    space.apply()
    until(space.reached("Succeeded"))
    header, line = space.kubectl("get", "dexp").splitlines()
    told = dict(zip(header.split(), line.split(), strict=True))
    assert (told["NAME"], told["STATE"], told["TRIALS"]) == ("tiny", "Succeeded", "8/8")
    assert int(told["FRONT"]) == space.status()["frontSize"]


def test_kubectl_describe_shows_events_in_their_order(space: Space) -> None:
    """Most of them are of the same few seconds, which is all that their times tell."""
    space.apply(maxTrials=8, parallelism=4)
    until(lambda: "MaxTrialsReached" in space.events())
    said = space.kubectl("describe", "dexp", "tiny").partition("\nEvents:")[2]
    started = [int(number) for number in re.findall(r"trial (\d+) starts", said)]
    assert started == sorted(started) != [], said
    for number in started:
        assert said.index(f"trial {number} starts") < said.index(f"trial {number} is "), said
    assert said.index("the preparation starts") < said.index("trial 0 starts"), said
    assert said.rindex(" is Completed") < said.index("MaxTrialsReached"), said


def test_jobs_of_told_trials_stay_for_their_logs_but_not_for_ever(space: Space) -> None:
    space.apply(maxTrials=2)
    until(space.reached("Succeeded"))
    jobs = space.trials()
    assert len(jobs) == 2
    for job in jobs:
        assert job["metadata"]["labels"][label_names.TOLD] == "true"
        assert job["spec"]["ttlSecondsAfterFinished"] == 24 * 3600
        assert job["spec"]["backoffLimit"] == 0


def test_no_trial_holds_a_token_or_a_database(space: Space) -> None:
    space.apply(maxTrials=2)
    until(lambda: space.objects("pods"))
    for pod in space.objects("pods"):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert not any("serviceAccountToken" in json.dumps(v) for v in spec["volumes"])
        assert "DATABASE" not in json.dumps(spec)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_what_a_suggestion_caused_is_told_and_not_tried_again(space: Space) -> None:
    space.apply(training={"warm_up_steps": 1}, maxTrials=2)
    until(space.reached("Failed"))
    assert [t["state"] for t in space.status()["recentTrials"]] == ["Infeasible"] * 2
    assert {t["reason"] for t in space.status()["recentTrials"]} == {"Diverged"}
    assert len(space.trials()) == 2
    assert space.condition("Succeeded")["reason"] == "NoFeasibleTrial"


@pytest.mark.parametrize("why", [2, 3], ids=["crash", "no final metrics"])
def test_a_crash_is_tried_again_as_another_job(space: Space, why: int) -> None:
    space.apply(training={"warm_up_steps": why}, maxTrials=1, parallelism=1)
    until(space.reached("Succeeded"))
    attempts = sorted(j["metadata"]["labels"][label_names.ATTEMPT] for j in space.trials())
    assert attempts == ["1", "2"]
    assert "Restarted" in space.events()


def test_suspending_halts_and_resuming_goes_on(space: Space) -> None:
    space.apply(maxTrials=40, parallelism=4)
    until(lambda: space.status().get("trials", {}).get("completed", 0) >= 2)
    space.patch(suspend=True)
    until(lambda: space.state() == "Suspended" and not space.live())
    before = space.status()["trials"]["total"]
    assert before < 40
    space.patch(suspend=False, maxTrials=before + 2)
    until(space.reached("Succeeded"))
    assert space.status()["trials"]["total"] == before + 2
    assert space.status()["trials"]["failed"] == 0


def test_raising_max_trials_continues_a_finished_experiment(space: Space) -> None:
    space.apply(maxTrials=2)
    until(space.reached("Succeeded"))
    space.patch(maxTrials=4)
    until(lambda: space.status()["progress"] == "4/4")
    assert [c["observedGeneration"] for c in space.status()["conditions"]] == [2] * 9


def test_a_finished_experiment_is_confirmed_with_other_seeds(space: Space) -> None:
    space.apply(maxTrials=12, parallelism=3, earlyStopping={"type": "None"})
    until(space.reached("Succeeded"))
    before = space.status()
    space.patch(confirm={"share": 0.5, "runs": 2, "report": "Checkpoint"})
    until(lambda: space.status().get("finishedGeneration") == 2)
    after = space.status()
    assert after["trials"] == before["trials"]
    assert space.condition("Confirmed")["status"] != "Unknown"
    runs = {p["trial"]: p["confirmation"].get("runs", []) for p in after["front"]}
    assert any(runs.values())
    for point in after["front"]:
        for done in runs[point["trial"]]:
            luck = done["seed"] - 42
            assert done["values"]["exact"] == pytest.approx(point["values"]["exact"] - luck)
    found = json.loads(space.kubectl("get", "jobs", "--output=json"))["items"]
    labels = [job["metadata"]["labels"] for job in found]
    trained = [own for own in labels if own[label_names.STAGE] == "confirm"]
    assert len(trained) == sum(map(len, runs.values()))
    assert all(label_names.TOLD in own for own in trained)


def test_scaling_changes_the_parallelism(space: Space) -> None:
    space.apply(maxTrials=60, parallelism=1)
    until(lambda: space.status().get("active") == 1)
    space.kubectl("scale", "dexp/tiny", "--replicas=6")
    until(lambda: len(space.live()) == 6)
    space.kubectl("scale", "dexp/tiny", "--replicas=1")
    until(lambda: len(space.live()) <= 1)


def test_a_quota_holds_up_nothing_but_what_it_refuses(space: Space) -> None:
    space.kubectl("create", "quota", "few", "--hard=count/jobs.batch=2")
    space.apply(maxTrials=4, parallelism=4)
    until(lambda: space.condition("ActionsAccepted").get("status") == "False")
    said = space.condition("ActionsAccepted")
    assert said["reason"] == "Refused"
    assert "exceeded quota: few" in said["message"]
    until(lambda: space.status()["trials"]["completed"] >= 1)  # the status is written all the same
    assert "Refused" in space.events()
    space.kubectl("delete", "quota", "few")
    until(space.reached("Succeeded"), seconds=180)
    assert space.condition("ActionsAccepted")["status"] == "True"


def test_a_job_of_a_suggestion_that_the_study_does_not_know_is_named_and_never_told(
    space: Space,
) -> None:
    space.apply(maxTrials=3, parallelism=1, suspend=True)
    until(lambda: space.state() == "Suspended")
    mine = space.get()["metadata"]
    foreign = strange_job(mine["name"], mine["uid"], trial=2)
    space.kubectl("create", "--filename=-", stdin=json.dumps(foreign))
    until(lambda: "ForeignAttempt" in space.events())
    until(lambda: not space.trials())
    space.patch(suspend=False)
    until(space.reached("Succeeded"), seconds=180)
    assert space.status()["trials"]["completed"] == 3
    assert [t["values"]["exact"] for t in space.status()["recentTrials"]] != [81.5]


def strange_job(name: str, uid: str, trial: int) -> Object:
    """A Job as the operator makes them, but of a trial that it has never suggested."""
    labels = {
        label_names.EXPERIMENT: name,
        label_names.EXPERIMENT_UID: uid,
        label_names.STAGE: "train",
        label_names.TRIAL: str(trial),
        label_names.ATTEMPT: "1",
    }
    container = {"name": "trainer", "image": "quick", "env": [{"name": "DISTILLERY_REQUEST"}]}
    template = {
        "metadata": {"labels": labels},
        "spec": {"restartPolicy": "Never", "containers": [container], "schedulerName": "nobody"},
    }
    metadata = {
        "name": f"{name}-{uid[:8]}-{trial:05d}-1",
        "labels": labels,
        "annotations": {label_names.REQUEST: "of another"},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"backoffLimit": 0, "template": template},
    }


def test_deleting_ends_the_jobs_and_leaves_nothing(space: Space) -> None:
    space.apply(maxTrials=40, parallelism=4)
    until(lambda: len(space.live()) >= 3)
    assert "finalizers" not in space.get()["metadata"]
    space.kubectl("delete", "dexp", "tiny", "--timeout=30s")
    until(lambda: not space.objects("jobs") and not space.objects("pods"))


def test_an_experiment_created_again_is_another_one(space: Space) -> None:
    space.apply(maxTrials=2)
    until(space.reached("Succeeded"))
    first = space.status()["results"]
    space.kubectl("delete", "dexp", "tiny")
    space.apply(maxTrials=3, parameters=worlds.DOCUMENT["spec"]["parameters"][:2])
    until(space.reached("Succeeded"))
    assert space.status()["progress"] == "3/3"
    assert space.status()["results"] != first


def test_a_job_deleted_by_hand_is_made_again(space: Space) -> None:
    space.apply(maxTrials=6, parallelism=2)
    job = until(lambda: [j for j in space.trials() if j.get("status", {}).get("active")])[0]
    space.kubectl("delete", "job", job["metadata"]["name"])
    until(space.reached("Succeeded"))
    counts = space.status()["trials"]
    assert (counts["total"], counts["failed"]) == (6, 0)


def test_a_failed_preparation_runs_again_after_an_edit_and_not_when_its_job_is_gone(
    space: Space,
) -> None:
    space.apply(maxTrials=2, data={**worlds.DOCUMENT["spec"]["data"], "train": ABSENT})
    until(lambda: space.condition("Prepared").get("status") == "False")
    (job,) = space.objects("jobs")
    space.kubectl("delete", "job", job["metadata"]["name"])
    space.patch(suspend=True)
    until(lambda: space.condition("Prepared").get("status") == "Unknown")
    assert space.objects("jobs") == []  # nothing ran between the deletion and this edit
    space.patch(suspend=False)
    until(space.reached("Succeeded"))
    numbers = [j["metadata"]["labels"][label_names.ATTEMPT] for j in space.objects("jobs")
               if "-prepare-" in j["metadata"]["name"]]  # fmt: skip
    assert numbers == ["2"]


def test_another_trainer_begins_no_trial_unless_that_is_allowed(space: Space) -> None:
    space.apply(maxTrials=2)
    until(space.reached("Succeeded"))
    assert space.condition("TrainerAccepted")["reason"] == "SameTrainer"
    other = {"spec": {"containers": [{"name": "trainer", "image": "other.example/trainer:2"}]}}
    space.patch(maxTrials=4, template=other)
    until(lambda: space.condition("TrainerAccepted").get("status") == "False")
    assert "made by other.example/trainer:2" in space.condition("TrainerAccepted")["message"]
    assert space.condition("Progressing")["reason"] == "TrainerChanged"
    assert "TrainerChanged" in until(space.events)
    assert space.status()["trials"]["total"] == 2
    space.patch(trainerChange="Allow")
    until(space.reached("Succeeded"))
    assert space.status()["progress"] == "4/4"
    generations = {j["metadata"]["annotations"][label_names.GENERATION] for j in space.trials()}
    assert generations == {"1", "3"}


def test_a_pod_deleted_by_hand_is_an_interruption(space: Space) -> None:
    space.apply(maxTrials=2, parallelism=2)
    until(lambda: space.condition("Prepared").get("status") == "True")
    pods = until(
        lambda: [p for p in space.objects("pods") if "-prepare-" not in p["metadata"]["name"]]
    )
    space.kubectl("delete", "pod", pods[0]["metadata"]["name"])
    until(space.reached("Succeeded"))
    counts = space.status()["trials"]
    assert (counts["total"], counts["failed"], counts["infeasible"]) == (2, 0, 0)


REFUSED = {
    "image": {"spec": {"containers": [{"name": "trainer", "image": ""}]}},
    "resources": {
        "spec": {"containers": [{"name": "trainer", "resources": {"limits": {"cpu": "many"}}}]}
    },
    "volume": {"spec": {"volumes": [{"name": "x", "persistentVolumeClaim": {}}]}},
    "restart": {"spec": {"restartPolicy": "Always"}},
    "mount": {
        "spec": {
            "containers": [
                {"name": "trainer", "volumeMounts": [{"name": "nowhere", "mountPath": "/x"}]}
            ]
        }
    },
}


@pytest.mark.parametrize("template", REFUSED.values(), ids=REFUSED.keys())
def test_a_template_that_the_server_refuses_starts_nothing(space: Space, template: Object) -> None:
    space.apply(template=template)
    until(lambda: space.condition("TemplateValid").get("status") == "False")
    condition = space.condition("TemplateValid")
    assert condition["reason"] == "TemplateRefused"
    assert "TemplateRefused" in until(space.events)
    assert space.condition("Progressing")["reason"] == "Obstructed"
    assert space.objects("jobs") == []
    space.patch(template=None)
    until(space.reached("Succeeded"))


def test_pod_security_that_forbids_the_template_is_said_before_anything_starts(
    space: Space,
) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    space.cluster.kubectl("label", "namespace", space.name, label)
    space.apply(maxTrials=2, template={"spec": {"hostNetwork": True}})
    until(lambda: space.condition("TemplateValid").get("status") == "False")
    assert "violates PodSecurity" in space.condition("TemplateValid")["message"]
    space.patch(template=None)
    until(space.reached("Succeeded"))  # what Distillery adds is restricted by itself


def test_a_search_space_that_a_stored_study_does_not_have_is_refused(space: Space) -> None:
    space.apply(maxTrials=2)
    until(space.reached("Succeeded"))
    changed = [{**p, "high": 0.7} if p["name"] == "learning_rate" else p
               for p in worlds.DOCUMENT["spec"]["parameters"]]  # fmt: skip
    with pytest.raises(Exception, match="immutable"):
        space.patch(parameters=changed)


HOSTILE: list[Object] = [
    worlds.document(teacher={"model": "x" * 1025}),
    worlds.document(training={"optimizer'; drop table trials; --": 1}),
    worlds.document(template={"spec": {"nodeSelector": {"a": "x" * 1_000_000}}}),
    worlds.document(template={"metadata": {"labels": {"a": "not a label!"}}}),
    worlds.document(template={"metadata": {"labels": {label_names.TRIAL: "7"}}}),
    worlds.document(template={"spec": {"containers": "many"}}),
    worlds.document(template={"spec": {"containers": [{"name": "trainer", "env": None}, 7]}}),
    worlds.document(template={"spec": {"nodeSelectors": {"misspelt": "field"}}}),
    worlds.document(template={"spec": {"priorityClassName": "no-such-class"}}),
    worlds.document(template={"spec": {"serviceAccountName": "nobody"}}),
]
"""Texts beyond all measure, templates that are none, and such that the server refuses."""


def said(space: Space, name: str) -> bool:
    """Tell whether a condition says why an experiment does not start."""
    kinds = ("Accepted", "TemplateValid", "WarmStarted")
    wrong = [space.condition(kind, name) for kind in kinds]
    return any(c.get("status") == "False" and len(c["message"]) > 20 for c in wrong)


def test_no_broken_experiment_starts_anything_and_others_go_on(space: Space) -> None:
    documents = [*(document for document, _, _ in [*broken.BROKEN, *broken.LATER]), *HOSTILE]
    taken: list[str] = []
    refusals: list[str] = []
    for number, document in enumerate(documents):
        made = copy.deepcopy(document)
        if isinstance(made, dict) and made.get("metadata") == {"name": "tiny"}:
            made["metadata"]["name"] = f"broken-{number}"
        try:
            space.kubectl("create", "--filename=-", stdin=json.dumps(made))
            taken.append(f"broken-{number}")
        except Refused as refusal:
            refusals.append(str(refusal))
    for name in taken:
        until(partial(said, space, name), what=f"what is said of {name}: {space.get(name)['spec']}")
    assert space.objects("jobs") == []
    assert all(len(refusal) > 20 for refusal in refusals)
    assert len(refusals) + len(taken) == len(documents) >= 40
    space.apply(maxTrials=2)
    until(space.reached("Succeeded"))


@pytest.mark.needs("control_plane")
def test_without_its_database_nothing_starts_and_with_it_everything_goes_on(
    tmp_path: Path, postgresql: Postgres
) -> None:
    """An operator of one namespace, whose password is wrong at first."""
    with ControlPlane(tmp_path / "plane") as plane:
        kubeconfig = install(plane, tmp_path)
        space, other = Space(plane), Space(plane)
        right = postgresql.url()
        wrong = right.replace("postgres:", "postgres:not-")
        options = ("--workspace-claim=work", f"--namespace={space.name}")
        space.apply(maxTrials=2)
        other.apply(maxTrials=2)
        with Operator(kubeconfig, wrong, tmp_path / "log", *options) as operator:
            until(lambda: space.condition("StorageReachable").get("status") == "False")
            shown = operator.metrics()
            assert shown["distillery_storage_up{}"] == 0
            of_it = f'experiment="tiny",namespace="{space.name}",status="false"'
            away = f'distillery_experiment_status_condition{{condition="StorageReachable",{of_it}}}'
            assert shown[away] == 1  # though no study of it was ever open
            condition = space.condition("StorageReachable")
            assert condition["reason"] == "DatabaseUnavailable"
            assert "password" in condition["message"]
            assert postgres.PASSWORD not in condition["message"]
            assert space.objects("jobs") == []
        operator = Operator(kubeconfig, right, tmp_path / "log", *options)
        with operator, kubelet.playing(player(plane)):
            until(space.reached("Succeeded"))
            assert space.condition("StorageReachable")["status"] == "True"
            assert other.status() == {}


def test_a_search_starts_from_another_one_of_the_namespace(space: Space) -> None:
    later = {"warmStartFrom": [{"experiment": "tiny"}]}
    space.apply("later", maxTrials=4, **later)
    until(lambda: space.condition("WarmStarted", "later").get("reason") == "SourceNotFound")
    assert space.state("later") == "SourceNotFound"
    assert space.objects("jobs") == []
    space.apply()
    until(space.reached("Succeeded"))
    space.patch("later", maxTrials=5)  # looked at at once, not after a minute
    until(space.reached("Succeeded", "later"))
    assert space.condition("WarmStarted", "later")["message"] == (
        "these inform the sampler: 8 trials of tiny"
    )
    assert space.status("later")["trials"]["total"] == 5
    assert all(point["trial"] < 5 for point in space.status("later")["front"])


def test_a_search_ends_at_its_budget_and_goes_on_with_a_greater_one(space: Space) -> None:
    # Pods of half a second have times in whole seconds, so that every other trial takes none.
    space.apply(maxTrials=60, maxCost=0.0085, costPerGpuHour=6, parallelism=1)  # worth 5.1 s
    until(lambda: space.condition("Progressing").get("reason") == "MaxCostReached")
    ended = space.status()["trials"]["total"]
    assert 0 < ended < 60
    assert "a further trial takes about" in space.condition("Progressing")["message"]
    until(lambda: "MaxCostReached" in space.events())
    space.patch(maxCost=100, maxTrials=ended + 3)
    until(lambda: space.condition("Succeeded").get("reason") == "MaxTrialsReached")
    assert space.status()["trials"]["total"] == ended + 3
    assert space.status()["cost"] > 0


def test_a_grid_ends_when_every_point_was_tried(space: Space) -> None:
    searched = worlds.DOCUMENT["spec"]["parameters"][1:]
    space.apply(sampler={"type": "Grid"}, parameters=searched, maxTrials=50, parallelism=6)
    until(lambda: space.condition("Progressing").get("reason") == "GridExhausted")
    assert space.status()["trials"]["total"] == 12
    assert space.status()["progress"] == "11/50"  # at full depth both selections are the same
