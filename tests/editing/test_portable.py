"""`--portable`: what comes of it are the same objects, under names that every loader has, and nothing else changed.

`tests/portable/matrix.py` tries the same with other interpreters, numpys and torches.
"""

import argparse
import collections
import pathlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import ptzip
from ptzip.allowlist.needs import needs_of
from ptzip.checkpoint import Checkpoint
from ptzip.editing.edit import Edit
from ptzip.editing.portable import make_portable
from ptzip.io.payloads import read_all
from ptzip.io.sources import BytesSource
from ptzip.pickling.new_nodes import atom, named, new_list, new_tuple, replace_below
from ptzip.pickling.nodes import Call, Global, Node, Pickle, Step
from ptzip.pickling.reader import read_pickle
from ptzip.pickling.writer import write_pickle
from ptzip.values.builder import build_array
from tests.checkpoint_builder import CheckpointBuilder, called, module, node, numbers, ordered
from tests.corpus import parameters

PROTOCOLS = (0, 1, 2, 3, 4, 5)


def portable(data: bytes) -> bytes:
    """The portable spelling of a pickle without tensors."""
    edit = Edit(Checkpoint(BytesSource(data)).main)
    make_portable(edit, build_array)
    return edit.finish().pickle


def pins(data: bytes) -> list[str]:
    """What a pickle needs that another spelling would not."""
    return [one.what for one in needs_of(read_pickle(data)) if one.is_portable]


def respelled(data: bytes, names: dict[str, str]) -> bytes:
    """A pickle with other names, as another version would have written it."""
    found = read_pickle(data)
    assert found.root is not None
    top = [found.root]

    def new(one: Node) -> Node | None:
        path = names.get(one.path) if isinstance(one, Global) else None
        return Global("GLOBAL", tuple(path.rsplit(".", 1)), steps=one.steps) if path is not None else None

    replace_below(top, new)
    found.root = top[0]
    return write_pickle(found)


FOREIGN: tuple[dict[str, str], ...] = (
    {},
    {"pathlib.PosixPath": "pathlib._local.PosixPath", "pathlib.PureWindowsPath": "pathlib._local.PureWindowsPath"},
    {"pathlib.PosixPath": "pathlib.WindowsPath"},
    {"pathlib.PosixPath": "pathlib._local.WindowsPath"},
    {f"numpy.core.multiarray.{name}": f"numpy._core.multiarray.{name}" for name in ("scalar", "_reconstruct")},
    {f"numpy._core.multiarray.{name}": f"numpy.core.multiarray.{name}" for name in ("scalar", "_reconstruct")},
    {"numpy._core.numeric._frombuffer": "numpy.core.numeric._frombuffer"},
    {"numpy.bool": "numpy.bool_", "numpy.bool_": "numpy.bool"},
)
"""Names that other systems and versions write, by those that this one may write."""

parts = st.text("ab c.é-", min_size=1, max_size=4).filter(lambda text: text.strip(". "))
paths = st.lists(parts, max_size=4).map(lambda found: pathlib.PosixPath(*found)) | parts.map(
    lambda text: pathlib.PosixPath("/", text)
)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.binary(max_size=5)
aligned = np.dtype([("a", "u1"), ("b", "f8")], align=True)
dtypes = st.sampled_from(
    ["f8", "f4", "f2", "i8", "u1", "?", "c8", "U3", "S2", "O", "M8[s]", ">i4", [("a", "f4"), ("b", "i2")], aligned]
)


@st.composite
def arrays(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    found = np.zeros(shape, draw(dtypes))
    if found.dtype.kind in "fiu":
        found[...] = np.arange(found.size).reshape(shape)
    return draw(st.sampled_from([found, np.asfortranarray(found), found.T, np.moveaxis(found, 0, -1) if shape else found]))


scalars = st.sampled_from(["f8", "f4", "f2", "i8", "u1", "?", "c8", "U3", "S2"]).map(lambda code: np.ones(1, code)[0])
classes = st.sampled_from([np.float32, np.bool_, np.dtype("f4"), np.ndarray, np.str_, np.random.MT19937])
generators = st.integers(0, 99).flatmap(
    lambda seed: st.sampled_from(
        [
            np.random.RandomState(seed),
            np.random.default_rng(seed),
            np.random.Generator(np.random.Philox(seed)),
            np.random.Generator(np.random.SFC64(seed)),
            np.random.MT19937(seed),
        ]
    )
)
special = paths | arrays() | scalars | classes | generators
objects = st.recursive(
    plain | special,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.tuples(inner, inner)
        | inner.map(lambda one: [one, one])
        | inner.map(lambda one: argparse.Namespace(save_dir=one))
        | inner.map(lambda one: collections.OrderedDict(a=one))
    ),
    max_leaves=6,
)


