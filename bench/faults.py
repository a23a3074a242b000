"""One experiment on a real cluster while everything breaks: is anything lost or done twice?

    python bench/faults.py [--kills 100] [--trials 300]

The operator is killed by SIGKILL before and after every kind of action, over and over. Meanwhile
the API server, PostgreSQL and Prometheus are restarted, Jobs and pods deleted by hand, a pod is
evicted, quotas refuse Jobs and pods, the kubelet is stopped, a second operator works beside the
first, and some trainings overwrite their termination message. Once, the database is brought back
to an old backup. Three times, an operator that stands by takes over from a killed one. Pods are
real; they run the quick trainer, which writes down every step that it does. Prints figures and, as
its last line, one JSON object; ends with 1 if a result was lost or told twice, or a trial had two
live Jobs.
"""

import argparse
import itertools
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from distillery_operator.trials.feasibility import DUPLICATE
from support import ledgers, parts
from support.cluster import Node, Refused, images
from support.operators import COMMAND, Operator
from support.postgres import restore
from support.postgres import running as postgres_running
from support.prometheus import Prometheus
from support.spaces import Space, install
from support.witness import Witness

BOUNDARIES: Final = [
    f"{action}-{side}"
    for action in ("Launch", "Tell", "Ask", "Release", "Record", "Any")
    for side in ("before", "after")
]
"""Where the operator dies, in turn; the rarer actions come once each: see ``RARE``."""
RARE: Final = ["Keep-before", "Keep-after", "Collect-before", "Collect-after"]

MISHAP_EVERY: Final = 2
"""Kills for each of the other faults."""

PATIENCE: Final = 8.0
"""Seconds that a working operator is given to reach its boundary, before it dies anyway."""

SPOIL: Final = """
import json, os, sys
sys.path.insert(0, "/opt")
import quick_trainer
request = json.loads(os.environ["DISTILLERY_REQUEST"])
code = quick_trainer.main()
if request["stage"] == "train" and request["trial"] % 7 == 3 and request["attempt"] == 1:
    open("/dev/termination-log", "w").write("x" * 5000)
sys.exit(code)
"""


def mishaps(
    space: Space,
    node: Node,
    restart_database: Callable[[], None],
    prometheus: Prometheus,
    second: Operator,
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what else goes wrong, in turn, with its name."""

    def pods() -> list[str]:
        found = [p for p in space.objects("pods") if p["status"]["phase"] == "Running"]
        return [p["metadata"]["name"] for p in found]

    def evict() -> None:
        for name in pods()[:1]:
            target = {"name": name, "namespace": space.name}
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": target}
            path = f"/api/v1/namespaces/{space.name}/pods/{name}/eviction"
            space.kubectl("create", "--raw", path, "--filename=-", stdin=json.dumps(body))

    def delete_pod() -> None:
        for name in pods()[-1:]:
            space.kubectl("delete", "pod", name, "--wait=false")

    def delete_job() -> None:
        for job in space.live()[:1]:
            space.kubectl("delete", "job", job["metadata"]["name"], "--wait=false")

    def refuse(what: str) -> None:
        space.kubectl("create", "quota", "none", f"--hard={what}=0")
        time.sleep(3)
        space.kubectl("delete", "quota", "none")

    def stop_kubelet() -> None:
        with node.silent():
            time.sleep(5)

    def overlap() -> None:
        with second:
            wait_for(lambda: second.serving, 60)
            time.sleep(5)

    return itertools.cycle(
        [
            ("Jobs refused by a quota", partial(refuse, "count/jobs.batch")),
            ("operators overlapped", overlap),
            ("pod evicted", evict),
            ("kubelet stopped", stop_kubelet),
            ("API server restarted", node.plane.restart_apiserver),
            ("Job deleted", delete_job),
            ("pods refused by a quota", partial(refuse, "pods")),
            ("PostgreSQL restarted", restart_database),
            ("pod deleted", delete_pod),
            ("Prometheus restarted", prometheus.restart),
        ]
    )


def main() -> int:
    """Run the experiment to its end; print what the witness saw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs of the operator")
    parser.add_argument("--trials", type=int, default=300, help="trials of the experiment")
    arguments = parser.parse_args()
    parts.require("node", "quick_image", "postgres", "prometheus")
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), arguments.kills, arguments.trials)


