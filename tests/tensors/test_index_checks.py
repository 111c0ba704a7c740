"""Indices: ptzip accepts exactly the sparse tensors that torch's own validation accepts, and no other tensor's wild indices."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.errors import FormatError

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore:::torch", "ignore:.*(Sparse|nested tensors|deprecated)")

LAYOUTS = ("sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc")
FAR = 1 << 40


def saved(value: object) -> bytes:
    """A checkpoint; saving and the tensors in it are never checked by torch here."""
    buffer = io.BytesIO()
    torch.save({"w": value}, buffer)
    return buffer.getvalue()


def found(data: bytes) -> list[str]:
    return [finding.message for finding in ptzip.scan(data).findings if finding.rule == "PTZ407"]


def sparse(layout: str, *parts: Any) -> Any:
    return torch._utils._rebuild_sparse_tensor(getattr(torch, layout), parts)


def ints(*values: object, dtype: Any = None) -> Any:
    return torch.tensor(values, dtype=dtype or torch.int64)


def honest(layout: str, dtype: Any = None, shape: tuple[int, ...] = (4, 6)) -> Any:
    dense = (torch.arange(24).reshape(shape) % 3).to(dtype or torch.float32)
    is_blocked = layout in ("sparse_bsr", "sparse_bsc")
    return dense.to_sparse(layout=getattr(torch, layout), **({"blocksize": (2, 3)} if is_blocked else {}))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64", "int64", "uint8"])
def test_sparse_tensors_of_torch_are_clean(layout: str, dtype: str) -> None:
    made = honest(layout, getattr(torch, dtype))
    for value in (made, torch.nn.Parameter(made) if dtype == "float32" else made, [made, made]):
        assert ptzip.scan(saved(value)).ok


def test_batches_dense_dimensions_and_odd_forms_are_clean() -> None:
    cube = torch.eye(4).repeat(3, 1, 1)
    pairs = torch.tensor([[0, 1], [2, 0], [3, 3]]).t()  # a view that is not contiguous
    values = [
        *(cube.to_sparse_csr(), cube.to_sparse_csc(), cube.to_sparse(), cube.to_sparse(1), cube.to_sparse_bsr((2, 2))),
        torch.eye(4).to_sparse_csr().to(torch.float64),
        torch.sparse_csr_tensor(ints(0, 1, dtype=torch.int32), ints(1, dtype=torch.int32), torch.ones(1), (1, 2)),
        torch.sparse_coo_tensor(pairs, torch.ones(3), (4, 4)),
        torch.sparse_coo_tensor(ints([0, 0], [1, 1]), torch.ones(2), (4, 4)),  # repeated, not coalesced
        torch.sparse_coo_tensor(size=(3, 4)),
        torch.sparse_coo_tensor(torch.empty(0, 2, dtype=torch.int64), torch.ones(2), ()),
        torch.sparse_coo_tensor(size=(0, 4)).coalesce(),
        torch.zeros(0, 4).to_sparse_csr(),
        torch.zeros(4, 0).to_sparse_csc(),
    ]
    for value in values:
        assert ptzip.scan(saved(value)).ok, value


def jagged(offsets: Any, lengths: Any = None) -> Any:
    from torch.nested._internal.nested_tensor import _rebuild_njt

    return _rebuild_njt({"values": torch.ones(6, 2), "offsets": offsets, "lengths": lengths, "_ragged_idx": 1})


def test_nested_tensors_of_torch_are_clean() -> None:
    parts = [torch.ones(2, 3), torch.ones(4, 3), torch.ones(0, 3)]
    padded = torch.nested.narrow(torch.ones(3, 5, 2), 1, ints(0, 1, 2), ints(2, 4, 1), layout=torch.jagged)
    values = [
        torch.nested.nested_tensor(parts),
        torch.nested.nested_tensor(parts[:2]).transpose(1, 2),
        torch.nested.nested_tensor([]),
        torch.nested.nested_tensor(parts, layout=torch.jagged),
        torch.nested.nested_tensor(parts, layout=torch.jagged).transpose(1, 2),
        *(padded, jagged(ints(0, 2, 6)), jagged(ints(0, 2, 6), ints(1, 4))),
    ]
    for value in values:
        assert ptzip.scan(saved(value)).ok


ONES = torch.ones(2)
CROW, COL = ints(0, 1, 2), ints(0, 1)
SQUARE = torch.Size([2, 2])
BLOCKS = torch.ones(2, 2, 2)


def nested(attribute: str, value: int) -> Any:
    """Two tensors in one buffer; the last number of an attribute is changed when torch has checked it."""
    made = torch.nested.nested_tensor([torch.ones(2, 2), torch.ones(2, 2)])
    getattr(made, f"_nested_tensor_{attribute}")().view(-1)[-1] = value
    return made


WILD: dict[str, Callable[[], Any]] = {
    "coo": lambda: sparse("sparse_coo", ints([0, FAR]), ONES, torch.Size([4]), False),
    "coo, negative": lambda: sparse("sparse_coo", ints([0, -1]), ONES, torch.Size([4]), False),
    "coo, one past the end": lambda: sparse("sparse_coo", ints([0, 4]), ONES, torch.Size([4])),
    "coo, not sorted": lambda: sparse("sparse_coo", ints([2, 1]), ONES, torch.Size([4]), True),
    "csr, slices": lambda: sparse("sparse_csr", ints(0, FAR, 2), COL, ONES, SQUARE),
    "csr, slices that go back": lambda: sparse("sparse_csr", ints(0, 2, 1, 2), COL, ONES, torch.Size([3, 2])),
    "csr, a last slice past the end": lambda: sparse("sparse_csr", ints(0, 1, 3), COL, ONES, SQUARE),
    "csr, columns": lambda: sparse("sparse_csr", CROW, ints(0, 2), ONES, SQUARE),
    "csc, rows": lambda: sparse("sparse_csc", CROW, ints(0, FAR), ONES, SQUARE),
    "csc, slices": lambda: sparse("sparse_csc", ints(0, -FAR, 2), COL, ONES, SQUARE),
    "bsr, columns": lambda: sparse("sparse_bsr", CROW, ints(0, 2), BLOCKS, torch.Size([4, 4])),
    "bsc, rows": lambda: sparse("sparse_bsc", CROW, ints(0, -1), BLOCKS, torch.Size([4, 4])),
    "nested, an offset": lambda: nested("storage_offsets", FAR),
    "nested, a size": lambda: nested("size", 3),
    "nested, a stride": lambda: nested("strides", (1 << 62) + 1),
    "nested, a negative offset": lambda: nested("storage_offsets", -1),
    "jagged, an offset": lambda: jagged(ints(0, FAR, 6)),
    "jagged, offsets that decrease": lambda: jagged(ints(0, 6, 2)),
    "jagged, a length": lambda: jagged(ints(0, 2, 6), ints(1, 5)),
}


@pytest.mark.parametrize("made", WILD.values(), ids=WILD)
def test_wild_indices_are_for_review_and_not_loaded(made: Callable[[], Any]) -> None:
    data = saved(made())
    assert found(data)
    assert ptzip.scan(data).verdict == "review"
    with pytest.raises(FormatError, match="a tensor has"):
        ptzip.load(data, unknown="keep")


def test_a_quantized_tensor_has_a_scale_for_each_channel() -> None:
    scales, points = torch.ones(4, dtype=torch.float64), torch.zeros(4, dtype=torch.int64)
    data = saved(torch.quantize_per_channel(torch.ones(4, 3), scales, points, 0, torch.qint8))
    assert ptzip.scan(data).ok
    for value in (1, 2, 255):  # 4 scales for an axis of 3, and axes that do not exist
        changed = _with_axis(data, value)
        assert found(changed), value


def _with_axis(data: bytes, axis: int) -> bytes:
    """The checkpoint with another channel axis; its CRC is then wrong, which is only a note."""
    import zipfile

    source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(target, "w") as output:
        for info in source.infolist():
            content = source.read(info)
            if info.filename.endswith("data.pkl"):
                assert content.count(b"K\x00tq") == 1
                content = content.replace(b"K\x00tq", bytes((0x4B, axis)) + b"tq")
            output.writestr(info.filename, content)
    return target.getvalue()


def random_sparse(chance: random.Random) -> tuple[str, tuple[Any, ...]]:
    """Constructor arguments that are often, but not always, those of a sparse tensor."""
    layout = chance.choice(LAYOUTS)
    made = honest(layout)
    if layout == "sparse_coo":
        made = made.coalesce() if chance.random() < 0.5 else made
        indices, values, size, coalesced = made._indices(), made._values(), made.size(), made.is_coalesced()
        return layout, (mutated(indices, chance), values, size, coalesced)
    rows = layout in ("sparse_csr", "sparse_bsr")
    compressed, plain = (made.crow_indices(), made.col_indices()) if rows else (made.ccol_indices(), made.row_indices())
    if chance.random() < 0.5:
        compressed = mutated(compressed, chance)
    else:
        plain = mutated(plain, chance)
    return layout, (compressed, plain, made.values(), made.size())


def mutated(indices: Any, chance: random.Random) -> Any:
    """One index changed, by one or by much, or two exchanged, or nothing."""
    found = indices.clone()
    flat = found.view(-1)
    one, other = chance.randrange(len(flat)), chance.randrange(len(flat))
    kind = chance.choice(("nothing", "near", "far", "exchanged"))
    if kind == "exchanged":
        flat[one], flat[other] = flat[other].item(), flat[one].item()
    elif kind != "nothing":
        flat[one] += chance.choice((-1, 1)) * (1 if kind == "near" else FAR)
    return found


def is_valid(layout: str, parts: tuple[Any, ...]) -> bool:
    try:
        if layout == "sparse_coo":
            torch._validate_sparse_coo_tensor_args(*parts)
        else:
            torch._validate_sparse_compressed_tensor_args(*parts, getattr(torch, layout))
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("seed", range(20))
def test_torch_and_ptzip_agree_on_sparse_tensors(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(20):
        layout, parts = random_sparse(chance)
        assert (not found(saved(sparse(layout, *parts)))) == is_valid(layout, parts), (layout, parts)


def test_indices_are_checked_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    from ptzip.tensors import index_checks

    monkeypatch.setattr(index_checks, "CHUNK", 3)
    test_nested_tensors_of_torch_are_clean()
    for made in WILD.values():
        assert found(saved(made()))
    for seed in range(5):
        test_torch_and_ptzip_agree_on_sparse_tensors(seed)


def test_a_file_without_such_tensors_is_scanned_without_numpy(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "a.pt").write_bytes(saved(torch.ones(3)))
    code = f"import sys, ptzip; assert ptzip.scan({str(tmp_path / 'a.pt')!r}).ok; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_indices_that_repeat_without_end_are_not_read() -> None:
    """Strides of 0 make a few bytes any number of indices; each is checked only as far as the file is large."""
    many = ints([0, 1, 2]).expand(1 << 30, 3), ints([0, 1]).expand(1 << 30, 2)
    value = sparse("sparse_csr", *many, torch.ones(1).expand(1 << 30, 2), torch.Size([1 << 30, 2, 2]))
    long = sparse("sparse_coo", ints([0]).expand(1, 1 << 40), torch.ones(1).expand(1 << 40), torch.Size([4]), False)
    for data in (saved(value), saved(long)):
        assert found(data) == ["this cannot be checked: too many indices, or the same ones too often"]


def test_offsets_in_the_state_of_a_jagged_tensor_are_found() -> None:
    """torch sets the attributes of a jagged tensor after it was made, `_offsets` too."""
    made = jagged(ints(0, 2, 6))
    function, arguments = made.__reduce_ex__(2)
    *given, state = arguments
    assert ptzip.scan(saved(Reduced(function, arguments))).ok
    assert found(saved(Reduced(function, (*given, {**state, "_offsets": ints(0, FAR, 6)}))))


@pytest.mark.parametrize(("place", "value"), [(1, FAR), (1, 1), (2, (5,)), (3, (FAR,))])
def test_a_quantized_tensor_past_its_storage_is_found(place: int, value: object) -> None:
    function, arguments = torch.quantize_per_tensor(torch.ones(4), 1.0, 0, torch.qint8).__reduce_ex__(2)
    data = saved(Reduced(function, (*arguments[:place], value, *arguments[place + 1 :])))
    assert ptzip.scan(data).verdict == "review"
    assert ptzip.scan(saved(Reduced(function, arguments))).ok


def test_indices_that_get_a_state_cannot_be_checked() -> None:
    """A pickle may set it after the sparse tensor was made, which keeps the indices that it was given."""
    function, arguments = ints([0, 1]).__reduce_ex__(2)
    indices = Reduced(function, arguments, {"note": 1})
    value = Reduced(torch._utils._rebuild_sparse_tensor, (torch.sparse_coo, (indices, ONES, torch.Size([4]), True)))
    assert found(saved(value)) == ["a tensor is computed while loading, so that its indices cannot be checked"]


class Reduced:
    """An object that is pickled as a call, maybe with a state."""

    def __init__(self, function: Any, arguments: tuple[Any, ...], *state: object) -> None:
        self.call = function, arguments, *state

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def test_many_sparse_tensors_on_one_storage_are_checked_in_time() -> None:
    """As many tensors as one file may have, whose indices all differ: what is read is bounded."""
    indices = torch.zeros(1, 20_000, dtype=torch.int64)
    tensors = [
        sparse("sparse_coo", indices[:, number:], torch.ones(1).expand(20_000 - number), torch.Size([4]))
        for number in range(500)
    ]
    assert found(saved(tensors)) == ["this cannot be checked: too many indices, or the same ones too often"]
    assert not found(saved([sparse("sparse_coo", indices, torch.ones(20_000), torch.Size([4])) for _ in range(500)]))
