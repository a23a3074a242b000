"""Draw the dashboards of docs/observe.md: a real search on a node of this machine, then pictures.

    python bench/pictures.py

The search is one of quick trainings that only pretend to learn; everything else is real: operator,
pods, Prometheus. See charts/dashboards/picture.py for what the pictures are.
"""

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "charts")]

from dashboards import boards, picture  # noqa: E402
from support import observed, parts  # noqa: E402
from support.cluster import Node, images  # noqa: E402

TRIALS = {"maxTrials": 8, "parallelism": 3}


def main() -> None:
    """Search, and draw into docs/."""
    parts.require("node", "quick_image", "prometheus")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        workspace = folder / "workspace"
        workspace.mkdir()
        workspace.chmod(0o777)
        (workspace / "train.json").touch()
        (folder / "operator").mkdir()
        with (
            Node(folder / "node") as node,
            observed.searched(
                node, images.quick_trainer(), workspace, folder / "operator", **TRIALS
            ) as run,
        ):
            for name, document in boards.documents().items():
                namespace = "distillery" if "operator" in name else run.namespace
                values = {**observed.VARIABLES, "__range": "30m", "namespace": namespace}
                source = picture.Source(run.prometheus.url, values, run.begun, time.time())
                path = ROOT / "docs" / Path(name).with_suffix(".png").name
                picture.draw(document, source, path)
                print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
