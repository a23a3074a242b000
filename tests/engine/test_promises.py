"""The promises, on the decisions: what must hold whatever happens, however late it is known."""

from hypothesis import settings

from support.promises import Promises

TestPromises = Promises.TestCase
TestPromises.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
