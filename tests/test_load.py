"""`ptzip.load`: the object in a file as plain Python and numpy, as torch would have loaded it.

Files are made by torch itself or come from the corpus; what torch reads from them is the expectation.
"""

import gzip
import io
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import ptzip
from ptzip import Opaque, Tensor
from ptzip.allowlist.table import is_allowed
from tests.corpus import CORPUS, needs_corpus, parameters
from tests.values.pickle_parts import dumped

REFUSED = frozenset(
    (
        *("syn/truncated.pt", "gh__pytorch__serve/model.pt", "gh__mmaitre314__picklescan/bad_pytorch.pt"),
        *("gh__mmaitre314__picklescan/not_a_pickle.bin", "gh__pytorch__executorch/etrecord.bin"),
        "gh__Linzaer__Ultra-Light-Fast-Generic-Face-Detector-1MB/RFB-320.bin",
        *(
            f"gh__DLR-RM__rl-trained-agents/{name}.zip"
            for name in ("Acrobot-v1", "MountainCar-v0", "PandaReach-v1", "Pendulum-v1")
        ),
    )
)
"""The files of the corpus that hold no object, or are none of any format."""


@pytest.mark.parametrize("path", parameters("format", "real", "yolo"))
def test_every_file_loads_or_is_refused_with_one_line(path: Path) -> None:
    if "/".join(path.parts[-2:]) in REFUSED:
        with pytest.raises(ptzip.PtzipError) as caught:
            ptzip.load(path, unknown="keep")
        assert len(str(caught.value).splitlines()) == 1
    else:
        ptzip.load(path, unknown="keep")


@pytest.mark.parametrize("path", parameters("format", "real", "yolo"))
def test_without_leave_nothing_unknown_is_part_of_what_is_loaded(path: Path) -> None:
    try:
        value = ptzip.load(path)
    except ptzip.PtzipError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 (whether it is refused depends on the file)
    else:
        opaque = [held for held in everything(value) if isinstance(held, Opaque)]
        assert all(is_allowed(held.module, held.name) for held in opaque)
        assert not any(isinstance(held, Tensor) for held in everything(value))


def everything(root: object) -> list[object]:
    """All values below one."""
    found: dict[int, object] = {}
    pending = [root]
    while pending:
        value = pending.pop()
        if id(value) not in found:
            found[id(value)] = value
            pending += list(value.values()) if isinstance(value, dict) else []
            pending += list(value) if isinstance(value, list | tuple | set | frozenset) else []
    return list(found.values())


@pytest.mark.parametrize("path", [found for found in parameters("format", "yolo") if "truncated" not in str(found.id)])
def test_a_mapped_file_has_the_same_values(path: Path) -> None:
    plain = ptzip.load(path, unknown="keep")
    arrays = [[value for value in everything(value) if isinstance(value, np.ndarray)] for value in (plain, mapped(path))]
    assert len(arrays[0]) == len(arrays[1])
    for one, other in zip(*arrays, strict=True):
        assert one.dtype == other.dtype
        assert one.dtype.hasobject or one.tobytes() == other.tobytes()


def mapped(path: Path) -> object:
    return ptzip.load(path, unknown="keep", mmap=True)


@pytest.mark.torch
def test_a_state_dict_loads_as_torch_loads_it(tmp_path: Path) -> None:
    import torch

    state = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).state_dict()
    torch.save(state, tmp_path / "state.pt")
    found = ptzip.load(tmp_path / "state.pt")
    assert isinstance(found, OrderedDict)
    assert list(found) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
        assert found[name].shape == tuple(tensor.shape)


@pytest.mark.torch
@pytest.mark.parametrize("legacy", [False, True])
def test_a_training_checkpoint_loads_as_torch_loads_it(tmp_path: Path, legacy: bool) -> None:
    import torch

    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "names": ["a", "b"]}
    torch.save(saved, tmp_path / "last.pt", _use_new_zipfile_serialization=not legacy)
    assert same(ptzip.load(tmp_path / "last.pt"), torch.load(tmp_path / "last.pt"))