def same(old: Any, new: Any) -> bool:
    """Whether two objects are equal, random generators by the numbers that come next."""
    if isinstance(old, np.random.RandomState | np.random.Generator):
        return type(old) is type(new) and bool(old.bytes(9) == new.bytes(9))
    if isinstance(old, np.random.BitGenerator):
        return type(old) is type(new) and bool((old.random_raw(3) == new.random_raw(3)).all())
    if isinstance(old, np.ndarray | np.generic):
        kinds = [one.dtype.newbyteorder("=") for one in (old, new)]  # numpy loads arrays of protocol 2 in native order
        return kinds[0] == kinds[1] and old.shape == new.shape and repr(old.tolist()) == repr(new.tolist())
    if isinstance(old, dict):
        return type(old) is type(new) and list(old) == list(new) and all(same(old[key], new[key]) for key in old)
    if isinstance(old, list | tuple):
        return len(old) == len(new) and all(map(same, old, new))
    if isinstance(old, argparse.Namespace):
        return same(vars(old), vars(new))
    return bool(old == new) and isinstance(new, type(old))


@hypothesis.settings(deadline=None, max_examples=300, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(objects, st.sampled_from(PROTOCOLS), st.sampled_from(FOREIGN))
def test_an_object_is_equal_afterwards_and_pinned_to_nothing(value: Any, protocol: int, names: dict[str, str]) -> None:
    old = pickle.dumps(value, protocol)
    new = portable(respelled(old, names))
    assert same(pickle.loads(old), pickle.loads(new))
    assert pins(new) == []
    assert portable(new) == new


@hypothesis.settings(deadline=None, max_examples=100)
@hypothesis.given(plain, special, plain)
def test_the_bytes_around_what_is_respelled_stay(before: Any, value: Any, after: Any) -> None:
    def written(inner: Any) -> bytes:
        return pickle.dumps(["first", before, inner, after, "last"], 2)

    old, new, none = written(value), portable(written(value)), written(None)
    around = old.index(b"first") + 5
    assert new[:around] == old[:around]
    assert new.endswith(none[none.index(b"X\x04\x00\x00\x00last") :].replace(none[-4:], old[-4:]))


@pytest.mark.parametrize(
    "value", [None, {"a": [1, 2.5, b"x"]}, {"path": pathlib.PurePosixPath("a")}], ids=["none", "plain", "pure"]
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_portable_already_keeps_every_byte(value: Any, protocol: int) -> None:
    data = respelled(pickle.dumps(value, protocol), {"pathlib._local.PurePosixPath": "pathlib.PurePosixPath"})
    assert portable(data) == data


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("runs", "train"), "runs/train"),
        (("D:\\", "py", "last.pt"), "D:/py/last.pt"),
        (("runs\\train",), "runs/train"),
        (("\\\\host\\share\\", "a"), "//host/share/a"),
        ((), "."),
    ],
)
@pytest.mark.parametrize("home", ["pathlib", "pathlib._local"])
def test_a_windows_path_is_the_same_path_on_windows(parts: tuple[str, ...], expected: str, home: str) -> None:
    data = write_pickle(Pickle(called(home, "WindowsPath", *parts), protocol=2))
    assert pickle.loads(portable(data)) == Path(expected)
    assert pathlib.PureWindowsPath(expected) == pathlib.PureWindowsPath(*parts)


def test_names_of_python_2_are_those_of_python_3_where_loaders_do_not_translate_them() -> None:
    root = new_tuple(named("__builtin__", "unicode"), named("copy_reg", "_reconstructor"), named("exceptions", "ValueError"))
    new = read_pickle(portable(write_pickle(Pickle(root, protocol=4))))
    assert [one.path for one in new.calls if isinstance(one, Global)] == [
        "builtins.str",
        "copyreg._reconstructor",
        "builtins.ValueError",
    ]
    old = write_pickle(Pickle(root, protocol=2))
    assert portable(old) == old


