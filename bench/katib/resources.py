"""What Katib is told by on a cluster: its kinds, its webhooks, and a search as its Experiment."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from distillery_contract import wire
from distillery_contract.request import Stage
from distillery_operator.cluster import jobs
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.resource import parsing
from measured import objects
from support import definitions, worlds
from support.cluster import ControlPlane

EXPERIMENTS: Final = "/apis/kubeflow.org/v1beta1/namespaces/default/experiments"
NAMESPACE: Final = "kubeflow"
METRIC: Final = "exact"
ALGORITHM: Final = "tpe"
TRIAL: Final = "trial"
"""The parameter of the template that is a trial's name."""
WEBHOOKS: Final = "https://127.0.0.1:8443"


def install(plane: ControlPlane, manifests: Path) -> Path:
    """Make Katib's kinds known, and store its configuration; return the file that has it too."""
    crds = manifests / "components" / "crd"
    definitions.apply_files(
        plane, [crds / f"{k}.yaml" for k in ("experiment", "suggestion", "trial")]
    )
    yaml = YAML(typ="safe")
    config = yaml.load(manifests / "installs" / "katib-standalone" / "katib-config.yaml")
    config["init"]["certGenerator"]["enable"] = False  # for it makes certificates of a Service
    file = plane.folder / "katib-config.yaml"
    file.write_text(json.dumps(config))
    plane.kubectl("create", "namespace", NAMESPACE)
    given = f"--from-file=katib-config.yaml={file}"
    plane.kubectl("create", "configmap", "katib-config", f"--namespace={NAMESPACE}", given)
    labelled = "katib.kubeflow.org/metrics-collector-injection=enabled"
    plane.kubectl("label", "namespace", "default", labelled)
    return file


def enable_webhooks(plane: ControlPlane, manifests: Path, authority: Path) -> None:
    """Let the API server ask all of Katib's webhooks, by URL: there is no network of pods."""
    bundle = base64.b64encode(authority.read_bytes()).decode()
    made = [*YAML(typ="safe").load_all(manifests / "components" / "webhook" / "webhooks.yaml")]
    for webhook in (webhook for configuration in made for webhook in configuration["webhooks"]):
        path = webhook["clientConfig"]["service"]["path"]
        webhook["clientConfig"] = {"url": WEBHOOKS + path, "caBundle": bundle}
    plane.kubectl("create", "--filename=-", stdin="".join(map(json.dumps, made)))


def experiment(name: str, parallelism: int) -> dict[str, Any]:
    """Return the search of :mod:`measured.objects`, for what Katib has one objective."""
    names = [str(parameter["name"]) for parameter in objects.PARAMETERS]
    references = {**{name: name for name in names}, TRIAL: "${trialSpec.Name}"}
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "objective": {"type": "maximize", "objectiveMetricName": METRIC},
            "algorithm": {"algorithmName": ALGORITHM},
            "parallelTrialCount": parallelism,
            "maxTrialCount": objects.MAX_TRIALS,
            "metricsCollectorSpec": {"collector": {"kind": "Push"}},
            "parameters": [_dimension(parameter) for parameter in objects.PARAMETERS],
            "trialTemplate": {
                "primaryContainerName": "trainer",
                "trialParameters": [
                    {"name": key, "reference": found} for key, found in references.items()
                ],
                "trialSpec": job(name),
            },
        },
    }


def job(name: str) -> dict[str, Any]:
    """Return the template of a search's Jobs: those that Distillery's operator would make.

    So the same watch sees them, and the same pretend kubelet runs them.
    """
    document = objects.document(name, objects.MAX_TRIALS, 1)
    document["metadata"]["uid"] = "0"
    experiment, launch = parsing.parse(document), Launch(Stage.TRAIN, 0, 1)
    trial = worlds.completed(0, 50.0, 3)
    order = requests.order(experiment, launch, trial, worlds.PREPARATION)
    marks = {str(parameter["name"]): f"<{parameter['name']}>" for parameter in objects.PARAMETERS}
    order = replace(order, experiment=f"<{TRIAL}>", parameters=marks)
    made = jobs.job(experiment, launch, order, objects.DEFAULTS)
    for given in ("name", "namespace", "ownerReferences"):
        del made["metadata"][given]
    (container,) = made["spec"]["template"]["spec"]["containers"]
    (request,) = [each for each in container["env"] if each["name"] == wire.REQUEST]
    for key, mark in marks.items():  # numbers have no quotes
        request["value"] = request["value"].replace(f'"{mark}"', f"${{trialParameters.{key}}}")
    request["value"] = request["value"].replace(f"<{TRIAL}>", f"${{trialParameters.{TRIAL}}}")
    return made


def _dimension(parameter: dict[str, Any]) -> dict[str, Any]:
    space = {"min": str(parameter["low"]), "max": str(parameter["high"])}
    if parameter.get("log"):
        space["distribution"] = "logUniform"
    kind = {"Float": "double", "Int": "int"}[parameter["type"]]
    return {"name": parameter["name"], "parameterType": kind, "feasibleSpace": space}
