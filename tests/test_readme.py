"""The README's examples: each is run as it is written, and prints what the README shows."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ptzip import convert, slim
from tests.cli.shell import environment
from tests.corpus import FIXTURES, ROOT
from tests.files_of_checkpoints import sb3_files, zipped
from tests.small_checkpoints import save, training_records

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
CONSOLE = [block for language, block in BLOCKS if language == "console"]
WIDE = environment({"COLUMNS": "100"})


def runs(command: str) -> subprocess.CompletedProcess[str]:
    """A command line of the README, with this Python's ptzip for `ptzip`."""
    command = re.sub(r"^ptzip\b", f"{shlex.quote(sys.executable)} -m ptzip", command)
    return subprocess.run(command, shell=True, env=WIDE, capture_output=True, text=True, check=False)


def examples() -> list[tuple[str, str]]:
    """Every command of ptzip in the README, without its comment, and the text that follows it there."""
    found = []
    for block in CONSOLE:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            command = line.partition("#")[0].partition("&& ptzip")
            found.append(("ptzip" + command[2] if command[1] else command[0].strip(), output))
    return [(command, output) for command, output in found if command.startswith("ptzip")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples name."""
    shutil.copytree(FIXTURES, tmp_path / "fixtures")
    for path in ("last.pt", "runs/a/last.pt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FIXTURES / "training.pt", tmp_path / path)
    (tmp_path / "cut.pt").write_bytes((FIXTURES / "training.pt").read_bytes()[:890_000])
    (tmp_path / "small").mkdir()
    save(tmp_path / "weights.pt", training_records())
    (tmp_path / "ppo.zip").write_bytes(zipped(sb3_files()))
    shutil.copy(FIXTURES / "training.pt", tmp_path / "unknown.pt")
    slim(FIXTURES / "training.pt", tmp_path / "slim.pt")
    convert(FIXTURES / "training.pt", tmp_path / "weights.safetensors", select="model.*")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("command", "output"), examples())
def test_a_command_of_the_readme_prints_what_it_shows(command: str, output: str) -> None:
    done = runs(command)
    assert (done.returncode, done.stderr) == (0, "")
    if output.strip():
        assert done.stdout == output


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("program", [block for language, block in BLOCKS if language == "python"])
def test_the_python_of_the_readme_runs(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], env=WIDE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if "copy.pt" in program:
        assert Path("copy.pt").read_bytes() == Path("last.pt").read_bytes()
