"""The command `distillery`: one experiment file, run and looked at on one machine."""

import argparse
import asyncio
import importlib.util
import logging
import os
import re
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Final, Protocol

from rich.console import Console

from distillery_operator.cli import migrate, plan, terminal
from distillery_operator.engine import requests
from distillery_operator.errors import (
    DistilleryError,
    InvalidExperiment,
    MissingExtra,
    NotFound,
)
from distillery_operator.local.run import run
from distillery_operator.local.runner import TRAINER, only_one
from distillery_operator.resource import space, yaml_files
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.sampler import SamplerType
from distillery_operator.resource.status import Status
from distillery_operator.results import local
from distillery_operator.search import importance, samplers
from distillery_operator.trials.trial import Trial

PIPE_COLUMNS: Final = 160
"""Width of tables where the output is no terminal."""

DATABASE: Final = "DISTILLERY_DATABASE_URL"
"""Environment variable of the operator; set from a Secret, for the URL has a password."""

EXTRAS: Final = {"report": "plotly", "dashboard": "optuna_dashboard"}
"""What an operator goes without, so that not every installation has it: extra and package."""

LOOKING: Final = "an experiment of the workspace, or else of the cluster that kubectl is set to"
ON_A_CLUSTER: Final = "With a kubeconfig, --cluster looks on the cluster"

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""


class Results(Protocol):
    """The results of an experiment, wherever they are."""

    @property
    def report(self) -> Path:
        """Return where its report is written unless a person says otherwise."""

    def look(self) -> tuple[Experiment, Status]:
        """Return the experiment and its status."""

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials."""

    def export(self, trial: int, folder: Path) -> None:
        """Copy a trial's model into a folder that transformers loads."""


def main() -> int:
    """Run the command; return 0 if done, 1 without a feasible trial, 2 on errors, 130 on Ctrl-C."""
    arguments = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        code: int = arguments.command(arguments, console)
    except InvalidExperiment as error:
        print(f"the experiment breaks {len(error.faults)} rules:\n{error}", file=sys.stderr)
        return 2
    except DistilleryError as error:
        print(error, file=sys.stderr)
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="distillery", description=__doc__)
    parser.add_argument(
        "--workspace",
        type=Path,
        default=Path(),
        help="folder of the experiment's relative paths and of the results (default: here)",
    )
    parser.add_argument(
        "--trainer",
        type=shlex.split,
        default=TRAINER,
        help="command of a trainer that speaks the contract (default: Distillery's own)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run", help="run an experiment; the same command again goes on where it ended"
    )
    run.add_argument("file", type=Path)
    run.set_defaults(command=_run)
    planned = commands.add_parser(
        "plan", help="check an experiment and show what it would do, without running it"
    )
    planned.add_argument("file", type=Path)
    planned.add_argument(
        "--suggestions", type=int, default=5, help="first suggestions to show (default: 5)"
    )
    planned.set_defaults(command=_plan)
    operator = commands.add_parser("operator", help="watch a cluster's experiments and run them")
    _add_cluster(operator)
    operator.set_defaults(command=_operate)
    tried = commands.add_parser(
        "try", help="run an experiment on a cluster, see it end, and remove it"
    )
    tried.add_argument("file", type=Path)
    tried.add_argument("--namespace", default="default", help="(default: default)")
    tried.add_argument(
        "--timeout-seconds", type=float, default=1200.0, help="for the experiment (default: 1200)"
    )
    tried.set_defaults(command=_try)
    dashboard = commands.add_parser(
        "dashboard", help="serve optuna-dashboard over the experiments of a database, read-only"
    )
    dashboard.add_argument("--port", type=int, default=8082, help="(default: 8082)")
    dashboard.set_defaults(command=_dashboard)
    migrated = commands.add_parser(
        "migrate",
        help="bring all studies of a database to this release, before its operator starts",
    )
    migrated.add_argument(
        "--lenient",
        action="store_true",
        help="exit with 0 even if a study could not be brought to it",
    )
    migrated.set_defaults(command=_migrate)
    for name, command, text in (
        ("status", _status, "print the status of an experiment"),
        ("report", _report, "write an experiment's report as one HTML file"),
        ("export", _export, "copy a trial's model into a folder that transformers loads"),
    ):
        sub = commands.add_parser(name, help=text, description=f"{text}: {LOOKING}")
        sub.set_defaults(command=command)
        _add_places(sub)
        if name == "export":
            sub.add_argument("trial", type=int)
            sub.add_argument("folder", type=Path)
            continue
        sub.add_argument("experiment", nargs="?", default=argparse.SUPPRESS, help="its name")
        if name == "report":
            sub.add_argument(
                "-o",
                "--output",
                type=Path,
                help="file to write (default: report.html in the results; of a cluster, NAME.html)",
            )
    return parser


