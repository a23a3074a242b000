"""An API server that fails for a while."""

import pytest

from distillery_operator.controller import api_retries, watches
from distillery_operator.errors import ApiUnavailable, Refused
from support import virtual_time


class Failing:
    """A call that the API server answers with 500 some times."""

    def __init__(self, times: int, error: Exception | None = None) -> None:
        self.asked, self._times = 0, times
        self._error = error or ApiUnavailable("the API server answers 500: no leader")

    async def __call__(self) -> None:
        self.asked += 1
        if self.asked <= self._times:
            raise self._error


def test_minutes_of_errors_of_the_api_server_are_waited_out() -> None:
    call = Failing(12)
    virtual_time.run(lambda: api_retries.patiently(call))
    assert call.asked == 13


def test_an_api_server_that_stays_away_and_a_refusal_are_raised() -> None:
    for_good = Failing(1000)
    with pytest.raises(ApiUnavailable):
        virtual_time.run(lambda: api_retries.patiently(for_good))
    assert for_good.asked == len(api_retries.BACKOFFS) + 1
    refused = Failing(1000, Refused("Invalid", "no"))
    with pytest.raises(Refused):
        virtual_time.run(lambda: api_retries.patiently(refused))
    assert refused.asked == 1


def test_an_api_server_that_has_not_read_anybodys_rights_yet_is_asked_again() -> None:
    unread = Refused("Forbidden", "jobs.batch is forbidden: User cannot list resource")
    soon = Failing(api_retries.UNREAD, unread)
    virtual_time.run(lambda: api_retries.patiently(soon))
    never = Failing(1000, unread)
    with pytest.raises(Refused):
        virtual_time.run(lambda: api_retries.patiently(never))
    assert never.asked == api_retries.UNREAD + 1


def test_the_watches_are_as_patient() -> None:
    backoffs = watches._settings(everywhere=True).networking.error_backoffs
    assert backoffs == api_retries.BACKOFFS
    assert sum(api_retries.BACKOFFS) >= 600
