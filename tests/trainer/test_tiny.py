import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from distillery_trainer import tiny


def test_the_folder_is_written_once_and_whole(tmp_path: Path) -> None:
    folder = tmp_path / "below" / "tiny"
    writers = [threading.Thread(target=tiny.write, args=(folder,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]
    documents = {
        split: json.loads((folder / f"{split}.json").read_text()) for split in tiny.QUESTIONS
    }
    for split, count in tiny.QUESTIONS.items():
        assert len(documents[split]["data"][0]["paragraphs"]) == count
    assert (folder / "teacher" / "model.safetensors").exists()
    (folder / "train.json").write_text("mine")
    tiny.write(folder)
    assert (folder / "train.json").read_text() == "mine"


@pytest.mark.long
def test_every_folder_is_alike_so_that_each_pod_may_write_its_own(tmp_path: Path) -> None:
    for name in ("one", "other"):
        command = [sys.executable, "-m", "distillery_trainer.tiny", str(tmp_path / name)]
        subprocess.run(command, check=True, capture_output=True)
    files = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert len(files) >= 5
    for path in files:
        other = tmp_path / "other" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes(), path.name
