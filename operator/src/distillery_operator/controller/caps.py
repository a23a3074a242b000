"""PURE: what the caps of a namespace leave to one of its experiments.

Nothing is kept for it: Jobs are counted as they are, and the rest stands in the statuses of the
other experiments. So of what begins within the same second a little more than a cap may run.
"""

from dataclasses import replace

from distillery_operator.cluster.cache import Cache
from distillery_operator.cluster.kinds import Key
from distillery_operator.trials.caps import NONE, Caps


def of(key: Key, caps: Caps, cache: Cache) -> Caps:
    """Return the caps with what other experiments of the namespace use of them.

    Args:
        key: names the experiment.
        caps: of each namespace.
        cache: what the watches have shown.
    """
    if caps == NONE:
        return caps
    others = [k for k in cache.experiments if k.namespace == key.namespace and k != key]
    statuses = [cache.experiments[other].get("status") or {} for other in others]
    trials = sum((status.get("trials") or {}).get("total", 0) for status in statuses)
    hours = sum(status.get("gpuHours", 0.0) for status in statuses)
    return Caps(
        replace(caps.parallelism, others=sum(map(cache.live_jobs, others))),
        replace(caps.trials, others=trials),
        replace(caps.gpu_hours, others=hours),
    )