def _add_cluster(operator: argparse.ArgumentParser) -> None:
    """Add the options that say what an operator finds and gives in a cluster."""
    operator.add_argument(
        "--namespace",
        action="append",
        default=[],
        help="namespace to watch, may be repeated (default: the whole cluster)",
    )
    operator.add_argument("--trainer-image", required=True, help="image of the trials")
    operator.add_argument(
        "--workspace-claim",
        default="",
        help="PersistentVolumeClaim of the trials' workspace, where a template has no volume"
        " named workspace",
    )
    operator.add_argument(
        "--queue-name",
        default="",
        help="queue of Kueue that trials wait in, where a template has no such label",
    )
    operator.add_argument(
        "--service-account",
        action="append",
        default=[],
        help="service account that a template may name, may be repeated (default: none but the"
        " namespace's default)",
    )
    operator.add_argument(
        "--prometheus-url",
        default="",
        help="Prometheus server that scrapes the trials, asked for what pods no longer tell",
    )
    operator.add_argument(
        "--scrape-seconds",
        type=float,
        default=15.0,
        help="between scrapes of a trial (default: 15)",
    )
    operator.add_argument(
        "--job-retention-seconds",
        type=int,
        default=24 * 3600,
        help="life of a Job after its trial's result is stored (default: one day)",
    )
    operator.add_argument(
        "--trials-service",
        type=_service,
        default="",
        metavar="NAMESPACE/NAME:PORT",
        help="Service that leads to the operator's trials port; with it, who may read an experiment"
        " may read all its trials through the API server, as `distillery report` does",
    )
    operator.add_argument("--trials-port", type=int, default=8001, help="(default: 8001)")
    operator.add_argument("--metrics-port", type=int, default=8000, help="(default: 8000)")
    operator.add_argument("--health-port", type=int, default=8080, help="(default: 8080)")


