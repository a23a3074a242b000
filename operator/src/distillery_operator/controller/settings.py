"""How the operator was started; ``cli.operator`` has the options and their defaults."""

from dataclasses import dataclass

from distillery_operator.cluster import pod_template
from distillery_operator.trials.caps import NONE, Caps


@dataclass(frozen=True)
class Settings:
    """How the operator was started.

    Attributes:
        defaults: what a pod template need not say.
        identity: of this operator among others of the cluster; its pods share it.
        scrape_seconds: between two scrapes of one trial.
        trials_service: that leads to where this operator serves trials, as ``namespace/name:port``;
            empty for none.
        ended_series_days: how long the metrics of an experiment stay after its end.
        caps: of each namespace.
        cluster: what tells the cluster from others; empty where nobody knows.
    """

    defaults: pod_template.Defaults
    identity: str
    scrape_seconds: float
    trials_service: str
    ended_series_days: float
    caps: Caps = NONE
    cluster: str = ""