def test_the_bytes_of_an_array_of_python_2_load() -> None:
    array = np.array([-1.5, 1e300])
    data = pickle.dumps(array, 2)
    text = array.tobytes().decode("latin-1")
    found = read_pickle(data)
    assert found.root is not None
    top = [found.root]

    def as_python_2(one: Node) -> Node | None:
        is_data = isinstance(one, Call) and one.path == "_codecs.encode" and getattr(one.arguments[0], "value", "") == text
        return type(one.arguments[0])("SHORT_BINSTRING", array.tobytes()) if is_data and isinstance(one, Call) else None

    replace_below(top, as_python_2)
    found.root = top[0]
    old = write_pickle(found)
    with pytest.raises(UnicodeDecodeError):
        pickle.loads(old)
    np.testing.assert_array_equal(pickle.loads(portable(old)), array)


def test_an_aligned_dtype_of_numpy_2_has_the_flags_of_numpy_1() -> None:
    dtype = called("numpy", "dtype", "V4", False, True)
    dtype.add(Step("BUILD", items=[node((3, "|", None, None, None, 4, 1, 144))]))
    new = write_pickle(Pickle(dtype, protocol=2))
    dtype.steps[-1].items[0].parts[-1] = atom(-112)
    assert portable(new) == write_pickle(Pickle(dtype, protocol=2))


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("is_shared", [True, False])
def test_generators_that_no_longer_share_a_bit_generator_are_a_warning(order: int, is_shared: bool) -> None:
    """As numpy 2 writes them, whichever numpy runs the test."""
    bits = [called("numpy.random._pickle", "__bit_generator_ctor", named("numpy.random._pcg64", "PCG64")) for _ in range(2)]
    for one in bits:
        one.add(Step("BUILD", items=[new_tuple(node({"state": 1}), atom(None))]))
    generator = called("numpy.random._pickle", "__generator_ctor", bits[0])
    parts: list[Node] = [generator, generator, bits[0 if is_shared else 1]]
    edit = Edit(Checkpoint(BytesSource(write_pickle(Pickle(new_list(parts[::order]), protocol=2)))).main)
    make_portable(edit, build_array)
    assert bool(edit.account.warnings) == is_shared


def test_the_state_of_a_gpu_does_not_become_one_of_the_cpu() -> None:
    generator = called("torch._C", "Generator", device := called("torch", "device", "cuda", 0))
    generator.add(Step("BUILD", items=[node((1, 2, None))]))
    data = write_pickle(Pickle(new_list([generator, called("torch", "device", "cuda", 1)]), protocol=2))
    expected = new_list([generator, called("torch", "device", "cpu")])
    assert portable(data) == write_pickle(Pickle(expected, protocol=2))
    assert device.arguments[0].arg == "cuda"


def test_an_8_bit_text_loads_whatever_the_encoding() -> None:
    data = b"\x80\x02U\x05caf\xc3\xa9."
    assert pickle.loads(portable(data)) == "café"
    assert pickle.loads(portable(b"\x80\x02U\x02\xff\xfe.")) == b"\xff\xfe"


def with_state(builder: CheckpointBuilder) -> Call:
    return called("torch._utils", "_rebuild_parameter_with_state", builder.tensor(numbers(2)), True, ordered(), {"tag": "x"})


def device_tensor(values: Any) -> Call:
    """A tensor of a device as `torch.save` writes it: as an array."""
    data = pickle.dumps(np.asarray(values, "f4"), 2)
    array = read_pickle(data).root
    assert array is not None
    dtype, device = named("torch", "float32"), called("torch", "device", "mps")
    return called("torch._utils", "_rebuild_device_tensor_from_numpy", array, dtype, device, True)


def checkpoint(tmp_path: Path) -> Path:
    """A file with everything that old torch, or a machine without a GPU, cannot load."""
    builder = CheckpointBuilder(location="cuda:1")
    version = Call("NEWOBJ", None, [named("torch.torch_version", "TorchVersion"), node(("2.13.0+cu121",))], [])
    layer = module(parameters={"weight": builder.parameter(numbers(4)), "bias": with_state(builder)}, buffers={})
    layer.steps[-1].items[0].steps[-1].items += [atom("save_dir"), called("pathlib", "WindowsPath", "D:\\", "runs")]
    root = {"model": layer, "device": called("torch", "device", "cuda", 1), "version": version, "mps": device_tensor([1, 2])}
    return builder.save(tmp_path / "last.pt", root)


