"""The examples of the README and of the pages of `ptzip help`: each is run as it is written, in a folder with what it names."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptzip import convert, slim
from tests.cli.shell import environment, typed_in_terminal
from tests.corpus import FIXTURES
from tests.files_of_checkpoints import sb3_files, zipped
from tests.small_checkpoints import save, training_records

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def assert_examples_print(path: Path, columns: int) -> None:
    """Compare what a file shows with what its commands print; `PTZIP_REWRITE=1` writes it anew: read the difference then."""
    text = printed_anew(path.read_text(), columns)
    if os.environ.get("PTZIP_REWRITE", "") not in ("", "0"):
        path.write_text(text)
    assert path.read_text() == text


def printed_anew(text: str, columns: int) -> str:
    """The text with what its commands print now, in a terminal of that width; of a block of commands alone, none is shown."""

    def printed(block: re.Match[str]) -> str:
        lines = re.findall(r"^\$ (.*)$", block[1], re.MULTILINE)
        outputs = [_output(line, columns) for line in lines]
        if block[1].count("\n") == len(lines):
            return block[0]
        return "```console\n" + "".join(f"$ {line}\n{out}" for line, out in zip(lines, outputs, strict=True)) + "```"

    return CONSOLE.sub(printed, text)


def _output(line: str, columns: int) -> str:
    with furnished() as folder:
        done = typed_in_terminal(columns, line, folder, NO_COLOR="1")
    assert done.code in (0, 1), (line, done.out)  # 1: the answer is no, as where files differ
    assert "ptzip: " not in done.out, "an error or a warning"
    return done.out


def run_program(program: str) -> None:
    """Run Python in such a folder; it neither fails nor warns."""
    with furnished() as folder:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        if "copy.pt" in program:
            assert (folder / "copy.pt").read_bytes() == (folder / "last.pt").read_bytes()


@contextmanager
def furnished() -> Iterator[Path]:
    """A folder with what the examples name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fixtures").symlink_to(FIXTURES)
        for path in ("last.pt", "unknown.pt", "runs/a/last.pt"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(FIXTURES / "training.pt", folder / path)
        shutil.copy(FIXTURES / "format" / "linear.pt", folder)
        shutil.copytree(FIXTURES / "folders" / "fsdp2-2", folder / "step-1000")
        save(folder / "weights.pt", training_records())
        (folder / "ppo.zip").write_bytes(zipped(sb3_files()))
        slim(FIXTURES / "training.pt", folder / "slim.pt", sync=False)
        convert(FIXTURES / "training.pt", folder / "weights.safetensors", select="model.*", sync=False)
        yield folder
