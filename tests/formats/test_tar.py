"""The tar of torch 0.1, which no torch writes any more but all read: what torch finds in one is found here."""

import io
import pickle
import struct
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.errors import FormatError, UnsupportedError
from tests.bench.shapes import views_of_views

PROTOCOL = 2
FLOATS, LONGS = struct.pack("<6f", *range(6)), struct.pack("<2q", 7, -8)


class Named:
    """A class of torch, which need not be there."""

    def __init__(self, name: str) -> None:
        self.name = name


class Key(str):
    """The key of a tensor, which is pickled as a persistent id."""

    __slots__ = ()


class Pickler(pickle._Pickler):
    """Writes names of torch without importing them, which pickle would ask for."""

    def persistent_id(self, value: Any) -> Any:
        return str(value) if isinstance(value, Key) else None

    def save(self, value: Any, **options: Any) -> None:
        if isinstance(value, Named):
            module, name = value.name.rsplit(".", 1)
            self.write(f"c{module}\n{name}\n".encode())  # type: ignore[attr-defined]
        else:
            super().save(value, **options)  # type: ignore[misc]


def pickled(value: Any) -> bytes:
    stream = io.BytesIO()
    Pickler(stream, PROTOCOL).dump(value)
    return stream.getvalue()


def storage(key: str, kind: str, count: int, data: bytes) -> bytes:
    return pickled((key, "cpu", Named(f"torch.{kind}Storage"))) + struct.pack("<q", count) + data


def tensor(key: int, on: str, kind: str, shape: tuple[int, ...], stride: tuple[int, ...], offset: int) -> bytes:
    numbers = struct.pack(f"<{2 * len(shape) + 1}q", *shape, *stride, offset)
    return pickled((key, on, Named(f"torch.{kind}Tensor"))) + struct.pack("<i4x", len(shape)) + numbers


MEMBERS = {
    "sys_info": pickled({"protocol_version": 1000, "little_endian": True, "type_sizes": {}}),
    "pickle": pickled(OrderedDict([("a", Key("10")), ("b", Key("11")), ("n", [Key("12"), 3])])),
    "tensors": pickled(3)
    + tensor(10, "1", "Float", (2, 3), (3, 1), 0)
    + tensor(11, "3", "Float", (2,), (1,), 1)
    + tensor(12, "2", "Long", (2,), (1,), 0),
    "storages": pickled(2) + storage("1", "Float", 6, FLOATS) + storage("2", "Long", 2, LONGS) + pickled([("3", "1", 2, 3)]),
}


def tar(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "old.pt").write_bytes(tar(MEMBERS))
    return tmp_path / "old.pt"


def test_the_tensors_of_a_tar_are_found_by_name(path: Path) -> None:
    with ptzip.open(path) as checkpoint:
        assert checkpoint.format == "tar of torch 0.1"
        found = checkpoint.tensors()
        assert {name: (each.dtype, each.shape, each.stride) for name, each in found.items()} == {
            "a": ("float32", (2, 3), (3, 1)),
            "b": ("float32", (2,), (1,)),
            "n.0": ("int64", (2,), (1,)),
        }
        assert found["a"].numpy().tolist() == [[0, 1, 2], [3, 4, 5]]
        assert found["b"].numpy().tolist() == [3, 4]  # from element 1 of a storage that begins at element 2 of another
        assert found["n.0"].numpy().tolist() == [7, -8]


@pytest.mark.torch
def test_torch_reads_the_same(path: Path) -> None:
    import torch

    read = torch.load(path, weights_only=False)
    with ptzip.open(path) as checkpoint:
        found = checkpoint.tensors()
        for name, value in (("a", read["a"]), ("b", read["b"]), ("n.0", read["n"][0])):
            assert found[name].numpy().tolist() == value.tolist()
            assert found[name].shape == tuple(value.shape)


def test_a_tar_is_saved_as_it_was_and_not_slimmed(path: Path, tmp_path: Path) -> None:
    with ptzip.open(path) as checkpoint:
        checkpoint.save(tmp_path / "copy.pt")
    assert (tmp_path / "copy.pt").read_bytes() == path.read_bytes()
    with pytest.raises(UnsupportedError, match=r"this is a tar of torch 0\.1"):
        ptzip.slim(path)


@pytest.mark.parametrize("name", ["pickle", "tensors", "storages"])
def test_a_tar_without_a_member_of_torch_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "old.pt").write_bytes(tar({each: data for each, data in MEMBERS.items() if each != name}))
    with pytest.raises(FormatError, match="and there is no checkpoint in it"):
        ptzip.open(tmp_path / "old.pt")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tensors", "storages"])
def test_a_member_cut_off_at_any_byte_is_refused(name: str, tmp_path: Path) -> None:
    data = MEMBERS[name]
    for end in range(len(data)):
        (tmp_path / "old.pt").write_bytes(tar(MEMBERS | {name: data[:end]}))
        with pytest.raises(FormatError):
            ptzip.open(tmp_path / "old.pt")


def test_views_of_views_have_their_bytes_at_any_depth(tmp_path: Path) -> None:
    data = views_of_views(3000, 0)
    found: Any = ptzip.load(data)
    assert found["w0"].tolist() == [1, 2, 3, 4]
    assert ptzip.diff(data, data).ok
    assert ptzip.convert(data, tmp_path / "out.safetensors").ok