def test_a_checkpoint_is_pinned_to_nothing_afterwards(tmp_path: Path) -> None:
    path = checkpoint(tmp_path)
    report = ptzip.convert(path, tmp_path / "new.pt", portable=True)
    found = ptzip.inspect(tmp_path / "new.pt")
    pinned = {one.what for one in ptzip.inspect(path).needs if one.is_portable}
    assert pinned >= {"Windows", "device cuda:1", "torch 1.10 or later", "torch 2.0 or later"}
    assert [one.what for one in found.needs] == ["classes of models", "torch 1.9 or later"]
    assert report.notes[-2:] == (
        "not portable: it needs classes of models (models.common.Layer)",
        "not portable: it needs torch 1.9 or later (torch._tensor._rebuild_from_type_v2)",
    )


@pytest.mark.torch
def test_torch_loads_it_as_it_was(tmp_path: Path) -> None:
    import torch

    ptzip.convert(
        checkpoint(tmp_path),
        tmp_path / "new.pt",
        portable=True,
        rename_class={"models.common.Layer": "torch.nn.modules.linear.Linear"},
    )
    found = torch.load(tmp_path / "new.pt", weights_only=False)
    assert found["device"] == torch.device("cpu")
    assert found["version"] == "2.13.0+cu121"
    assert found["mps"].tolist() == [1, 2]
    assert found["mps"].requires_grad
    assert found["model"].bias.tag == "x"
    assert type(found["model"].bias) is torch.nn.Parameter
    assert found["model"].save_dir == Path("D:/runs")