def same(found: Any, expected: Any) -> bool:
    """Whether a value is what torch read, tensors being arrays."""
    import torch

    if isinstance(expected, torch.Tensor):
        return bool(np.array_equal(found, expected.numpy())) and found.shape == tuple(expected.shape)
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    return bool(found == expected)


FLOATS = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]


@pytest.mark.torch
@pytest.mark.parametrize("dtype", FLOATS)
def test_small_floats_are_those_of_ml_dtypes(tmp_path: Path, dtype: str) -> None:
    import torch

    saved = torch.tensor([0.5, 1.0, 4.0]).to(getattr(torch, dtype))
    torch.save(saved, tmp_path / "t.pt")
    found = ptzip.load(tmp_path / "t.pt")
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.dtype(getattr(ml_dtypes, dtype))
    assert found.astype(np.float32).tolist() == saved.float().tolist()


@pytest.mark.torch
def test_tensors_that_share_memory_do_so_again(tmp_path: Path) -> None:
    import torch

    whole = torch.arange(6.0)
    torch.save({"whole": whole, "part": whole[2:4], "again": whole}, tmp_path / "t.pt")
    found: Any = ptzip.load(tmp_path / "t.pt")
    found["whole"][2] = 9
    assert found["part"].tolist() == [9, 3]
    assert np.shares_memory(found["whole"], found["again"])


@pytest.mark.torch
def test_arrays_may_be_written_to_unless_the_file_is_mapped(tmp_path: Path) -> None:
    import torch

    torch.save(torch.arange(6.0), tmp_path / "t.pt")
    plain: Any = ptzip.load(tmp_path / "t.pt")
    plain[0] = 5
    view: Any = ptzip.load(tmp_path / "t.pt", mmap=True)
    assert view.tolist() == [0, 1, 2, 3, 4, 5]
    assert not view.flags.writeable
    (tmp_path / "t.pt").unlink()
    assert view[5] == 5


@pytest.mark.torch
def test_a_mapped_file_is_not_read_before_it_is_looked_at(tmp_path: Path) -> None:
    """The storage is a hole in the file, a gigabyte that would not fit the memory limit of a small machine."""
    import torch

    with torch.serialization.skip_data():
        torch.save(torch.empty(1 << 28), tmp_path / "t.pt")
    found: Any = ptzip.load(tmp_path / "t.pt", mmap=True)
    assert found.shape == (1 << 28,)
    assert found[1 << 27] == 0


@pytest.mark.torch
def test_what_is_deflated_cannot_be_mapped_and_loads_all_the_same(tmp_path: Path) -> None:
    import zipfile

    import torch

    torch.save(torch.arange(6.0), tmp_path / "t.pt")
    with zipfile.ZipFile(tmp_path / "t.pt") as old, zipfile.ZipFile(tmp_path / "d.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.namelist():
            new.writestr(entry, old.read(entry))
    found: Any = ptzip.load(tmp_path / "d.pt", mmap=True)
    assert found.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.torch
def test_a_module_of_classes_of_torch_alone_comes_back_inert(tmp_path: Path) -> None:
    import torch

    torch.save(torch.nn.Linear(3, 2), tmp_path / "m.pt")
    found = ptzip.load(tmp_path / "m.pt")
    assert isinstance(found, Opaque)
    assert (found.module, found.name, found.args) == ("torch.nn.modules.linear", "Linear", ())
    parameters: Any = found.attributes["_parameters"]
    assert parameters["weight"].shape == (2, 3)


def test_a_pickle_that_runs_something_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    path.write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    with pytest.raises(ptzip.UnsupportedError, match=r"the pickle calls os\.system"):
        ptzip.load(path)
    found = ptzip.load(path, unknown="keep")
    assert isinstance(found, Opaque)
    assert (found.path, found.args) == ("os.system", ("true",))


def test_a_plain_pickle_is_plain_python(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None], "b": (b"x", {"c"}), 3: True}
    (tmp_path / "p.pkl").write_bytes(dumped(value, 4))
    assert ptzip.load(tmp_path / "p.pkl") == value


