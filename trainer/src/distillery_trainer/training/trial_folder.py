"""What another request has left in a trial's folder is put aside, and never gone on from.

A study that was restored from a backup gives numbers of trials again, with other hyperparameters.
``train`` calls it.
"""

import logging
from itertools import count
from pathlib import Path
from typing import Final

from distillery_contract.request import Request

log = logging.getLogger(__name__)

RESULTS: Final = ("history.json", "predictions.json", "model", "checkpoints", "test.json")
"""What a training, and the test of its model, write into the trial's folder."""


def put_aside(request: Request) -> None:
    """Move the results in a trial's folder into ``discarded-1`` there, or the next that is free.

    What a killed process has left where it was is moved by the next one.
    """
    folder = Path(request.output)
    places = (folder / f"discarded-{number}" for number in count(1))
    aside = next(place for place in places if not place.exists())
    aside.mkdir()
    log.warning("%s has results of another request; they are put aside in %s", folder, aside)
    for name in RESULTS:
        if (folder / name).exists():
            (folder / name).rename(aside / name)
