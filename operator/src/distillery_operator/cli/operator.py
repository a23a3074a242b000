"""``distillery operator``: the process that watches a cluster's experiments and runs them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from distillery_operator.cli import options
from distillery_operator.cli.exit_codes import Exit

IDENTITY: Final = "[a-z0-9][-a-z0-9.]*(/[a-z0-9][-a-z0-9.]*)?"
IDENTITY_LENGTH: Final = 117
"""Characters of a namespace, a slash and the name of a release of Helm."""
LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("text", "json")


def _place(_: click.Context, __: click.Parameter, text: str) -> Sequence[str] | None:
    if not text:
        return None
    if not re.fullmatch(r"[a-z0-9-]+/[a-z0-9.-]+", text):
        raise click.BadParameter(f"must be NAMESPACE/NAME, but got {text!r}")
    return text.split("/")


def _service(_: click.Context, __: click.Parameter, text: str) -> str:
    if text and not re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+:[a-z0-9-]+", text):
        raise click.BadParameter(f"must be NAMESPACE/NAME:PORT, but got {text!r}")
    return text


def _identity(_: click.Context, __: click.Parameter, text: str) -> str:
    if len(text) > IDENTITY_LENGTH or not re.fullmatch(IDENTITY, text):
        raise click.BadParameter(
            f"must be NAMESPACE/NAME or a name, of at most {IDENTITY_LENGTH} lower-case letters,"
            f" digits, dots and dashes, but got {text!r}"
        )
    return text


def _private(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch(r"[a-z0-9-]+/[a-z0-9.-]+", name):
            raise click.BadParameter(f"must be NAMESPACE/NAME, but got {name!r}")
    return names


@click.command("operator")
@click.option(
    "--namespace",
    multiple=True,
    help="namespace to watch; may be repeated (default: the whole cluster)",
)
@click.option(
    "--namespace-selector",
    default="",
    metavar="LABELS",
    help="labels of the namespaces to watch, as kubectl takes them; whoever may list namespaces may"
    " use this instead of --namespace",
)
@click.option(
    "--identity",
    callback=_identity,
    default="distillery",
    metavar="NAMESPACE/NAME",
    help="name of this operator among those of the cluster; an experiment belongs to the first one"
    " that sees it, and the others leave it alone (default: distillery)",
)
@click.option("--trainer-image", required=True, help="image of the trials")
@click.option(
    "--workspace-claim",
    default="",
    help="PersistentVolumeClaim of the trials' workspace, for templates without a volume named"
    " workspace",
)
@click.option(
    "--queue-name",
    default="",
    help="queue of Kueue in which trials wait, unless their template has a label for another",
)
@click.option(
    "--service-account",
    multiple=True,
    help="service account that a template may name; may be repeated (default: none but the"
    " namespace's default)",
)
@click.option(
    "--template",
    default="",
    metavar="JSON",
    help="PodTemplateSpec below the template of every experiment, which has the last word",
)
@click.option(
    "--private",
    multiple=True,
    callback=_private,
    metavar="NAMESPACE/NAME",
    help="Secret or PersistentVolumeClaim of the operator that no template may name; may be"
    " repeated",
)
@click.option(
    "--allow-credentials",
    is_flag=True,
    help="let templates ask for API tokens and name what --private names",
)
@click.option(
    "--prometheus-url",
    default="",
    help="Prometheus server that scrapes the trials; asked for the final metrics of lost pods",
)
@click.option(
    "--namespace-parallelism",
    type=click.IntRange(1),
    metavar="NUMBER",
    help="attempts of all experiments of a namespace together at a time (default: no cap)",
)
@click.option(
    "--namespace-trials",
    type=click.IntRange(1),
    metavar="NUMBER",
    help="trials of all experiments of a namespace together (default: no cap)",
)
@click.option(
    "--namespace-gpu-hours",
    type=click.FloatRange(0, min_open=True),
    metavar="HOURS",
    help="GPU-hours of all experiments of a namespace together (default: no cap)",
)
@click.option(
    "--scrape-seconds",
    type=options.Seconds(),
    default=15.0,
    help="time between two scrapes of a trial (default: 15)",
)
@click.option(
    "--job-retention-seconds",
    type=click.IntRange(0),
    metavar="SECONDS",
    default=24 * 3600,
    help="how long a Job stays after the result of its trial is stored (default: one day)",
)
@click.option(
    "--trials-service",
    callback=_service,
    default="",
    metavar="NAMESPACE/NAME:PORT",
    help="Service that leads to the operator's trials port; with it, whoever may read an"
    " experiment may read its trials through the API server; `distillery report` does this",
)
@click.option(
    "--trials-port",
    type=options.PORT,
    metavar="PORT",
    default=8001,
    help="port of the trials (default: 8001)",
)
@click.option(
    "--lease",
    callback=_place,
    default="",
    metavar="NAMESPACE/NAME",
    help="Lease that one operator at a time holds while it works, and the others stand by"
    " (default: none, for there is no other)",
)
@click.option(
    "--metrics-port",
    type=options.PORT,
    metavar="PORT",
    default=8000,
    help="port of /metrics (default: 8000)",
)
@click.option(
    "--metrics-tls",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="folder with tls.crt and tls.key, with which /metrics is served (default: plain HTTP)",
)
@click.option(
    "--metrics-client-certificates",
    is_flag=True,
    help="serve /metrics only to clients with a certificate by ca.crt of that folder",
)
@click.option(
    "--ended-series-days",
    type=click.FloatRange(1),
    metavar="DAYS",
    default=30.0,
    help="how long the metrics of an experiment are shown after its end (default: 30)",
)
@click.option(
    "--health-port",
    type=options.PORT,
    metavar="PORT",
    default=8080,
    help="port of /healthz and /readyz (default: 8080)",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    help="what the log begins with: debug, info, warning or error (default: info)",
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    help="lines of the log: text, or json with the fields ts, level, logger, message, namespace,"
    " experiment, reason and exception (default: text)",
)
def command(**given: Any) -> Exit:
    """Watch a cluster's experiments and run them.

    The environment variable DISTILLERY_DATABASE_URL has the URL of the studies' database, or
    DISTILLERY_DATABASE_URL_FILE names a file that has it, whose password may change meanwhile. If
    anything but a signal ends this process, its exit code is not 0, so Kubernetes restarts it.
    """
    import uvloop
    from threadpoolctl import threadpool_limits

    from distillery_operator.cli import log_lines
    from distillery_operator.cluster import default_template
    from distillery_operator.cluster.kinds import Key
    from distillery_operator.cluster.pod_template import Defaults
    from distillery_operator.controller import process
    from distillery_operator.controller.settings import Settings
    from distillery_operator.trials.caps import Cap, Caps

    log_lines.configure(given["log_level"], given["log_format"])
    if given["metrics_client_certificates"] and not given["metrics_tls"]:
        raise click.UsageError("--metrics-client-certificates needs --metrics-tls")
    if given["namespace"] and given["namespace_selector"]:
        raise click.UsageError("--namespace and --namespace-selector exclude each other")
    options.database()  # it is read again for each connection, for a password may change
    options.free(given["metrics_port"], given["health_port"], given["trials_port"])
    settings = Settings(
        defaults=Defaults(
            image=given["trainer_image"],
            claim=given["workspace_claim"],
            retention_seconds=given["job_retention_seconds"],
            queue=given["queue_name"],
            accounts=given["service_account"],
            private=given["private"],
            credentials=given["allow_credentials"],
            template=default_template.read(given["template"]),
        ),
        identity=given["identity"],
        scrape_seconds=given["scrape_seconds"],
        trials_service=given["trials_service"],
        ended_series_days=given["ended_series_days"],
        caps=Caps(
            *(
                Cap() if given[f"namespace_{what}"] is None else Cap(given[f"namespace_{what}"])
                for what in ("parallelism", "trials", "gpu_hours")
            )
        ),
    )
    running = process.run(
        settings,
        database_url=options.database,
        prometheus_url=given["prometheus_url"],
        namespaces=given["namespace"],
        namespace_selector=given["namespace_selector"],
        lease_place=given["lease"] and Key(*given["lease"]),
        metrics_port=given["metrics_port"],
        metrics_tls=given["metrics_tls"],
        metrics_clients=given["metrics_client_certificates"],
        health_port=given["health_port"],
        trials_port=given["trials_port"],
    )
    try:
        with threadpool_limits(1, user_api="blas"):  # the matrices of decisions are small
            uvloop.run(running)
    except OSError as error:  # a fault here, and not a word about a file that a person has named
        raise RuntimeError("the operator has ended") from error
    return Exit.DONE
