"""``distillery run``: search on this machine."""

import asyncio

import click

from distillery_operator.cli import options, report
from distillery_operator.cli.exit_codes import Exit


@click.command("run")
@options.experiment_file
@click.pass_obj
def command(place: options.Place, file: str) -> Exit:
    """Run an experiment. Run the same command again to continue it.

    After Ctrl-C, running trainings write a checkpoint and end. A second Ctrl-C ends them at once.
    """
    from threadpoolctl import threadpool_limits

    from distillery_operator.cli import terminal
    from distillery_operator.engine import requests
    from distillery_operator.errors import InvalidExperiment
    from distillery_operator.local.run import run
    from distillery_operator.local.runner import only_one
    from distillery_operator.search import optuna_samplers

    text, experiment = options.read(file)
    if faults := optuna_samplers.lacking(experiment.spec):
        raise InvalidExperiment(faults)
    console, trainer = terminal.console(), place.find_trainer()
    results = place.workspace / requests.results(experiment)
    if lack := report.lack():
        terminal.say(console, f"no report will be written: {lack}")
    # Matrices here are small: a second thread of BLAS takes the trainings' time and gives none.
    with only_one(results), threadpool_limits(1, user_api="blas"):
        view = terminal.View(console, experiment)
        try:
            seen, found, interrupted = asyncio.run(
                run(experiment, text, place.workspace, trainer, view.show)
            )
        finally:
            view.close()
        page = results / "report.html"
        if not lack:
            sources = seen.preparation.sources if seen.preparation else {}
            report.write(page, report.render(experiment, found, seen.trials, sources))
    terminal.show_status(console, experiment, found)
    terminal.say(console, f"status: {results / 'status.yaml'}\nreport: {lack or page}")
    if interrupted:
        terminal.say(console, "interrupted; the same command goes on from the checkpoints")
        return Exit.INTERRUPTED
    ended_in_vain = found.completion_time is not None and not found.front
    return Exit.NO_FEASIBLE_TRIAL if ended_in_vain else Exit.DONE
