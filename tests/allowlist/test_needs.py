"""What loading a pickle needs, by the names in it."""

import pickle

import numpy as np
import pytest

from ptzip.allowlist.needs import Need, moved, needs_of
from ptzip.allowlist.table import pair
from ptzip.checkpoint import Checkpoint
from ptzip.io.sources import BytesSource
from ptzip.pickling.new_nodes import named, new_list
from ptzip.pickling.nodes import Node, Pickle, Step
from ptzip.pickling.reader import read_pickle
from ptzip.pickling.writer import write_pickle
from tests.checkpoint_builder import CheckpointBuilder, called, node


def found(root: Node, protocol: int = 2) -> list[tuple[str, int, bool]]:
    read = read_pickle(write_pickle(Pickle(root, protocol)))
    return [(one.what, one.times, one.is_portable) for one in needs_of(read)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("pathlib.PosixPath", [("Linux or macOS", 1, True)]),
        ("pathlib.WindowsPath", [("Windows", 1, True)]),
        ("pathlib._local.WindowsPath", [("Python 3.13 or later", 1, True), ("Windows", 1, True)]),
        ("pathlib._local.PurePosixPath", [("Python 3.13 or later", 1, True)]),
        ("pathlib.PurePosixPath", []),
        ("numpy._core.multiarray.scalar", [("numpy 1.26 or later", 1, True)]),
        ("numpy.core.multiarray.scalar", []),
        ("numpy._core._multiarray_umath.add", [("numpy 2", 1, True)]),
        ("numpy.core._multiarray_umath.add", [("numpy 1", 1, True)]),
        ("numpy.core.fromnumeric.anything", [("numpy 1", 1, False)]),
        ("numpy._core._internal._convert_to_stringdtype_kwargs", [("numpy 2", 1, False)]),
        ("numpy.add", []),
        ("numpy.char.chararray", [("numpy 2", 1, False)]),
        ("numpy.strings.add", [("numpy 2", 1, False)]),
        ("numpy.dtypes.Float64DType", [("numpy 1.25 or later", 1, False)]),
        ("numpy.random._pcg64.PCG64", []),
        ("zoneinfo.ZoneInfo", [("Python 3.9 or later", 1, False)]),
        ("torch._utils._rebuild_tensor_v2", []),
        ("torch._utils._rebuild_tensor_v3", [("torch 2.1 or later", 1, False)]),
        ("torch.uint16", [("torch 2.3 or later", 1, False)]),
        ("torch.float32", []),
        ("torch.torch_version.TorchVersion", [("torch 1.10 or later", 1, True)]),
        ("ultralytics.nn.tasks.DetectionModel", [("classes of ultralytics", 1, False)]),
        ("__main__.Net", [("classes of __main__", 1, False)]),
        ("collections.OrderedDict", []),
        ("__builtin__.set", []),
    ],
)
def test_a_name_needs(path: str, expected: list[tuple[str, int, bool]]) -> None:
    module, _, name = path.rpartition(".")
    assert found(called(module, name)) == expected


def test_uses_are_counted_and_what_can_be_respelled_comes_first() -> None:
    root = new_list([called("pathlib", "WindowsPath", "a"), called("models.a", "B"), called("pathlib", "WindowsPath", "b")])
    assert found(root) == [("Windows", 2, True), ("classes of models", 1, False)]


def test_names_of_python_2_are_translated_below_protocol_3() -> None:
    root = named("copy_reg", "_reconstructor")
    assert found(root, 2) == []
    assert found(root, 4) == [("Python 2", 1, True)]


def test_a_storage_needs_its_device_once() -> None:
    builder = CheckpointBuilder(location="mps")
    builder.storage(np.zeros(3, "f4"))
    with Checkpoint(BytesSource(builder.data({"a": builder.view(0, (1,)), "b": builder.view(0, (2,))}))) as checkpoint:
        assert needs_of(checkpoint.pickle) == (Need("device mps", ("storage",), 1, True),)


@pytest.mark.parametrize(("device", "expected"), [("cuda", [("device cuda", 1, False)]), ("cpu", [])])
def test_a_random_generator_needs_its_device(device: str, expected: list[tuple[str, int, bool]]) -> None:
    assert found(called("torch._C", "Generator", called("torch", "device", device))) == expected


@pytest.mark.parametrize(("marks", "expected"), [((), []), (({"conj": True},), [("torch 2.0 or later", 1, False)])])
def test_a_tensor_that_is_conjugated_when_it_is_read_needs_torch_2(
    marks: tuple[object, ...], expected: list[tuple[str, int, bool]]
) -> None:
    given = (None, 0, (1,), (1,), False, None, *marks)
    assert found(called("torch._utils", "_rebuild_tensor_v2", *given)) == expected


@pytest.mark.parametrize("value", [np.float64(1), np.arange(3), np.random.RandomState(0), np.random.default_rng(0), np.add])
@pytest.mark.parametrize("protocol", [2, 5])
def test_every_name_that_this_numpy_writes_is_known(value: object, protocol: int) -> None:
    for one in needs_of(read_pickle(pickle.dumps(value, protocol))):
        assert one.what.startswith("numpy")
        assert one.is_portable


def test_a_dtype_that_numpy_1_cannot_read_needs_numpy_2() -> None:
    flags = {protocol: found(dtype_of_flags(144), protocol) for protocol in (2, 4)}
    assert flags == {2: [("numpy 2", 1, True)], 4: [("numpy 2", 1, True)]}
    assert found(dtype_of_flags(-112)) == found(dtype_of_flags(16)) == []


def dtype_of_flags(flags: int) -> Node:
    new = called("numpy", "dtype", "V4", False, True)
    new.add(Step("BUILD", items=[node((3, "|", None, None, None, 4, 1, flags))]))
    return new


def test_every_new_name_is_one_that_all_loaders_have() -> None:
    for module, name in [
        ("pathlib", "WindowsPath"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy", "bool"),
        ("exceptions", "ValueError"),
    ]:
        one = moved(module, name, 4)
        assert one is not None
        assert moved(*pair(one.new), 4) is None
    assert found(node({"a": 1})) == []
