from pathlib import Path

import pytest

from distillery_operator.cli import options
from distillery_operator.errors import NotFound, Unusable

URL = "postgresql://user:password@host/name"


@pytest.fixture(autouse=True)
def _nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (options.DATABASE, f"{options.DATABASE}_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_the_url_is_in_a_variable_or_in_a_file_that_one_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    file.write_text(f"{URL}\n")
    monkeypatch.setenv(f"{options.DATABASE}_FILE", str(file))
    assert options.database() == URL
    monkeypatch.setenv(options.DATABASE, "sqlite:////studies")
    assert options.database() == "sqlite:////studies"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="DISTILLERY_DATABASE_URL must have the URL"):
        options.database()
    monkeypatch.setenv(f"{options.DATABASE}_FILE", str(tmp_path / "none"))
    with pytest.raises(Unusable, match=r"none, which cannot be read: .*No such file"):
        options.database()
