"""Reports metrics of trials to Katib's DB manager: a line in for each trial, a line out when done.

That is what a training does that Katib's collector `Push` collects from. :mod:`katib.theirs` starts
it, as `report.py ADDRESS`, in the environment of Katib's Python, which has Katib's sources.
"""

import json
import sys
from datetime import UTC, datetime

import api_pb2 as api  # type: ignore[import-not-found]  # Katib's own
import api_pb2_grpc as services  # type: ignore[import-not-found]
import grpc  # type: ignore[import-untyped]  # of that environment


def main() -> None:
    """Report until the input ends."""
    manager = services.DBManagerStub(grpc.insecure_channel(sys.argv[1]))
    for line in sys.stdin:
        told = json.loads(line)
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        logs = [
            api.MetricLog(time_stamp=stamp, metric=api.Metric(name=name, value=repr(value)))
            for name, value in told["metrics"].items()
        ]
        observed = api.ObservationLog(metric_logs=logs)
        request = api.ReportObservationLogRequest(
            trial_name=told["trial"], observation_log=observed
        )
        manager.ReportObservationLog(request, timeout=30, wait_for_ready=True)
        print(told["trial"], flush=True)


if __name__ == "__main__":
    main()
