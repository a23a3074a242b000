"""What the controller keeps of an experiment from one visit to the next."""

from collections.abc import Sequence
from dataclasses import dataclass

from distillery_operator.cluster.runner import Runner
from distillery_operator.engine.actions import Action, Collect
from distillery_operator.engine.conditions import Finding
from distillery_operator.engine.visit import Visitor
from distillery_operator.measurements.reports import Measurements
from distillery_operator.resource.experiment import Experiment
from distillery_operator.resource.status import ConditionType, Status
from distillery_operator.study.study import Study


@dataclass
class Session:
    """An experiment that is being worked on."""

    experiment: Experiment
    runner: Runner
    study: Study
    visitor: Visitor
    measurements: Measurements
    status: Status | None
    written: float = 0.0
    refusal: str = ""
    pause: float = 1.0  # before a template that was refused is tried again, in seconds
    checked: int = 0  # the generation
    due: float = 0.0  # when a template that was refused is tried again
    restored: str = ""
    restored_at: float = 0.0  # since the status was written last
    collecting: tuple[int, ...] = ()

    @property
    def obstacle(self) -> str:
        """Why nothing may start; empty if it may."""
        return self.refusal or (str(self.visitor.fault) if self.visitor.fault else "")

    def told(self, action: Action) -> bool:
        """Tell whether an action is known already, for files take a while to go."""
        if not isinstance(action, Collect):
            return False
        before, self.collecting = self.collecting, action.trials
        return before == action.trials

    def follow(self, experiment: Experiment) -> None:
        """Go on with the experiment as it was edited."""
        if experiment is not self.experiment:
            self.experiment = experiment
            self.runner.follow(experiment)


def findings(session: Session, refused: Sequence[str]) -> list[Finding]:
    """Return the conditions that the operator itself finds out.

    Args:
        session: of the experiment.
        refused: what the API server said of the actions that it refused.
    """
    refusal = session.refusal
    valid = Finding(
        ConditionType.TEMPLATE_VALID, "True", "Accepted", "the API server takes the trials' Jobs"
    )
    if refusal:
        valid = Finding(ConditionType.TEMPLATE_VALID, "False", "TemplateRefused", refusal)
    return [
        Finding(ConditionType.ACCEPTED, "True", "Valid", "the experiment keeps every rule"),
        Finding(
            ConditionType.STORAGE_REACHABLE, "True", "Connected", "the study's database answers"
        ),
        valid,
        _accepted(refused),
        *_restored(session.restored),
        *session.visitor.findings(session.experiment),
    ]


def _restored(why: str) -> list[Finding]:
    return [Finding(ConditionType.RESTORED, "True", "Restored", why)] if why else []


def _accepted(refused: Sequence[str]) -> Finding:
    kind = ConditionType.ACTIONS_ACCEPTED
    if refused:
        return Finding(kind, "False", "Refused", f"the API server refuses: {'; '.join(refused)}")
    return Finding(kind, "True", "Accepted", "the API server does what is asked")
