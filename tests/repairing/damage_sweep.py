"""Repairs damaged files and compares each tensor with the original: `python -m tests.repairing.damage_sweep [COUNT]`.

Prints the outcomes of COUNT cuts, COUNT flips in headers and COUNT flips anywhere, for every zip of the corpus and the
fixtures. A tensor that the report does not name must be unchanged; those that are not are in `unreported`.
"""

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import ptzip
from ptzip.io.payloads import read_all
from ptzip.tensors.tensor import Tensor
from tests.header_fields import cuts, flips, zips

Described = dict[str, Any]

NOTHING, SAVED, NAMED, REFUSED = "nothing to repair", "all saved", "some named", "refused"


class Outcome(NamedTuple):
    """The outcome of one file: a word, its report if there is one, and the changed tensors that the report does not name."""

    what: str
    report: ptzip.RepairReport | None
    unreported: tuple[str, ...] = ()


def described(path: Path) -> Described:
    """Every tensor of a file with the bytes of its storages."""
    with ptzip.open(path) as checkpoint:
        stored = {key: _stored(checkpoint, key) for key in checkpoint.storages}
        named = {name: _described_tensor(tensor, stored) for name, tensor in checkpoint.tensors().items()}
        return named | {f"storage {key}": data for key, data in stored.items()}


def _stored(checkpoint: ptzip.Checkpoint, key: str) -> bytes | None:
    try:
        return read_all(checkpoint.main.stored(key))
    except ptzip.FormatError:
        return None


def _described_tensor(tensor: Tensor, stored: dict[str, bytes | None]) -> tuple[object, ...]:
    storage = tensor.storage
    data = None if storage is None else (storage.key, storage.dtype, storage.big_endian, stored.get(storage.key))
    inner = tuple((name, _described_tensor(part, stored)) for name, part in tensor.components.items())
    shape = tensor.dtype, tensor.shape, tensor.stride, tensor.offset, tensor.layout, tensor.device, tensor.requires_grad
    return (*shape, data, inner)


def outcome(path: Path, before: Described, out: Path) -> Outcome:
    """Repair a damaged file and compare it with the original."""
    try:
        report = ptzip.repair(path, out, overwrite=True)
    except ptzip.PtzipError:
        return Outcome(REFUSED, None)
    after = described(out if report.output else path)
    named = {*report.lost, *report.damaged, *report.unverifiable}
    missing = () if report.doubt else before.keys() - after.keys()
    changed = () if report.doubt else (name for name, tensor in after.items() if tensor != before.get(name))
    unreported = tuple(name for name in (*missing, *changed) if name not in named and not _is_named(name, named, report))
    what = NOTHING if not report.output else SAVED if report.is_saved else NAMED
    return Outcome(what, report, unreported)


def _is_named(name: str, named: set[str], report: ptzip.RepairReport) -> bool:
    """Whether the report names the tensors of a storage."""
    return name.startswith("storage ") and bool(named) and name not in report.whole


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    found: dict[str, Counter[str]] = {kind: Counter() for kind in ("cut", "header", "anywhere")}
    with tempfile.TemporaryDirectory() as folder:
        place, out = Path(folder) / "in.pt", Path(folder) / "out.pt"
        for path in (path for path in zips("format", "yolo") if path.stat().st_size < 3_000_000):
            data, before, chance = path.read_bytes(), described(path), random.Random(path.name)
            some = (random.Random(f"{path.name} {index}").randrange(len(data)) for index in range(count))
            damaged = [("cut", data[:size]) for size in cuts(len(data), count, path.name)]
            damaged += [("header", flip.of(data)) for flip in flips(data, count, path.name)]
            damaged += [("anywhere", data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]) for at in some]
            for kind, content in damaged:
                place.write_bytes(content)
                became = outcome(place, before, out)
                found[kind][became.what] += 1
                if became.unreported:
                    found[kind]["UNREPORTED"] += 1
                    print(path.name, kind, len(content), became.unreported[:3])
    for kind, counts in found.items():
        print(kind, dict(counts))


if __name__ == "__main__":
    main()
