"""EDGE: attempts as subprocesses of this machine. Called by the command line.

Each attempt has a folder with its request, log, pid, exit code and final exposition. A lock on a
file in it is held by the process itself for as long as it lives, handed over at its start: so no
second process starts for an attempt, and a new `distillery run` after a `kill -9` knows which of
the old one's trainings still live.
"""

import fcntl
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Final

from distillery_contract import wire
from distillery_contract.request import Request, Stage
from distillery_operator.engine import requests
from distillery_operator.engine.actions import Launch
from distillery_operator.engine.reasons import FOREIGN, SILENT
from distillery_operator.errors import InUse
from distillery_operator.local import processes
from distillery_operator.local.fork_server import ForkServer
from distillery_operator.resource.experiment import Experiment
from distillery_operator.trials import provenance
from distillery_operator.trials.attempt import Attempt, AttemptKey, Phase, Removal
from distillery_operator.trials.provenance import UNKNOWN, Provenance, Trainer

ATTEMPT: Final = re.compile("(prepare|trials/[0-9]{5,}(/test|/confirm)?)/attempt-[0-9]{3,}")
"""Folder of an attempt, below the results."""

PLACES: Final = (
    *("prepare/attempt-*", "trials/*/attempt-*"),
    *("trials/*/test/attempt-*", "trials/*/confirm/attempt-*"),
)
"""Where they are looked for."""

ASIDE: Final = (Stage.TEST, Stage.CONFIRM)
"""Stages of a trial whose attempts have a folder of their own in that of the trial."""

TRAINER: Final = (sys.executable, "-m", "distillery_trainer")
FORK_SERVER: Final = (sys.executable, "-m", "distillery_trainer.fork_server")
"""Starts the same trainer, without its imports."""

LAST_SECONDS: Final = 5.0
"""Time that the attendant has to end after its last words; it takes milliseconds."""

OOM: Final = (
    "the kernel killed the training for lack of memory; lower parallelism or the batch size if many"
    " trials end so"
)


