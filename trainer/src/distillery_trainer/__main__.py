"""``python -m distillery_trainer``: takes a request from the environment, ends with an exit code.

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


def main() -> Exit:
    """Run one process of a trainer and return its exit code; a crash raises."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    stop = Stop()
    stop.install()
    told = Telemetry(os.environ.get(wire.TERMINATION_MESSAGE, wire.DEFAULT_TERMINATION_MESSAGE))
    reason, message = Reason.CRASHED, "the trainer was ended by an error of its own"
    try:
        code, message = _attempt(told, stop)
        reason = wire.REASON_OF_EXIT[code]
        log.log(logging.ERROR if code else logging.INFO, "%s: %s", reason.value, message)
        return code
    finally:
        if error := sys.exception():
            message = f"{type(error).__name__}: {error}"
        told.outcome(reason, message)
        told.leave()


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
            if request.stage is Stage.COLLECT:
                return Exit.OK, collect.collect(request)
            # torch takes seconds to import. Before that a bad request has to be answered, and
            # signals to be received.
            from distillery_trainer import stages

            return stages.run(request, told, stop)
        finally:
            server.close()
    except RequestError as error:
        for fault in error.faults:
            log.error("bad request: %s", fault)
        return Exit.BAD_REQUEST, str(error)
    except StoppedError as error:
        return Exit.INTERRUPTED, str(error)


if __name__ == "__main__":
    sys.exit(main())