def run(folder: Path, kills: int, trials: int) -> int:
    """Bring up everything, break it, and judge."""
    workspace = folder / "workspace"
    workspace.mkdir()
    (workspace / "train.json").touch()
    folder.chmod(0o755)
    workspace.chmod(0o777)
    with Node(folder / "node") as node, postgres_running() as postgres:
        image = images.quick_trainer()
        node.load(image.archive)
        kubeconfig = install(node.plane, folder)
        space, url = Space(node.plane), postgres.url("faults")

        def restart_database() -> None:
            postgres.stop(signal.SIGQUIT)  # as good as a crash
            time.sleep(2)
            postgres.start()

        with Prometheus(folder / "prometheus", "scrape_configs: []") as prometheus:
            container = {
                "name": "trainer",
                "command": ["python", "-c", SPOIL],
                "env": [{"name": "QUICK_TRAINER_STEP_SECONDS", "value": "0.2"}],
            }
            volume = {"name": "workspace", "hostPath": {"path": str(workspace)}}
            space.apply(
                maxTrials=trials,
                parallelism=4,
                maxInterruptions=100,
                maxFailedTrials=100,
                earlyStopping={"type": "None", "collapse": False},  # each trial has one result
                template={"spec": {"containers": [container], "volumes": [volume]}},
            )

            def operator(name: str, *options: str, command: Sequence[str] = COMMAND) -> Operator:
                return Operator(
                    kubeconfig,
                    url,
                    folder / f"{name}.log",
                    "--scrape-seconds=1",
                    f"--prometheus-url={prometheus.url}",
                    *options,
                    image=image.name,
                    command=command,
                )

            with Witness(space, url) as witness:
                mortal = [sys.executable, str(Path(__file__).with_name("mortal.py"))]
                first, second = operator("first", command=mortal), operator("second")
                breaks = mishaps(space, node, restart_database, prometheus, second)
                lease = "--lease=distillery/distillery"  # the manifest lets it hold that
                pair = [operator(name, lease) for name in ("leader", "standby")]
                killed = Counter[str]()
                torment(first, witness, breaks, kills // 4, trials, killed)
                backup, endings = postgres.dump(url), dict(witness.endings)
                torment(first, witness, breaks, kills // 4, trials, killed)
                with witness.turned_back(endings):
                    restore(url, backup)
                killed["old backup restored"] += 1
                torment(first, witness, breaks, kills - 2 * (kills // 4), trials, killed)
                failovers = [failover(*pair) for _ in range(3)]
                killed["leader killed"] += len(failovers)
                first.set_environment("MORTAL_AT", "-")
                with first:
                    wait_for(lambda: witness.told >= trials, 600)
                    wait_for(space.reached("Succeeded"), 60)
            return judge(space, witness, workspace, killed, trials, max(failovers))


def failover(leader: Operator, standby: Operator) -> float:
    """Kill a leader; return after how many seconds the one that stands by works."""

    def leads(operator: Operator) -> bool:
        return operator.serving and operator.metrics()["distillery_leader{}"] == 1

    try:
        leader.start()
        wait_for(lambda: leads(leader), 60)
        standby.start()
        wait_for(lambda: standby.serving, 60)
        leader.stop(signal.SIGKILL)
        begun = time.monotonic()
        wait_for(lambda: leads(standby), 120)
        return time.monotonic() - begun
    finally:
        leader.stop(signal.SIGKILL)
        standby.stop()


def torment(
    operator: Operator,
    witness: Witness,
    breaks: Iterator[tuple[str, Callable[[], None]]],
    kills: int,
    trials: int,
    killed: Counter[str],
) -> None:
    """Kill the operator again and again, and break something else now and then; count it all."""
    turns = itertools.chain(RARE[:2], itertools.cycle([*BOUNDARIES, *RARE[2:]]))
    for number in range(kills):
        place = next(turns)
        operator.set_environment("MORTAL_AT", place)
        operator.start()
        if number % MISHAP_EVERY == 0:
            name, break_it = next(breaks)
            time.sleep(1.5)
            with suppress(Refused):
                break_it()
                killed[name] += 1
        wait_for(lambda: operator.exit_code is not None or operator.serving, 60)
        deadline = time.monotonic() + PATIENCE
        while operator.exit_code is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if operator.exit_code is None:
            place = "anywhere"
        code = operator.stop(signal.SIGKILL)
        # It may have ended by itself, as it does where a watch breaks: that is no kill.
        killed[place if code == -signal.SIGKILL else "ended by itself"] += 1
        print(f"kill {number + 1}: {place} (exit code {code}); {witness.told} of {trials} told",
              flush=True)  # fmt: skip
        if witness.told >= trials - 2:
            break


def judge(
    space: Space,
    witness: Witness,
    workspace: Path,
    killed: Counter[str],
    trials: int,
    failover_s: float,
) -> int:
    """Print the figures and return the exit code."""
    endings = [json.loads(ending) for _, _, ending in witness.endings.values()]
    own = [e for e in endings if e["reason"] != DUPLICATE]
    lost = trials - sum(bool(e.get("metrics", {}).get("exact")) or e["state"] == "Infeasible"
                        for e in own)  # fmt: skip
    places = {*BOUNDARIES, *RARE, "anywhere", "leader killed"}
    figures = {
        "kills": sum(n for name, n in killed.items() if name in places),
        "faults": sum(n for name, n in killed.items() if name not in {*places, "ended by itself"}),
        "expected": trials,
        "told": witness.told,
        "copies": witness.copies,
        "lost": lost,
        "duplicated": witness.doubled(trials),
        "live_jobs_per_trial_max": witness.live_jobs,
        "live_pods_per_trial_max": witness.live_pods,
        "repeated_steps": ledgers.repeated(workspace, space),
        "interruptions": sum(
            int(j["metadata"]["labels"]["distillery.dev/attempt"]) > 1 for j in space.trials()
        ),
        "failed": space.status()["trials"]["failed"],
        "stuck": trials - witness.told,
        "failover_s": round(failover_s, 1),
    }
    for number, (_, _, ending) in sorted(witness.endings.items()):
        if (found := json.loads(ending))["state"] == "Failed":
            print(f"trial {number} is Failed: {found['reason']}: {found['message']}")
    for name, count in sorted(killed.items()):
        print(f"{name:24} {count}")
    for name, figure in figures.items():
        print(f"{name:24} {figure}")
    print(json.dumps(figures))
    sound = not figures["lost"] and not figures["duplicated"] and witness.live_jobs <= 1
    return 0 if sound and witness.told == trials else 1


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds, or for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(Refused):
            if condition():
                return
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
