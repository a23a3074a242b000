"""``distillery dashboard``: optuna-dashboard over all experiments of a database."""

import logging

import click

from distillery_operator.cli import options
from distillery_operator.cli.exit_codes import Exit
from distillery_operator.errors import MissingExtra


@click.command("dashboard")
@click.option(
    "--port",
    type=options.PORT,
    metavar="PORT",
    default=8082,
    help="port to serve on (default: 8082)",
)
def command(port: int) -> Exit:
    """Serve optuna-dashboard over the experiments of a database, read-only."""
    if lack := options.lack("dashboard", "optuna_dashboard"):
        raise MissingExtra(lack)
    from distillery_operator.results.optuna_dashboard import app

    options.database()
    options.free(port)
    logging.getLogger().setLevel(logging.INFO)
    app.serve(options.database, port)
    return Exit.DONE
