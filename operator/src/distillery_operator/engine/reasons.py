"""PURE: one word for why a trial ended, an attempt was asked to end, or an experiment is over.

The same words stand in conditions, events, logs and metrics. What a trainer says itself is in
:mod:`distillery_contract.wire`, what early stopping says in
:mod:`distillery_operator.stopping.reasons`, what a budget says in
:mod:`distillery_operator.engine.budgets`.
"""

from typing import Final

METRICS_UNAVAILABLE: Final = "MetricsUnavailable"
METRIC_OUT_OF_BOUNDS: Final = "MetricOutOfBounds"
TOO_MANY_INTERRUPTIONS: Final = "TooManyInterruptions"
TIMED_OUT: Final = "TimedOut"

FOREIGN: Final = "ForeignAttempt"
SILENT: Final = "Silent"
SUSPENDED: Final = "Suspended"
TEMPLATE_CHANGED: Final = "TemplateChanged"
FILES_REMAIN: Final = "FilesRemain"
LINGERING: Final = "Lingering"
TRIAL_ENDED: Final = "TrialEnded"
OBSTRUCTED: Final = "Obstructed"
TRAINER_CHANGED: Final = "TrainerChanged"
CAPPED: Final = "Capped"
PROGRAM_FAULT: Final = "ProgramFault"

LEFT_ALONE: Final = "LeftAlone"
TOO_MANY_FAILURES: Final = "TooManyFailures"
CONFIRMATION_ENDED: Final = "ShareSpent"
TEST_FAILED: Final = "TestFailed"
PREPARATION_FAILED: Final = "PreparationFailed"
