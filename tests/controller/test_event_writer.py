from distillery_operator.controller import event_writer


def test_routine_events_are_a_burst_and_then_a_trickle() -> None:
    allowance = event_writer.Allowance()
    assert sum(allowance.take(0.0) for _ in range(100)) == event_writer.BURST
    assert [allowance.take(t) for t in (29.0, 30.0, 31.0, 60.0)] == [False, True, False, True]
    assert sum(allowance.take(1e6) for _ in range(100)) == event_writer.BURST