def test_safetensors_are_a_dict_of_arrays(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.arange(6.0).reshape(2, 3), "b": np.ones(2, np.int8)}, tmp_path / "weights.pt")
    found: Any = ptzip.load(tmp_path / "weights.pt")
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["b"].dtype == np.int8
    with ptzip.open(tmp_path / "weights.pt") as checkpoint:
        tensor = checkpoint.tensors()["a"]
    assert (tensor.dtype, tensor.shape, tensor.stride, tensor.nbytes) == ("float64", (2, 3), (3, 1), 48)


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2", "U16"])
def test_safetensors_of_small_floats_have_their_bytes(tmp_path: Path, dtype: str) -> None:
    size = 1 if dtype.startswith("F8") else 2
    header = f'{{"t":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,{2 * size}]}}}}'.encode()
    (tmp_path / "t.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(range(2 * size)))
    with ptzip.open(tmp_path / "t.safetensors") as checkpoint:
        assert checkpoint.tensors()["t"].tobytes() == bytes(range(2 * size))


def test_safetensors_are_at_the_offsets_where_the_library_reads_them(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    saved = {
        name: np.arange(size, dtype=kind)
        for name, size, kind in (("b", 3, "i1"), ("a", 5, "f8"), ("e", 0, "f4"), ("c", 2, "f2"))
    }
    save_file(saved, tmp_path / "weights.safetensors")
    for mmap in (False, True):
        found: Any = ptzip.load(tmp_path / "weights.safetensors", mmap=mmap)
        for name, array in load_file(tmp_path / "weights.safetensors").items():
            assert found[name].dtype == array.dtype
            assert found[name].tolist() == array.tolist()


def test_a_dtype_of_safetensors_that_torch_does_not_have_is_named(tmp_path: Path) -> None:
    header = b'{"t":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]},"u":{"dtype":"F4","shape":[4],"data_offsets":[3,5]}}'
    (tmp_path / "t.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0\0\x21\x43")
    with pytest.raises(ptzip.UnsupportedError, match=r"t: .*F6_E2M3"):
        ptzip.load(tmp_path / "t.safetensors")
    found: Any = ptzip.load(tmp_path / "t.safetensors", unknown="keep")
    assert isinstance(found["t"], Tensor)
    assert [float(value) for value in found["u"]] == [0.5, 1.0, 1.5, 2.0]


def test_safetensors_are_read_from_bytes_and_inside_compression(tmp_path: Path) -> None:
    from safetensors.numpy import save

    data = save({"a": np.arange(6, dtype=np.float32), "b": np.ones((2, 3), np.int16)})
    (tmp_path / "t.safetensors.gz").write_bytes(gzip.compress(data))
    for source in (data, io.BytesIO(data), tmp_path / "t.safetensors.gz"):
        with ptzip.open(source) as checkpoint:
            assert checkpoint["a"].numpy().tolist() == [0, 1, 2, 3, 4, 5]
            assert checkpoint["b"].numpy().tolist() == [[1, 1, 1], [1, 1, 1]]


def test_broken_safetensors_are_a_format_error(tmp_path: Path) -> None:
    header = b'{"t":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}'
    (tmp_path / "t.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"1234")
    with pytest.raises(ptzip.FormatError, match="safetensors file that is broken"):
        ptzip.load(tmp_path / "t.safetensors")


@needs_corpus
def test_the_object_is_that_of_the_first_pickle() -> None:
    found: Any = ptzip.load(CORPUS / "format" / "t213" / "two_objects_legacy.pt")
    with ptzip.open(CORPUS / "format" / "t213" / "two_objects_legacy.pt") as checkpoint:
        names = list(checkpoint.tensors())
    assert len(everything(found)) > 0
    assert any(name.startswith("object 2") for name in names)


def test_the_ways_to_treat_the_unknown_are_two(tmp_path: Path) -> None:
    (tmp_path / "p.pkl").write_bytes(dumped(1, 4))
    with pytest.raises(ValueError, match="unknown is 'run', expected one of error, keep"):
        ptzip.load(tmp_path / "p.pkl", unknown="run")  # type: ignore[arg-type]