class Runner:
    """Runs the attempts of one experiment below a workspace."""

    def __init__(
        self,
        workspace: Path,
        experiment: Experiment,
        trainer: Sequence[str] = TRAINER,
        fork_server: Sequence[str] | None = None,
    ) -> None:
        """Look after the attempts of an experiment.

        Args:
            workspace: working directory of the trainers.
            experiment: whose attempts.
            trainer: command line of a program that speaks the contract.
            fork_server: command line of a fork server of the same trainer, for all but prepare.
        """
        self._trainer = trainer
        self._workspace = workspace.resolve()
        self._experiment = experiment
        self._results = self._workspace / requests.results(experiment)
        self._ended: dict[Path, Attempt] = {}
        self._children: dict[Path, subprocess.Popen[bytes]] = {}
        self._devices: dict[Path, str] = {}
        self._removed: list[Removal] = []
        self._forks = fork_server and ForkServer(
            fork_server,
            self._workspace,
            self._shared(Stage.TRAIN),
            self._results / "fork-server.log",
        )

    @property
    def gpus(self) -> float:
        """How many GPUs each attempt gets: one, or a share of one if there are too few."""
        return min(1.0, len(_devices()) / self._experiment.spec.parallelism)

    @property
    def upcoming(self) -> Provenance:
        """What is known of the trainer that the next attempt gets: the releases that it has."""
        return Provenance(trainer=_installed()) if self._trainer == TRAINER else UNKNOWN

    async def look_for(self, begun: Mapping[str, AttemptKey]) -> None:
        """Do nothing: what is in a folder is listed at once."""

    async def list(self) -> Sequence[Attempt]:
        """Return every attempt of the experiment, live or ended, that was not released."""
        self._children = {f: child for f, child in self._children.items() if child.poll() is None}
        folders = [folder for pattern in PLACES for folder in self._found(pattern)]
        listed = (f for f in sorted(folders) if not (f / "released").exists())
        return [self._attempt(folder) for folder in listed]

    async def start(self, launch: Launch, request: Request) -> None:
        """Start an attempt; one that exists already stays as it is."""
        folder = self._folder(launch.stage, launch.trial, launch.number)
        self._make_room(folder, requests.digest(request))
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder) as lock:
            if lock is None or (folder / "exit").exists():
                return
            (folder / "digest").write_text(requests.digest(request), encoding="utf-8")
            (folder / "identity").write_text(secrets.token_hex(8), encoding="utf-8")
            document = request.to_json()
            (folder / "request.json").write_text(document, encoding="utf-8")
            self._devices[folder] = self._device()
            own = self._own(folder, document)
            if self._forks and launch.stage is not Stage.PREPARE:
                self._forks.start(folder, own, lock)
                return
            self._children[folder] = subprocess.Popen(
                processes.command(self._workspace, self._trainer),
                cwd=folder,
                env=self._shared(launch.stage) | own,
                stdin=subprocess.DEVNULL,
                pass_fds=[lock],
                start_new_session=True,
            )

    async def stop(self, attempt: Attempt, reason: str) -> None:
        """Ask an attempt to write a checkpoint and end; asking again changes nothing.

        What has not ended after a grace is killed when attempts are listed.
        """
        folder = self._folder(attempt.stage, attempt.trial, attempt.number)
        if (folder / "halted").exists():
            return
        if pid := _pid(folder):
            processes.ask_to_end(pid)
            (folder / "halted").write_text(reason, encoding="utf-8")

    def kill(self) -> None:
        """Kill all trainings at once; they resume from the checkpoints that they have."""
        for folder in (folder for pattern in PLACES for folder in self._found(pattern)):
            if folder not in self._ended and (pid := _pid(folder)):
                (folder / "halted").touch()
                processes.kill(pid)

    def leave(self) -> None:
        """Let go of what starts trainings; those that run go on."""
        if self._forks:
            self._forks.end()

    async def expire(self, attempt: Attempt) -> None:
        """Do nothing: here nothing waits for a machine."""

    async def close(self, attempt: Attempt) -> None:
        """Do nothing: what outlives a trainer is ended with it."""

    async def discard(self, attempt: Attempt) -> None:
        """Stop an attempt that is not of the study's trials; then put all of its trial aside."""
        if attempt.live:
            await self.stop(attempt, FOREIGN)
            return
        self._put_aside(self._folder(attempt.stage, attempt.trial, attempt.number).parent)

    def _put_aside(self, folder: Path) -> None:
        """Move the folder of a trial away, checkpoints and all, to where nobody looks for it."""
        if not folder.exists():
            return
        aside = self._results / "discarded"
        aside.mkdir(exist_ok=True)
        number = sum(1 for _ in aside.glob(f"{folder.name}-*")) + 1
        folder.rename(aside / f"{folder.name}-{number}")
        self._ended = {p: a for p, a in self._ended.items() if folder not in p.parents}

    def _make_room(self, folder: Path, digest: str) -> None:
        """Clear the place of an attempt that a study has forgotten: it was restored, or is another.

        What the same suggestion left is gone on from; what another one left is put aside.
        """
        if not (folder / "released").exists():
            return
        if _text(folder / "digest") in (None, digest):
            shutil.rmtree(folder)
            self._ended.pop(folder, None)
        else:
            self._put_aside(folder.parent)

    async def release(self, attempt: Attempt) -> None:
        """Stop listing an attempt that has ended."""
        (self._folder(attempt.stage, attempt.trial, attempt.number) / "released").touch()

    async def free(self, attempt: Attempt) -> None:
        """Do nothing: what a process left lies in a file."""

    async def collect(self, trials: Sequence[int], runs: Sequence[tuple[int, int]] = ()) -> None:
        """Remove models and checkpoints: of trials, and of confirmations."""
        for folder in requests.disposable(self._experiment, trials, runs):
            shutil.rmtree(self._workspace / folder, ignore_errors=True)
        done = Attempt(Stage.COLLECT, 0, 1, Phase.ENDED, exit_code=int(wire.Exit.OK))
        self._removed.append(Removal(tuple(trials), done, tuple(runs)))

    async def forget(self, removal: Removal) -> None:
        """Forget a removal; it has ended."""
        self._removed.remove(removal)

    async def removals(self) -> Sequence[Removal]:
        """Return what this process has removed."""
        return tuple(self._removed)

    def forget_failures(self) -> None:
        """Let the next pass prepare and test again: a person has acted on what the last one said.

        Of trials a failure is stored, and they stay as they are.
        """
        for folder in (*self._found("prepare/attempt-*"), *self._found("trials/*/test/attempt-*")):
            attempt = self._attempt(folder)
            if not attempt.live and attempt.exit_code != wire.Exit.OK:
                shutil.rmtree(folder)
                self._ended.pop(folder, None)

    def _found(self, pattern: str) -> Iterator[Path]:
        """Yield the folders of attempts; a person may keep other files among them."""
        for path in self._results.glob(pattern):
            if ATTEMPT.fullmatch(str(path.relative_to(self._results))) and path.is_dir():
                yield path

    def _folder(self, stage: Stage, trial: int, number: int) -> Path:
        place = self._results / str(stage)
        if stage is not Stage.PREPARE:
            place = self._workspace / requests.output(self._experiment, trial)
        if stage in ASIDE:
            place /= str(stage)
        return place / f"attempt-{number:03d}"

    def _attempt(self, folder: Path) -> Attempt:
        if folder not in self._ended:
            attempt = _inspect(folder)
            if attempt.live:
                asked = _modified(folder / "halted")
                late = asked is not None and time.time() - asked > processes.GRACE_SECONDS
                if late and (pid := _pid(folder)):
                    processes.kill(pid)
                return attempt
            self._ended[folder] = attempt
            if child := self._children.pop(folder, None):
                with suppress(subprocess.TimeoutExpired):
                    child.wait(LAST_SECONDS)
        return self._ended[folder]

    def _shared(self, stage: Stage) -> dict[str, str]:
        """Return the environment of a stage's trainers, each with its share of the cores.

        More threads than cores spin. Libraries read the share while they are imported.
        """
        beside = 1 if stage is Stage.PREPARE else self._experiment.spec.parallelism
        share = max(1, len(os.sched_getaffinity(0)) // beside)
        return {"OMP_NUM_THREADS": str(share), "TOKENIZERS_PARALLELISM": "false", **os.environ}

    def _own(self, folder: Path, document: str) -> dict[str, str]:
        """Return the variables that one attempt has besides those."""
        device = self._devices[folder]
        return {
            **({"CUDA_VISIBLE_DEVICES": device} if device else {}),
            wire.REQUEST: document,
            wire.METRICS_PORT: "0",
            wire.METRICS_PORT_FILE: str(folder / "port"),
            wire.TERMINATION_MESSAGE: str(folder / "termination-message"),
        }

    def _device(self) -> str:
        """Return the GPU that fewest live attempts use; empty on a machine without."""
        used = [d for folder, d in self._devices.items() if _inspect(folder).live]
        return min(_devices(), key=used.count, default="")


def _installed() -> Trainer:
    """Return the releases of this machine's trainer, as that says them, without importing it."""
    try:
        return Trainer(
            version=metadata.version("distillery-trainer"),
            torch=metadata.version("torch").partition("+")[0],
            transformers=metadata.version("transformers"),
        )
    except metadata.PackageNotFoundError:  # a system's torch has no metadata
        return provenance.SILENT


def _devices() -> Sequence[str]:
    """Return the GPUs of this machine that may be used."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [device for device in given.split(",") if device]
    return sorted(path.name[6:] for path in Path("/dev").glob("nvidia[0-9]*"))


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold an experiment's results for this process.

    Raises:
        InUse: another process holds them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder) as lock:
        if lock is None:
            raise InUse(f"another `distillery run` works on {folder}; wait for it or stop it")
        yield


def in_use(folder: Path) -> bool:
    """Tell whether a process holds an experiment's results."""
    if not (folder / "lock").exists():
        return False
    with _locked(folder) as lock:
        return lock is None


@contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """Take the lock of a folder; yield its file descriptor, or None if another process holds it."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield None
    else:
        yield descriptor
    finally:
        os.close(descriptor)


def _lives(folder: Path) -> bool:
    """Tell whether the trainer of an attempt lives; what it left behind may hold the lock too."""
    with _locked(folder) as lock:
        if lock is not None or (folder / "exit").exists():
            return False
    pid = _text(folder / "pid")
    return pid is None or processes.exists(int(pid))


def _pid(folder: Path) -> int | None:
    """Return the process group of an attempt that lives: only then its pid is its own."""
    if not (folder / "pid").exists() or not _lives(folder):
        return None
    return int((folder / "pid").read_text())


def _whose(folder: Path) -> tuple[Stage, int]:
    """Return the stage and the trial of an attempt's folder."""
    if folder.parent.name == Stage.PREPARE:
        return Stage.PREPARE, 0
    if folder.parent.name in ASIDE:
        return Stage(folder.parent.name), int(folder.parent.parent.name)
    return Stage.TRAIN, int(folder.parent.name)


def _inspect(folder: Path) -> Attempt:
    """Read the state of an attempt from its folder."""
    stage, trial = _whose(folder)
    live = _lives(folder)
    started, ended = _modified(folder / "request.json"), _modified(folder / "exit")
    if not live and ended is None:  # nobody saw it end: the machine went down, maybe at once
        ended = _modified(folder / "log.txt") or started
    port, code = _text(folder / "port"), (_text(folder / "exit") or "").strip()
    ended_by_kernel = not live and (folder / "oom").exists()
    if ended_by_kernel:
        code = str(int(wire.Exit.OUT_OF_MEMORY))
    last = OOM if ended_by_kernel else _last_line(folder / "log.txt")
    return Attempt(
        stage=stage,
        trial=trial,
        number=int(folder.name.removeprefix("attempt-")),
        phase=Phase.RUNNING if live else Phase.ENDED,
        exit_code=int(code) if code.isdecimal() and not live else None,
        halted=(folder / "halted").exists(),
        silent=_text(folder / "halted") == SILENT,
        started=started,
        ended=None if live else ended,
        reason="OOMKilled" if ended_by_kernel else "",
        message="" if live else last,
        metrics_url=f"http://127.0.0.1:{port}/metrics" if live and port else None,
        termination_message=_text(folder / "termination-message"),
        digest=_text(folder / "digest") or "",
        identity=_text(folder / "identity") or "",
    )


def _modified(path: Path) -> float | None:
    return path.stat().st_mtime if path.exists() else None


def _text(path: Path) -> str | None:
    return (
        path.read_text(encoding="utf-8", errors="replace").strip("\0 ") if path.exists() else None
    )


def _last_line(path: Path) -> str:
    """Return the last line of a log, which of a crash is the exception's."""
    lines = (_text(path) or "").strip().splitlines()
    return lines[-1][:512] if lines else ""
