"""One process of a trainer, from its request to its exit code. ``__main__`` calls it.

It serves ``/metrics`` while it runs, and leaves a final exposition however it ends. The names of
both, and of the exit codes, are in :mod:`distillery_contract.wire`.
"""

import logging
import os
import sys

from distillery_contract import wire
from distillery_contract.request import Request, RequestError, Stage
from distillery_contract.wire import Exit, Reason
from distillery_trainer import collect
from distillery_trainer.reporting.server import Server
from distillery_trainer.reporting.telemetry import Telemetry
from distillery_trainer.stop import Stop, StoppedError

log = logging.getLogger("distillery_trainer")


def run(stop: Stop) -> Exit:
    """Do what the request asks for and return the exit code; a crash raises.

    Args:
        stop: installed, so that a signal that has come already counts.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    told = Telemetry(os.environ.get(wire.TERMINATION_MESSAGE, wire.DEFAULT_TERMINATION_MESSAGE))
    reason, message = Reason.CRASHED, "the trainer was ended by an error of its own"
    try:
        code, message = _stoppable(told, stop)
        reason = wire.REASON_OF_EXIT[code]
        log.log(logging.ERROR if code else logging.INFO, "%s: %s", reason.value, message)
        return code
    finally:
        if error := sys.exception():
            message = f"{type(error).__name__}: {error}"
        told.outcome(reason, message)
        told.leave()


def _stoppable(told: Telemetry, stop: Stop) -> tuple[Exit, str]:
    """Run the attempt. What fails after a signal fails because of the signal.

    Libraries turn the error of a signal into errors of their own, or clean up in vain after it.
    """
    try:
        code, message = _attempt(told, stop)
    except StoppedError as error:
        return Exit.INTERRUPTED, str(error)
    except Exception as error:
        if not stop.requested:
            raise
        log.warning("after a signal:", exc_info=error)
        return Exit.INTERRUPTED, f"stopped by a signal: {type(error).__name__}: {error}"
    if code is Exit.BAD_DATA and stop.requested:
        return Exit.INTERRUPTED, f"stopped by a signal: {message}"
    return code, message


def _attempt(told: Telemetry, stop: Stop) -> tuple[Exit, str]:
    try:
        request = Request.from_json(os.environ.get(wire.REQUEST, ""))
        port = int(os.environ.get(wire.METRICS_PORT, wire.DEFAULT_METRICS_PORT))
        server = Server(told, port, os.environ.get(wire.METRICS_PORT_FILE))
        try:
            log.info(
                "%s: %s, trial %d, attempt %d",
                request.experiment,
                request.stage.value,
                request.trial,
                request.attempt,
            )
            with stop.heeded():
                if request.stage is Stage.COLLECT:
                    return Exit.OK, collect.collect(request)
                # torch takes seconds to import. Before that a bad request has to be answered.
                from distillery_trainer import stages

                return stages.run(request, told, stop)
        finally:
            server.close()
    except RequestError as error:
        for fault in error.faults:
            log.error("bad request: %s", fault)
        return Exit.BAD_REQUEST, str(error)
