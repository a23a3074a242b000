"""The objects that benches create on a cluster, foremost the search that they measure."""

from typing import Any

from distillery_operator.cluster import pod_template
from support import worlds

PARAMETERS = [
    {"name": "learning_rate", "type": "Float", "low": 8.3e-7, "high": 6.7e-3, "log": True},
    {"name": "dropout", "type": "Float", "low": 0.0, "high": 0.5},
    {"name": "attention_dropout", "type": "Float", "low": 0.0, "high": 0.5},
    {"name": "qa_dropout", "type": "Float", "low": 0.0, "high": 0.5},
    {"name": "n_layers", "type": "Int", "low": 1, "high": 6},
    {"name": "n_heads", "type": "Int", "low": 1, "high": 6},
]
"""The search space of ``manifests/samples/squad2-compact.yaml``, of the size of a small teacher."""

EXPERIMENTS = "/apis/distillery.dev/v1alpha1/namespaces/default/distillationexperiments"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
DEFAULTS = pod_template.Defaults(image="localhost/trainer:none", claim="workspace")
MAX_TRIALS = 10_000
"""Of a search that shall not end while it is watched."""


def document(name: str, trials: int, parallelism: int) -> dict[str, Any]:
    """Return an experiment, whose pods no scheduler has to look at."""
    made = worlds.document(
        parameters=PARAMETERS,
        maxTrials=trials,
        parallelism=parallelism,
        template={"spec": {"schedulerName": "bench"}},
    )
    made["metadata"]["name"] = name
    return made