@pytest.mark.parametrize("path", [*parameters("format"), *parameters("yolo")])
def test_every_tensor_of_the_corpus_keeps_its_bytes_and_a_second_time_nothing_changes(path: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.pt"
    try:
        ptzip.convert(path, new, portable=True)
    except ptzip.PtzipError as error:
        pytest.skip(str(error)[:80])
    with ptzip.open(path) as old, ptzip.open(new) as written:
        if old.format == "torch.save zip":
            before, after = ([read_all(file.main.stored(key)) for key in file.main.storages] for file in (old, written))
            assert after[: len(before)] == before
    assert not [one.what for one in ptzip.inspect(new).needs if one.is_portable]
    assert ptzip.slim(new, portable=True, dtype="keep", trim=False, keep="*", dry_run=True, recipe="generic").already_slim


def test_portable_tensors_cannot_stay_on_their_device() -> None:
    with pytest.raises(ValueError, match="location cannot be 'keep'"):
        ptzip.slim("last.pt", portable=True, location="keep")


# With the other options of slim


def pinned_file(tmp_path: Path) -> Path:
    """A file of which each part is pinned to something."""
    builder = CheckpointBuilder(location="cuda:0")
    root = {
        "model": module("models.Net", {"weight": builder.parameter(numbers(64))}),
        "again": builder.tensor(numbers(64)),
        "path": called("pathlib", "WindowsPath", "C:\\", "a"),
        "version": Call("NEWOBJ", None, [named("torch.torch_version", "TorchVersion"), node(("2.1.0",))], []),
        "fitness": read_pickle(pickle.dumps(np.float64(0.5), 2)).root,
    }
    return builder.save(tmp_path / "last.pt", root)


OPTIONS: dict[str, dict[str, Any]] = {
    "check": {"check": True},
    "dedupe": {"dedupe": True},
    "plain": {"plain": True},
    "legacy": {"format": "legacy"},
    "recipe": {"recipe": "generic", "drop": "path"},
    "float32": {"dtype": "keep"},
    "renamed": {"rename_class": {"models.Net": "package.Net"}},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_it_goes_together_with_the_other_options(options: dict[str, Any], tmp_path: Path) -> None:
    new = tmp_path / "new.pt"
    report = ptzip.slim(pinned_file(tmp_path), new, portable=True, **options)
    assert report.output == str(new)
    assert [one.what for one in ptzip.inspect(new).needs if one.is_portable] == []
    assert ptzip.verify(new).ok
    assert ptzip.slim(new, portable=True, dry_run=True, **options | {"drop": (), "rename_class": {}}).already_slim


def test_plain_and_portable_leave_nothing_that_needs_a_class(tmp_path: Path) -> None:
    ptzip.slim(pinned_file(tmp_path), tmp_path / "new.pt", portable=True, plain=True)
    assert ptzip.inspect(tmp_path / "new.pt").needs == ()
    loaded: Any = ptzip.load(tmp_path / "new.pt")
    assert (loaded["path"], loaded["version"], loaded["fitness"]) == ("C:/a", "2.1.0", 0.5)


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_the_checkpoints_of_a_collection_become_portable(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        pinned_file(tmp_path).rename(tmp_path / "in" / f"{name}.pt")
    archive = shutil.make_archive(str(tmp_path / "all"), suffix, tmp_path / "in")
    ptzip.slim(archive, tmp_path / f"new.{suffix}", portable=True)
    assert [one.what for one in ptzip.inspect(tmp_path / f"new.{suffix}").needs] == ["classes of models"]


def test_a_bare_pickle_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "last.pkl"
    path.write_bytes(pickle.dumps({"path": Path("a"), "values": np.arange(3)}, 5))
    ptzip.slim(path, tmp_path / "new.pkl", portable=True, format="same")
    with (tmp_path / "new.pkl").open("rb") as file:
        found = pickle.load(file)
    assert (found["path"], found["values"].tolist()) == (Path("a"), [0, 1, 2])


def test_a_safetensors_file_says_that_it_is_portable(tmp_path: Path) -> None:
    ptzip.convert(pinned_file(tmp_path), tmp_path / "new.safetensors")
    report = ptzip.slim(tmp_path / "new.safetensors", portable=True, dry_run=True)
    assert "safetensors names no class and no version: it loads everywhere as it is" in report.notes
    with pytest.raises(ptzip.EditError, match="an object, and safetensors has none"):
        ptzip.convert(pinned_file(tmp_path), tmp_path / "other.safetensors", portable=True)


@pytest.mark.parametrize(
    "option", [{"select": "a"}, {"strip": "auto"}, {"prefix": "a"}, {"dtype": "float16"}, {"sidecar": True}]
)
def test_the_object_as_a_whole_excludes_what_is_about_its_tensors(option: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ptzip.EditError, match="write the object as a whole"):
        ptzip.convert(pinned_file(tmp_path), tmp_path / "new.pt", portable=True, **option)


def test_a_file_of_several_checkpoints_has_no_object_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        pinned_file(tmp_path).rename(tmp_path / "in" / f"{name}.pt")
    archive = shutil.make_archive(str(tmp_path / "all"), "tar", tmp_path / "in")
    with pytest.raises(ptzip.EditError, match="name one of them"):
        ptzip.convert(archive, tmp_path / "new.pt", portable=True)
    assert ptzip.convert(f"{archive}::a.pt", tmp_path / "new.pt", portable=True).ok


def test_a_file_of_tensors_alone_is_portable_and_has_no_classes(tmp_path: Path) -> None:
    ptzip.convert(pinned_file(tmp_path), tmp_path / "new.safetensors")
    assert ptzip.convert(tmp_path / "new.safetensors", tmp_path / "new.pt", portable=True).tensors == 2
    with pytest.raises(ptzip.EditError, match="names no classes"):
        ptzip.convert(tmp_path / "new.safetensors", tmp_path / "other.pt", rename_class={"a.*": "b.*"})


def test_diff_names_only_what_was_respelled(tmp_path: Path) -> None:
    path, new = pinned_file(tmp_path), tmp_path / "new.pt"
    ptzip.convert(path, new, portable=True)
    found = ptzip.diff(path, new)
    assert [(one.are_equal, [fact.what for fact in one.facts]) for one in found.tensors] == [
        (True, ["device"])
    ] * found.compared
    assert (found.only_a, found.only_b) == ((), ())
    assert sorted(one.name for one in found.changed) == ["path", "version"]


def test_what_the_output_cannot_do_without_is_noted(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", {"w": builder.tensor(numbers(64)), "dtype": named("torch", "float8_e4m3fn")})
    report = ptzip.slim(path, portable=True, dry_run=True)
    assert "not portable: it needs torch 2.1 or later (torch.float8_e4m3fn)" in report.notes
