"""A database that changes under a search, on a real control plane: nobody restarts the operator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import documentation, ends, kubelet, postgres
from support.cluster.access import Cluster
from support.operators import Operator, until
from support.postgres import Postgres
from support.spaces import Space, install

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'distillery'"


@pytest.fixture
def kubeconfig(control_plane: Cluster, tmp_path: Path) -> Iterator[Path]:
    with kubelet.playing(kubelet.Kubelet(control_plane.kubeconfig, 0.5)):
        yield install(control_plane, tmp_path)


@pytest.fixture
def place(postgresql: Postgres) -> str:
    """Where a database is that was made as docs/database.md says, apart from its servers."""
    first, _ = documentation.samples("docs/database.md", "sql")
    postgresql.execute(*filter(str.strip, first.split(";")))
    return "/distillery?target_session_attrs=read-write"


def test_a_search_goes_through_restart_rotation_and_failover(
    control_plane: Cluster, kubeconfig: Path, postgresql: Postgres, place: str, tmp_path: Path
) -> None:
    """What was acknowledged is on the standby, too, as its primary waits for it."""
    file, space = tmp_path / "url", Space(control_plane)
    environment = {"DISTILLERY_DATABASE_URL_FILE": str(file)}
    operator = Operator(
        kubeconfig, "", tmp_path / "log", "--workspace-claim=work", environment=environment
    )

    def told() -> int:
        return int(space.status().get("trials", {}).get("completed", 0))

    def told_more() -> None:
        before = told()
        until(lambda: told() > before)

    def said(words: str) -> None:
        until(lambda: words in space.condition("StorageReachable").get("message", ""))

    with postgres.running(of=postgresql) as standby:
        postgresql.configure("SET synchronous_standby_names = '*'")
        hosts = f"127.0.0.1:{postgresql.port},127.0.0.1:{standby.port}{place}"
        file.write_text(f"postgresql://distillery:secret@{hosts}")
        with operator:
            space.apply(maxTrials=500, parallelism=3, sampler={"type": "Random"})
            until(lambda: told() >= 1)
            postgresql.stop()
            said("Connection refused")
            postgresql.start()
            told_more()
            postgresql.execute("ALTER ROLE distillery PASSWORD 'another'", CUT)
            said("password authentication failed")
            file.write_text(f"postgresql://distillery:another@{hosts}")
            told_more()
            postgresql.stop()
            said("read-only")
            standby.execute("SELECT pg_promote()")
            told_more()
            space.patch(maxTrials=told() + 4)
            until(space.reached("Succeeded"))
            assert operator.exit_code is None
        url = f"postgresql://distillery:another@127.0.0.1:{standby.port}{place}"
        ends.check(space, url, told())
    assert space.condition("Restored") == {}
    assert "fault of the program" not in operator.log.read_text()
