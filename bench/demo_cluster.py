"""The quickstart on a real cluster of one node, from nothing, by `make demo-cluster`.

Builds what is missing (Kubernetes, Helm, images), starts the node of `make cluster`, installs the
chart with a database and Prometheus, and applies the very file that `make demo` runs. Prints what
it does, where the time goes, and as its last line one JSON object. The cluster stays, for a look at
it; `make cluster-down` removes it, as Ctrl-C does while this runs. Run again, it goes on.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import demo

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support import parts, stack
from support.cluster import Given
from support.cluster import __main__ as keeper
from support.programs import cache

FOLDER = demo.WORKSPACE / "cluster"
PLACE = keeper.Place(cache.folder() / "cluster")
CLUSTER = Given(PLACE.folder / "plane" / "kubeconfig")


def main() -> None:
    """Run the phases one after the other and say how long each took."""
    parts.require("node", "helm", "images")
    seconds: dict[str, float] = {}
    phases: dict[str, Callable[[], None]] = {
        "images": show_images,
        "data and teacher": make_workspace,
        "cluster": start_cluster,
        "chart, database, Prometheus": lambda: stack.install(CLUSTER, FOLDER),
        "search": search,
    }
    try:
        for name, phase in phases.items():
            demo.timed(seconds, name, phase)
    except KeyboardInterrupt:
        print("\nremoving the cluster")
        keeper.down(PLACE)
        sys.exit(130)
    found = status()
    front = demo.summary(found)
    show_front(front)
    report = FOLDER / f"{demo.RESULTS.name}.html"
    stack.distillery(CLUSTER, "report", demo.RESULTS.name, f"-n{stack.TEAM}", f"-o{report}")
    show_addresses()
    demo.show_times(seconds)
    print(json.dumps({"seconds": seconds, "front": front, "trials": found["trials"]}))


def show_images() -> None:
    """Build the images that are missing and say how large each is."""
    for image in stack.parts():
        print(f"{image.name:60} {image.size / 1e6:7.0f} MB")


def make_workspace() -> None:
    """Write data and teacher into the volume of the trials."""
    demo.quickstart(FOLDER / "workspace")
    stack.hand_over(FOLDER / "workspace")


def start_cluster() -> None:
    """Start the node, unless it runs, and bring it the images."""
    if not keeper.runs(PLACE):  # a new cluster's Secret does not open an old one's database
        shutil.rmtree(FOLDER / "database", ignore_errors=True)
    keeper.up(PLACE)
    keeper.load(PLACE, [image.archive for image in stack.parts()])


def search() -> None:
    """Apply the quickstart and tell what becomes of it until it has ended."""
    stack.team(CLUSTER, "apply", f"--filename={demo.EXPERIMENT}")
    told, found = "", status()
    while not found.get("completionTime"):
        told = tell(found, told)
        time.sleep(2)
        found = status()
    tell(found, told)


def tell(found: dict[str, Any], told: str) -> str:
    """Print where the search stands, if that is news, and return it."""
    counts = {name: count for name, count in found.get("trials", {}).items() if count}
    words = [f"{count} {name}" for name, count in counts.items()]
    news = ", ".join([found.get("state", "Applied"), *words, f"front {found.get('frontSize', 0)}"])
    if news != told:
        print(f"{time.strftime('%H:%M:%S')} {news}", flush=True)
    return news


def status() -> dict[str, Any]:
    """Return the experiment's status as the API server has it."""
    document = stack.team(CLUSTER, "get", "dexp", demo.RESULTS.name, "--output=json")
    found: dict[str, Any] = json.loads(document).get("status", {})
    return found


def show_front(front: list[dict[str, Any]]) -> None:
    """Print the front of the status as a table."""
    print(f"\nthe Pareto front in the status of {demo.RESULTS.name}:")
    print("  trial   exact  HasAns  NoAns  parameters")
    for point in front:
        halves = f"{point['HasAns_exact']:7.2f} {point['NoAns_exact']:6.2f}"
        print(
            f"  {point['trial']:5} {point['exact']:7.2f} {halves} {point['parameter_count']:11,.0f}"
        )


def show_addresses() -> None:
    """Print where to look now."""
    print("\nthis machine reaches the cluster's pods at their addresses:")
    for what, address in stack.addresses(CLUSTER).items():
        print(f"  {what:20} {address}")
    print("look around, and remove it all:")
    print('  eval "$(make cluster)"')
    print(f"  kubectl --namespace={stack.TEAM} describe dexp {demo.RESULTS.name}")
    print("  make cluster-down")


if __name__ == "__main__":
    main()
