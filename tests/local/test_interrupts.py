"""`distillery run` as a process of its own, with signals as a terminal sends them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distillery_operator.resource import yaml_files
from support import ports, worlds

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("deaf", "w").close()
time.sleep(600)
"""


@pytest.mark.long
def test_a_second_interrupt_ends_a_training_that_does_not_hear_the_first(tmp_path: Path) -> None:
    (tmp_path / "deaf.py").write_text(DEAF, encoding="utf-8")
    text = yaml_files.dump(worlds.document())
    (tmp_path / "experiment.yaml").write_text(text, encoding="utf-8")
    trainer = f"{sys.executable} {tmp_path / 'deaf.py'}"
    command = [sys.executable, "-m", "distillery_operator", "--trainer", trainer, "run"]
    with subprocess.Popen(
        [*command, "experiment.yaml"], cwd=tmp_path, stdout=subprocess.PIPE
    ) as search:
        ports.until((tmp_path / "deaf").exists)
        halted = tmp_path / "experiments" / "tiny" / "prepare" / "attempt-001" / "halted"
        search.send_signal(signal.SIGINT)
        ports.until(halted.exists)
        time.sleep(1.0)
        assert search.poll() is None  # the training has its grace
        search.send_signal(signal.SIGINT)
        said, _ = search.communicate(timeout=60)
    assert search.returncode == 130, said
