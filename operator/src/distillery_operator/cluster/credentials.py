"""PURE: what a pod template must not get: tokens of the API server, and the operator's database.

Whoever may create an experiment writes its template, and may be no one who may read Secrets.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from distillery_operator.cluster import documents
from distillery_operator.cluster.pod_template import Defaults
from distillery_operator.resource.experiment import Experiment


def faults(experiment: Experiment, defaults: Defaults) -> Iterator[str]:
    """Yield the credentials that a template asks for."""
    spec = documents.part(experiment.spec.template, "spec")
    yield from _tokens(spec)
    namespace, _, name = defaults.secret.partition("/")
    if name and experiment.metadata.namespace == namespace:
        for field in _naming(spec, name):
            yield (
                f"spec.template.spec.{field}: must not name the Secret {name}, because it is the"
                " operator's own"
            )


def _tokens(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield where a pod asks for a token of the API server."""
    rule = "because trials need no API token, and the operator allows none"
    if spec.get("automountServiceAccountToken") is True:
        yield f"spec.template.spec.automountServiceAccountToken: must not be true, {rule}"
    for volume in documents.items(spec, "volumes"):
        sources = documents.items(documents.part(volume, "projected"), "sources")
        if any("serviceAccountToken" in source for source in sources):
            name = volume.get("name")
            yield f"spec.template.spec.volumes[{name}]: must project no token, {rule}"


def _naming(spec: Mapping[str, Any], secret: str) -> Iterator[str]:
    """Yield the fields of a pod that name a Secret."""
    for volume in documents.items(spec, "volumes"):
        part = documents.part(volume, "secret")
        sources = documents.items(documents.part(volume, "projected"), "sources")
        named = [part.get("secretName"), *(_named(source, "secret") for source in sources)]
        if secret in named:
            yield f"volumes[{volume.get('name')}]"
    for kind in ("initContainers", "containers"):
        for container in documents.items(spec, kind):
            where = f"{kind}[{container.get('name')}]"
            variables = [documents.part(e, "valueFrom") for e in documents.items(container, "env")]
            if secret in [_named(variable, "secretKeyRef") for variable in variables]:
                yield f"{where}.env"
            if secret in [_named(e, "secretRef") for e in documents.items(container, "envFrom")]:
                yield f"{where}.envFrom"


def _named(document: Mapping[str, Any], key: str) -> object:
    return documents.part(document, key).get("name")
