"""EDGE: every experiment of a database as a study of one Optuna storage that only reads.

Each experiment has a schema of its own, in which its study has the number 1; optuna-dashboard knows
one storage and tells studies by their numbers. Here a number follows from the experiment's uid, so
that an address of the dashboard means the same experiment for ever.
"""

import functools
import threading
import time
import uuid
from collections.abc import Container
from typing import Any, Final, NoReturn

from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from distillery_operator.internals import of_optuna
from distillery_operator.internals.of_optuna import CONSTRAINTS, METRIC_NAMES, FrozenStudy
from distillery_operator.study import specs
from distillery_operator.study.database import Database

LIST_SECONDS: Final = 10.0
"""Time that a list of experiments is reused: the dashboard asks for one with every request."""

OPEN: Final = 64
"""Experiments whose tables are open at once."""


class ReadOnly(Exception):
    """A study cannot be changed by way of the gallery."""


class Gallery(BaseStorage):
    """All experiments as studies; their numbers are the first 48 bits of the uids."""

    def __init__(self, database: Database) -> None:
        """Show the experiments of a PostgreSQL database that its user may read."""
        self._database = database
        self._lock = threading.Lock()
        self._studies: dict[int, tuple[str, FrozenStudy]] = {}
        self._listed = float("-inf")
        self._open = functools.lru_cache(OPEN)(database.reader)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return the studies, with the objectives' names."""
        return [study for _, study in self._list().values()]

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the number of a study."""
        for number, (_, study) in self._list().items():
            if study.study_name == study_name:
                return number
        raise KeyError(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return the name of a study: that of the experiment and the beginning of its uid."""
        return self._study(study_id).study_name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return which way each objective improves."""
        return self._study(study_id).directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what Distillery stores with a study."""
        return self._study(study_id).user_attrs

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what Optuna stores with a study."""
        return self._study(study_id).system_attrs

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials of a study, their constraints where the dashboard looks for them."""
        uid, _ = self._find(study_id)
        storage = self._open(uid)
        study = _own(storage)
        if study is None:  # it was there when the studies were listed
            raise KeyError(study_id)
        number = of_optuna.study_number(study)
        trials = storage.get_all_trials(number, deepcopy=deepcopy, states=states)
        for trial in trials:
            violations = [
                value
                for key, value in trial.system_attrs.items()
                if key.startswith(f"{CONSTRAINTS}:")
            ]
            if violations:
                trial.system_attrs[CONSTRAINTS] = violations
        return trials

    def get_trial(self, trial_id: int) -> NoReturn:
        """Refuse: the trials of different experiments have the same identifiers."""
        raise KeyError(trial_id)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise ReadOnly("studies are changed by their operator alone")

    create_new_study = delete_study = _refuse
    set_study_user_attr = set_study_system_attr = _refuse
    create_new_trial = set_trial_param = set_trial_state_values = _refuse
    set_trial_intermediate_value = set_trial_user_attr = set_trial_system_attr = _refuse

    def _study(self, study_id: int) -> FrozenStudy:
        return self._find(study_id)[1]

    def _find(self, study_id: int) -> tuple[str, FrozenStudy]:
        return self._list()[study_id]

    def _list(self) -> dict[int, tuple[str, FrozenStudy]]:
        with self._lock:
            if time.monotonic() - self._listed > LIST_SECONDS:
                known = {uid: study for uid, study in self._studies.values() if _complete(study)}
                uids = self._database.readable()
                found = ((uid, known.get(uid) or self._frozen(uid)) for uid in uids)
                self._studies = {_number(uid): (uid, study) for uid, study in found if study}
                self._listed = time.monotonic()
            return self._studies

    def _frozen(self, uid: str) -> FrozenStudy | None:
        """Return an experiment's study; None while its tables are being made."""
        study = _own(self._open(uid))
        if study is None:
            return None
        objectives = study.user_attrs.get("space", {}).get("objectives", [])
        names = {METRIC_NAMES: [objective["metric"] for objective in objectives]}
        return of_optuna.study(
            study,
            number=_number(uid),
            name=f"{study.study_name}-{uid[:8]}",
            system_attrs={**study.system_attrs, **names},
        )


def _number(uid: str) -> int:
    """Return the number of an experiment's study."""
    return uuid.UUID(uid).int >> 80


def _complete(study: FrozenStudy) -> bool:
    """Tell whether a study has all that is worth showing, so that it need not be read again."""
    return "preparation" in study.user_attrs


def _own(storage: RDBStorage) -> FrozenStudy | None:
    """Return the study of the experiment; a tool may have made others beside it."""
    return next((s for s in storage.get_all_studies() if specs.SPACE in s.user_attrs), None)
