"""The template of all experiments, below that of each."""

from dataclasses import replace
from typing import Any

import pytest

from distillery_contract.request import Stage
from distillery_operator.cluster import default_template, jobs
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.errors import Unusable
from support.shapes import DEFAULTS, Object, experiment

BELOW: Object = {
    "metadata": {"labels": {"team": "platform", "cost": "7"}},
    "spec": {
        "imagePullSecrets": [{"name": "registry"}],
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "batch",
        "containers": [
            {
                "name": "trainer",
                "env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}],
                "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
            }
        ],
        "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    },
}


def merged(above: Object) -> Any:
    return default_template.under(experiment(template=above), BELOW).spec.template


def test_without_a_template_of_ones_own_it_stands() -> None:
    assert merged({}) == BELOW


def test_without_a_template_of_all_nothing_changes() -> None:
    own = experiment(template={"spec": {"priorityClassName": "low"}})
    assert default_template.under(own, {}) is own


def test_the_experiment_has_the_last_word() -> None:
    found = merged(
        {"metadata": {"labels": {"cost": "8"}}, "spec": {"priorityClassName": "low"}},
    )
    assert found["metadata"]["labels"] == {"team": "platform", "cost": "8"}
    assert found["spec"]["priorityClassName"] == "low"


def test_lists_are_merged_by_what_tells_their_items_apart() -> None:
    env = [{"name": "HTTPS_PROXY", "value": "http://mine"}, {"name": "HF_TOKEN", "value": "x"}]
    mounts = [{"name": "ca", "mountPath": "/other"}, {"name": "own", "mountPath": "/ca"}]
    tolerations = [{"key": "gpu", "operator": "Exists"}, {"key": "spot", "operator": "Exists"}]
    found = merged(
        {
            "spec": {
                "tolerations": tolerations,
                "imagePullSecrets": [{"name": "own"}],
                "containers": [
                    {"name": "helper", "image": "x"},
                    {"name": "trainer", "env": env, "volumeMounts": mounts, "args": ["a"]},
                ],
            }
        }
    )["spec"]
    assert found["tolerations"] == tolerations
    assert found["imagePullSecrets"] == [{"name": "registry"}, {"name": "own"}]
    trainer, helper = found["containers"]
    assert helper["name"] == "helper"
    assert trainer["env"] == env
    assert trainer["args"] == ["a"]
    assert trainer["volumeMounts"] == [
        {"name": "own", "mountPath": "/ca"},
        {"name": "ca", "mountPath": "/other"},
    ]


def test_nothing_that_is_given_is_changed() -> None:
    before = str(BELOW)
    merged({"spec": {"containers": [{"name": "trainer", "env": [{"name": "A", "value": "b"}]}]}})
    assert str(BELOW) == before


def test_a_field_can_be_left_to_the_cluster() -> None:
    """As OpenShift wants it, which chooses the users of pods itself."""
    free = {"spec": {"securityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}}}
    of, launch = default_template.under(experiment(), free), Launch(Stage.TRAIN, 0, 1)
    made = jobs.job(of, launch, requests.order(of, launch), replace(DEFAULTS, template=free))
    context = made["spec"]["template"]["spec"]["securityContext"]
    assert context["runAsUser"] is context["fsGroup"] is None
    assert context["runAsNonRoot"] is True


@pytest.mark.parametrize("text", ["{", "[]", "7"])
def test_a_template_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match="template of all experiments must be"):
        default_template.read(text)


def test_no_text_is_no_template() -> None:
    assert default_template.read("") == {}
