"""`distillery run` in this process."""

from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from distillery_operator.cli.terminal import View
from support import command_line


def test_a_search_decides_with_one_thread_of_blas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def show(_: View, *__: object) -> None:
        threads.extend(p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas")

    monkeypatch.setattr(View, "show", show)
    monkeypatch.setenv("QUICK_TRAINER_STEP_SECONDS", "0.001")
    with threadpool_limits(2, user_api="blas"):
        command_line.finished(tmp_path / "workspace", monkeypatch)
    assert {*threads} == {1}
