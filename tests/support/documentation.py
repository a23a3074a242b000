"""The commands, samples and links of the pages that a reader reads."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support import programs

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "CONTRIBUTING.md",
)
"""Every page, in the order in which its commands are run."""
BLOCK: Final = re.compile(
    r"^```(?P<language>sh|yaml|sql)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
HEADING: Final = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
CONTINUED: Final = re.compile(r"\\\n\s*")
ON_A_CLUSTER: Final = re.compile(r"(kubectl|helm) |distillery .*--(cluster|namespace)\b")
FOR_EVER: Final = re.compile(r"port-forward|--watch\b|\s-w\b|\blogs .*(-f\b|--follow)")
"""What ends only when the reader ends it."""


@dataclass(frozen=True)
class Command:
    """A command line, where it stands."""

    file: str
    line: int
    text: str

    @property
    def program(self) -> str:
        """Return its first word."""
        return shlex.split(self.text)[0]

    @property
    def on_a_cluster(self) -> bool:
        """Tell whether it needs one."""
        return bool(ON_A_CLUSTER.match(self.text))

    @property
    def ends(self) -> bool:
        """Tell whether it ends by itself."""
        return not FOR_EVER.search(self.text)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def commands() -> list[Command]:
    """Return every command line of every block of shell."""
    return [command for path in PAGES for command in _commands(path)]


def chapters(path: str) -> dict[str, list[Command]]:
    """Return the commands of a page, by the headings above them."""
    found: dict[str, list[Command]] = {}
    headings = list(HEADING.finditer((ROOT / path).read_text(encoding="utf-8")))
    for command in _commands(ROOT / path):
        above = [each for each in headings if _line(each) < command.line]
        found.setdefault(above[-1]["title"], []).append(command)
    return found


def shell(
    text: str, folder: Path, kubeconfig: Path, timeout: float = 180
) -> subprocess.CompletedProcess[str]:
    """Run a command line as a reader does: in a folder, with kubectl, Helm and `distillery`.

    Raises:
        subprocess.TimeoutExpired: it has not ended in so many seconds.
    """
    clients = [Path(path).parent for path in programs.locate("kubectl", "helm")]
    path = [str(Path(sys.executable).parent), *map(str, clients), "/usr/bin", "/bin"]
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env={"PATH": ":".join(path), "KUBECONFIG": str(kubeconfig), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def samples(path: str, language: str = "yaml") -> list[str]:
    """Return the blocks of YAML or of SQL of a page."""
    return [block["text"] for block in _blocks(ROOT / path, language)]


def yaml(path: str, word: str) -> str:
    """Return the first block of YAML of a page that has a word in it."""
    return next(text for text in samples(path) if word in text)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub names them."""
    titles = (heading["title"] for heading in HEADING.finditer(path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _commands(path: Path) -> Iterator[Command]:
    for block in _blocks(path, "sh"):
        line = _line(block, "text")
        for text in re.split(r"(?<!\\)\n", block["text"]):
            words = re.sub(r"(^|\s)#.*", "", CONTINUED.sub(" ", text)).strip()
            if words:
                yield Command(str(path.relative_to(ROOT)), line, words)
            line += text.count("\n") + 1


def _line(match: re.Match[str], group: str | int = 0) -> int:
    """Return the number of the line on which something begins."""
    return match.string.count("\n", 0, match.start(group)) + 1


def _blocks(path: Path, language: str) -> Iterator[re.Match[str]]:
    found = BLOCK.finditer(path.read_text(encoding="utf-8"))
    return (block for block in found if block["language"] == language)
