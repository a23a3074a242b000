"""A real search on a node, and a Prometheus that has seen it from its first pod to its end."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from support import discovery, worlds
from support.cluster import Node
from support.cluster.images import Image
from support.operators import Operator, until
from support.prometheus import Prometheus
from support.spaces import Object, Space, install, template

SOUND = [
    {"name": "learning_rate", "type": "Float", "low": 0.1, "high": 0.3, "log": True},
    *worlds.DOCUMENT["spec"]["parameters"][1:],
]
"""A space without what diverges or learns too slowly: every trial of it trains to its end."""

VARIABLES = {
    "cluster": ".*",
    "__rate_interval": "20s",
    "__range": "15m",
    "experiment": "tiny",
    "trial": "1",
    "baseline": "deep",
    "metric": "exact",
    "objective": "exact",
    "x": "parameter_count",
    "y": "exact",
}
"""What Grafana's variables stand for, to ask for such a search; the namespace is its own."""

ENOUGH_SECONDS = 1200.0
"""For a search on a busy machine."""


class Run(NamedTuple):
    """What the Prometheus knows, of the experiment ``tiny`` of a namespace."""

    prometheus: Prometheus
    namespace: str
    begun: float


@contextmanager
def searched(node: Node, image: Image, workspace: Path, folder: Path, **spec: Any) -> Iterator[Run]:
    """Run a search of quick trainings to its end, with a baseline, costs and budgets."""
    node.load(image.archive)
    operator = Operator(
        install(node.plane, folder),
        f"sqlite:///{folder}",
        folder / "log",
        "--scrape-seconds=0.5",
        image=image.name,
    )
    pod = {"namespace": "distillery", "name": "distillery-0"}
    pod_labels = {"labels": {"app.kubernetes.io/name": "distillery"}}
    own = discovery.target(f"127.0.0.1:{operator.port}", "metrics", {**pod, **pod_labels})
    path = folder / "targets.json"
    with ExitStack() as stack:
        stack.enter_context(discovery.following(node, path, [own]))
        config = json.dumps(discovery.configuration(path))
        prometheus = stack.enter_context(Prometheus(folder / "prometheus", config))
        stack.enter_context(operator)

        def scraped() -> Any:
            assert operator.exit_code is None, operator.log.read_text()
            return prometheus.query("distillery_build_info")

        until(scraped)
        space, begun = Space(node.plane), time.time()
        pods = template(workspace, 0.2)
        linger = {"name": "QUICK_TRAINER_LINGER_SECONDS", "value": "8"}  # rates need two scrapes
        pods["spec"]["containers"][0]["env"].append(linger)
        baselines = [{"name": "deep", "parameters": {"n_layers": 6}}]
        limits: Object = {"maxDurationSeconds": 3600, "costPerGpuHour": 2, **spec}
        space.apply(template=pods, parameters=SOUND, baselines=baselines, **limits)
        until(space.reached("Succeeded"), ENOUGH_SECONDS)
        time.sleep(3)  # until the last state is scraped
        yield Run(prometheus, space.name, begun)
        space.kubectl("delete", "dexp", "--all", "--timeout=60s")
