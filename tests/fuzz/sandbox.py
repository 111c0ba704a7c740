"""A process in which real loaders read inputs; see `loaders`. It is started once, and survives whatever kills a loader."""

import contextlib
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

Resolved = dict[str, list[str]]
"""Loader -> the names that it resolved."""

ROOT = Path(__file__).resolve().parents[2]


class Sandbox:
    """The loaders of one process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.loaders", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.loaders: list[str] = json.loads(self._line())

    def _line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def give(self, inputs: Sequence[bytes]) -> None:
        """Start to load these inputs; `results` waits for it."""
        (self.folder / "inputs").write_bytes(b"".join(struct.pack("<I", len(data)) + data for data in inputs))
        self._start(0)

    def _start(self, first: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"inputs {first}\n".encode())
        self.process.stdin.flush()

    def results(self, inputs: Sequence[bytes]) -> Iterator[Resolved]:
        """What the loaders resolved in each input; only "crash" where one of them crashed or hung."""
        done = 0
        while done < len(inputs):
            line = self._line()
            if line.startswith(b"died "):
                yield {"crash": []}
                done += 1
                if done < len(inputs):
                    self._start(done)
            elif line:
                yield json.loads(line)
                done += 1
            else:
                raise RuntimeError("the process of the loaders ended")

    def resolved(self, inputs: Sequence[bytes]) -> list[Resolved]:
        self.give(inputs)
        return list(self.results(inputs))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.communicate(timeout=30)


@contextlib.contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A sandbox in a folder of its own, in memory where the system has such a folder."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        box = Sandbox(Path(folder))
        try:
            yield box
        finally:
            box.close()
