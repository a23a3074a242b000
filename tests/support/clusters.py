"""What a test of a cluster needs: the parts of one, or a reason to skip."""

import os
from collections.abc import Callable

import pytest

from support.cluster.errors import Missing


def need(provide: Callable[[], None]) -> None:
    """Provide the parts; skip the test where this machine cannot, unless it is CI."""
    try:
        provide()
    except Missing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