def _add_places(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where an experiment is."""
    parser.add_argument(
        "-e", "--experiment", help="its name (default: the one that ran last, or is the only one)"
    )
    parser.add_argument(
        "--cluster", action="store_true", help="look on the cluster, as the next options imply too"
    )
    parser.add_argument("-n", "--namespace", help="(default: that of the context)")
    parser.add_argument("--context", help="of the kubeconfig (default: its current one)")
    parser.add_argument("--kubeconfig", type=Path, help="(default: KUBECONFIG, or ~/.kube/config)")


def _service(text: str) -> str:
    if text and not re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+:[a-z0-9-]+", text):
        raise argparse.ArgumentTypeError(f"must be NAMESPACE/NAME:PORT, but got {text!r}")
    return text


def _run(arguments: argparse.Namespace, console: Console) -> int:
    experiment = _experiment(arguments.file)
    results = arguments.workspace / requests.results(experiment)
    if lack := _lack("report"):
        terminal.say(console, f"no report will be written: {lack}")
    with only_one(results):
        shutil.copyfile(arguments.file, results / "experiment.yaml")
        view = terminal.View(console, experiment)
        try:
            seen, found, interrupted = asyncio.run(
                run(experiment, arguments.workspace, arguments.trainer, view.show)
            )
        finally:
            view.close()
        page = results / "report.html"
        if not lack:
            _write_report(experiment, found, seen.trials, page)
    terminal.show_status(console, experiment, found)
    terminal.say(console, f"status: {results / 'status.yaml'}\nreport: {lack or page}")
    if interrupted:
        terminal.say(console, "interrupted; the same command goes on from the checkpoints")
        return INTERRUPTED
    return 0 if found.front else 1


def _operate(arguments: argparse.Namespace, console: Console) -> int:
    """Run the operator; whatever ends it but a signal is an error, so that it is started again."""
    # Only here: the watches and their libraries are of no use to one machine.
    import uvloop

    from distillery_operator.cluster.pod_template import Defaults
    from distillery_operator.controller import process
    from distillery_operator.controller.session import Settings

    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    database = _database()
    settings = Settings(
        defaults=Defaults(
            image=arguments.trainer_image,
            claim=arguments.workspace_claim,
            retention_seconds=arguments.job_retention_seconds,
            queue=arguments.queue_name,
            accounts=tuple(arguments.service_account),
        ),
        scrape_seconds=arguments.scrape_seconds,
        trials_service=arguments.trials_service,
    )
    uvloop.run(
        process.run(
            settings,
            database_url=database,
            prometheus_url=arguments.prometheus_url,
            namespaces=arguments.namespace,
            metrics_port=arguments.metrics_port,
            health_port=arguments.health_port,
            trials_port=arguments.trials_port,
        )
    )
    return 0


def _try(arguments: argparse.Namespace, console: Console) -> int:
    from distillery_operator.cli import tryout  # only here: it needs the cluster's libraries

    experiment = yaml_files.read_experiment(arguments.file)
    ended_well = asyncio.run(
        tryout.run(
            experiment,
            arguments.namespace,
            arguments.timeout_seconds,
            lambda line: terminal.say(console, line),
        )
    )
    return 0 if ended_well else 1


def _dashboard(arguments: argparse.Namespace, console: Console) -> int:
    _require("dashboard")
    from distillery_operator.results.optuna_dashboard import app

    logging.getLogger().setLevel(logging.INFO)
    app.serve(_database(), arguments.port)
    return 0


def _migrate(arguments: argparse.Namespace, console: Console) -> int:
    done = migrate.migrate(
        _database(),
        lambda line: terminal.say(console, line),
        lambda line: print(line, file=sys.stderr),
    )
    return 0 if done or arguments.lenient else 2


def _database() -> str:
    """Return the URL of the studies' database."""
    database = os.environ.get(DATABASE, "")
    if not database:
        raise NotFound(
            f"the environment variable {DATABASE} must have the URL of the studies' database, such"
            " as postgresql://user:password@host/name, or sqlite:////folder on a volume"
        )
    return database


def _plan(arguments: argparse.Namespace, console: Console) -> int:
    experiment = _experiment(arguments.file)
    spec = experiment.spec
    terminal.say(
        console, f"{arguments.file}: {experiment.metadata.name} is a valid DistillationExperiment"
    )
    console.print(
        yaml_files.dump(spec.model_dump(mode="json", by_alias=True, exclude_none=True)),
        end="",
        markup=False,
    )
    found = asyncio.run(
        plan.plan(
            experiment, arguments.workspace, arguments.trainer, arguments.suggestions, time.time()
        )
    )
    if found.smallest is not None:
        terminal.say(console, f"students have {found.smallest:,} to {found.largest:,} parameters")
    for sentence in found.impossible:
        terminal.say(console, f"part of the space describes no student: {sentence}")
    if spec.sampler.type is SamplerType.GRID:
        terminal.say(console, f"the grid has {space.grid_size(spec)} points")
    for source in spec.warm_start_from:
        terminal.say(console, f"the trials of {source.experiment} inform the sampler, if they fit")
    terminal.say(console, terminal.budgets(spec))
    terminal.say(console, f"the first {len(found.suggestions)} of {spec.max_trials} trials:")
    for trial in found.suggestions:
        terminal.say(console, terminal.suggestion(spec, trial))
    return 0


def _experiment(path: Path) -> Experiment:
    """Read an experiment that can run here."""
    experiment = yaml_files.read_experiment(path)
    if faults := samplers.lacking(experiment.spec):
        raise InvalidExperiment(faults)
    return experiment


def _status(arguments: argparse.Namespace, console: Console) -> int:
    experiment, found = _results(arguments).look()
    terminal.show_status(console, experiment, found)
    return 0


def _report(arguments: argparse.Namespace, console: Console) -> int:
    _require("report")
    results = _results(arguments)
    experiment, found = results.look()
    output: Path = arguments.output or results.report
    _write_report(experiment, found, results.trials(), output)
    terminal.say(console, str(output))
    return 0


def _export(arguments: argparse.Namespace, console: Console) -> int:
    _results(arguments).export(arguments.trial, arguments.folder)
    terminal.say(
        console, f"{arguments.folder}: AutoModelForQuestionAnswering.from_pretrained loads it"
    )
    return 0


def _results(arguments: argparse.Namespace) -> Results:
    """Return the results of the experiment that is meant: this machine's, or else a cluster's."""
    place: Path = arguments.workspace
    name, known = arguments.experiment, local.known(place)
    options = (arguments.kubeconfig, arguments.context, arguments.namespace)
    if not arguments.cluster and not any(options):
        if known and name in (None, *known):
            return known[name or list(known)[-1]]
        called = f"no experiment {name!r}" if name else "no experiment"
        here = f"there is {called} in {place.resolve()}; known are {list(known)}"
        if name is None or not _has_kubeconfig():
            raise NotFound(f"{here}. {ON_A_CLUSTER}")
        print(f"{here}; looking on the cluster", file=sys.stderr)
    from distillery_operator.cluster.kubeconfig import Access
    from distillery_operator.results import (
        cluster,  # needs kubernetes, which takes a second to load
    )

    return cluster.Results(Access(*options), name)


def _has_kubeconfig() -> bool:
    paths = os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)
    return any(Path(path).expanduser().is_file() for path in paths)


def _write_report(
    experiment: Experiment, found: Status, trials: tuple[Trial, ...], path: Path
) -> None:
    from distillery_operator.report import page  # needs the extra, and takes its time to import

    shares = importance.importances(experiment.spec, trials)
    path.write_text(page.render(experiment, found, trials, shares), encoding="utf-8")


def _require(extra: str) -> None:
    if lack := _lack(extra):
        raise MissingExtra(lack)


def _lack(extra: str) -> str:
    """Say what has to be installed before an extra can be used; nothing if it is there."""
    package = EXTRAS[extra]
    if importlib.util.find_spec(package):
        return ""
    return f"it needs {package}, which pip install 'distillery-operator[{extra}]' brings"


if __name__ == "__main__":
    sys.exit(main())
