"""What nobody owns in a workspace of this machine."""

import asyncio
import fcntl
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from distillery_operator.cli.main import distillery
from distillery_operator.engine.actions import Tell
from distillery_operator.local import pruning, runner
from distillery_operator.study import study
from distillery_operator.trials.attempt import Report
from distillery_operator.trials.trial import State
from distillery_trainer.preparation import pinned
from support import worlds

EXPERIMENT = worlds.experiment()
USED, UNUSED = "a" * 32, "b" * 32


async def search(results: Path, prepared: bool) -> None:
    """Store a study with a trial that failed and one that runs."""
    async with study.in_file(results / "study.db", EXPERIMENT, 1.0) as kept:
        if not prepared:
            return
        await kept.keep(replace(worlds.PREPARATION, key=USED))
        await kept.ask(EXPERIMENT.spec, 2, 2.0)
        failed = Tell(0, State.FAILED, "Crashed", "it crashed", 7.0, Report(""))
        await kept.tell(EXPERIMENT.spec, failed, None, 3.0)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with an experiment, prepared data, and things that nobody owns."""
    results = tmp_path / "experiments/tiny"
    for folder in (
        *(
            "trials/00000/model",
            "trials/00000/checkpoints/step-00000001",
            "trials/00000/attempt-001",
        ),
        *("trials/00001/checkpoints", "trials/00001/discarded-1", "discarded/00002-1"),
    ):
        (results / folder).mkdir(parents=True)
    for key in (USED, UNUSED, "mine"):
        (tmp_path / "cache" / key).mkdir(parents=True)
        (tmp_path / "cache" / key / "data").write_text("12345")
    (tmp_path / f"cache/{UNUSED}.lock").touch()
    asyncio.run(search(results, prepared=True))
    return tmp_path


ALL = [
    f"cache/{UNUSED}",
    "experiments/tiny/discarded/00002-1",
    "experiments/tiny/trials/00000/checkpoints",
    "experiments/tiny/trials/00000/model",
    "experiments/tiny/trials/00001/discarded-1",
]


def prune(workspace: Path, *options: str) -> int:
    arguments = ["--workspace", str(workspace), "prune", *options]
    return int(distillery.main(arguments, standalone_mode=False))


def found(workspace: Path) -> list[str]:
    return sorted(str(u.folder.relative_to(workspace)) for u in pruning.look(workspace)[0])


def test_what_nobody_owns_is_listed_and_stays_until_a_person_says_yes(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found(workspace) == ALL
    assert prune(workspace) == 0
    said = capsys.readouterr().out
    assert all(name in said.replace("\n", "") for name in ALL)
    assert "nothing was removed" in said
    assert found(workspace) == ALL
    assert prune(workspace, "--yes") == 0
    assert found(workspace) == []
    assert not any((workspace / name).exists() for name in ALL)
    for stays in (
        f"cache/{USED}/data",
        "cache/mine/data",
        "experiments/tiny/trials/00001/checkpoints",
    ):
        assert (workspace / stays).exists()
    assert (workspace / "experiments/tiny/trials/00000/attempt-001").exists()
    assert prune(workspace, "--yes") == 0
    assert "everything here is owned" in capsys.readouterr().out


def test_copies_of_models_stay_while_an_experiment_has_pinned_them(workspace: Path) -> None:
    pin = pinned.Pin("teacher", None, None, {"b.json": "2", "a.json": "1"})
    pins = pinned.Pins(USED, {}, {"teacher": pin})
    document = json.dumps(asdict(pins))
    (workspace / "experiments/tiny/pinned.json").write_text(document)
    for name in (pin.digest, UNUSED):
        (workspace / "cache/models" / name).mkdir(parents=True)
    assert pinned.place("cache", pin) == Path("cache/models") / pin.digest
    assert found(workspace) == sorted([*ALL, f"cache/models/{UNUSED}"])
    (workspace / "experiments/tiny/pinned.json").write_text("{")
    assert not [name for name in found(workspace) if name.startswith("cache/")]


def test_prepared_data_that_are_being_made_stay(workspace: Path) -> None:
    with (workspace / f"cache/{UNUSED}.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert prune(workspace, "--yes") == 0
    assert found(workspace) == [f"cache/{UNUSED}"]


def test_while_a_search_prepares_no_prepared_data_go(workspace: Path) -> None:
    """Its study cannot say yet which are its own."""
    results = workspace / "experiments/second"
    with runner.only_one(results):
        asyncio.run(search(results, prepared=False))
        listed = pruning.look(workspace)[0]
        assert prune(workspace, "--yes") == 2
        assert found(workspace) == []
    assert (workspace / f"cache/{UNUSED}").exists()
    assert f"cache/{UNUSED}" not in [str(u.folder) for u in listed]
    assert found(workspace) == [f"cache/{UNUSED}"]


def test_what_a_search_has_taken_since_the_list_stays(workspace: Path) -> None:
    unused = next(u for u in pruning.look(workspace)[0] if u.folder.name == UNUSED)
    second = workspace / "experiments/second"
    second.mkdir()

    async def take() -> None:
        async with study.in_file(second / "study.db", EXPERIMENT, 1.0) as kept:
            await kept.keep(replace(worlds.PREPARATION, key=UNUSED))

    asyncio.run(take())
    assert not pruning.remove(workspace, unused)
    assert (workspace / f"cache/{UNUSED}/data").exists()


def test_on_a_volume_of_a_cluster_no_prepared_data_go(workspace: Path) -> None:
    """The studies are in a database elsewhere."""
    (workspace / "experiments/other-1a2b3c4d/trials/00000").mkdir(parents=True)
    assert prune(workspace, "--yes") == 2
    assert (workspace / f"cache/{UNUSED}").exists()
