"""Whatever fails, an output is right or absent."""

import contextlib
import random
from collections import Counter
from pathlib import Path

import pytest

import ptzip as library
from tests.remote.checkpoints import training
from tests.remote.conftest import use_s3
from tests.remote.proxy import Fault, Proxy, Request
from tests.remote.servers import Bucket

pytestmark = pytest.mark.remote

KINDS = ("cut", "500", "503", "429", "mixed", "replaced", "full", "upload cut")
RUNS = 200
QUICK = len(KINDS)
LONGEST_CUT = 1 << 18


class Faults:
    """The faults of one run, which its seed determines: `kind` is one of `KINDS`."""

    def __init__(self, seed: int, replace: Path, original: Path) -> None:
        self.kind = KINDS[seed % len(KINDS)]
        self.chance = random.Random(seed)
        self.rate = self.chance.choice((0.1, 0.3, 0.6))
        self.replaced_at = self.chance.randrange(2, 12)
        self.replace, self.original = replace, original

    def __call__(self, request: Request) -> Fault | None:
        if self.kind == "replaced":
            if request.number == self.replaced_at and request.method == "GET":
                self.replace.replace(self.original)
            return None
        if self.kind == "full":
            return Fault(507) if request.method == "PUT" else None
        if self.kind == "upload cut":
            return self._cut() if request.method in ("PUT", "POST") and self._happens() else None
        if not self._happens():
            return None
        kind = self.chance.choice(KINDS[:4]) if self.kind == "mixed" else self.kind
        return self._cut() if kind == "cut" else Fault(int(kind))

    def _happens(self) -> bool:
        return self.chance.random() < self.rate

    def _cut(self) -> Fault:
        return Fault(cut=self.chance.choice((0, 10, self.chance.randrange(LONGEST_CUT))))


def outcome(seed: int, bucket: Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The kind of the faults, and "right", "absent" or what is wrong."""
    original, slim = training(bucket.folder / "last.pt"), bucket.folder / "slim.pt"
    faults = Faults(seed, training(folder / "new.pt", seed=2), original)
    expected = list[bytes]()
    for source in (original, folder / "new.pt"):
        library.slim(source, folder / "expected.pt", overwrite=True, sync=False)
        expected.append((folder / "expected.pt").read_bytes())
    slim.unlink(missing_ok=True)
    with Proxy(bucket.port, faults) as proxy:
        use_s3(proxy.port, monkeypatch)
        raised = True
        with contextlib.suppress(library.PtzipError, OSError):
            library.slim("s3://bucket/last.pt", "s3://bucket/slim.pt")
            raised = False
    if not slim.exists():
        return faults.kind, "absent" if raised else "absent without an error"
    return faults.kind, "right" if slim.read_bytes() in expected else "wrong"


@pytest.fixture(autouse=True)
def few_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 3)
    monkeypatch.setattr("ptzip.io.remote_output.PART", 5 << 20)


@pytest.mark.parametrize("count", [QUICK, pytest.param(RUNS, marks=pytest.mark.slow)])
def test_an_output_is_right_or_absent(count: int, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Counter(outcome(seed, bucket, tmp_path, monkeypatch) for seed in range(count))
    print(*sorted(found.items()), sep="\n")
    assert {what for _, what in found} == {"right", "absent"}
