"""Every tensor of the corpus is converted, and read by the library of the target format.

It is compared with the manifest, which has what torch read from the input; only tensors that the format cannot represent may be
left out.
"""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptzip
from tests.manifests import FileManifest, ManifestEntry
from tests.test_manifests import MANIFESTS, parameters

pytestmark = pytest.mark.slow

FILES = parameters([file for file in MANIFESTS if file.tensors])

NOT_IN_SAFETENSORS = {
    *("complex32", "complex128", "bits8", "bits16", "bits1x8", "bits2x4", "bits4x2"),
    *("qint8", "quint8", "qint32", "quint4x2"),
}
NOT_IN_NUMPY = NOT_IN_SAFETENSORS - {"complex128"} | {
    *("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2"),
}


def is_dense(found: ManifestEntry) -> bool:
    """Whether a tensor has values of its own, one after the other."""
    return "sha256" in found.facts


def dtype(found: ManifestEntry) -> str:
    return str(found.facts.get("dtype")).removeprefix("torch.")


def without_form(file: FileManifest, missing: set[str]) -> set[str]:
    """The names of the tensors that a format without these dtypes cannot hold."""
    return {found.name for found in file.tensors if not is_dense(found) or dtype(found) in missing}


def converted(file: FileManifest, target: Path) -> ptzip.ConvertReport | None:
    """The report, or None if the format can represent none of the tensors."""
    try:
        return ptzip.convert(file.path, target, all=True)
    except ptzip.EditError as error:
        if "can represent none of the tensors" in str(error):
            return None
        raise


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def differences(file: FileManifest, read: dict[str, str], missing: set[str]) -> list[str]:
    """The tensors that are missing or differ from what torch read from the input."""
    expected = {found.name: found.facts["sha256"] for found in file.tensors if "sha256" in found.facts}
    return [name for name, digest in expected.items() if name not in missing and read.get(name) != digest]


@pytest.mark.torch
@pytest.mark.parametrize("file", FILES)
def test_the_library_reads_every_tensor_from_safetensors(file: FileManifest, tmp_path: Path) -> None:
    from safetensors import safe_open

    missing = without_form(file, NOT_IN_SAFETENSORS)
    report = converted(file, tmp_path / "x.safetensors")
    if report is None:
        assert missing == {found.name for found in file.tensors}
        return
    assert {one.name for one in report.left_out} & {found.name for found in file.tensors} == missing
    with safe_open(tmp_path / "x.safetensors", framework="pt") as opened:
        metadata, names = opened.metadata(), set(opened.keys())
        read = {name: sha256(raw(opened.get_tensor(name))) for name in names}
    assert metadata == {"format": "pt", **report.ties}
    assert names.isdisjoint(report.ties)
    assert differences(file, read | {name: read[kept] for name, kept in report.ties.items()}, missing) == []


def raw(tensor: Any) -> bytes:
    """The bytes of a contiguous tensor of torch."""
    import torch

    flat = tensor.detach().contiguous().reshape(-1)
    flat = flat.as_strided(flat.shape, (1,))
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


@pytest.mark.torch
@pytest.mark.filterwarnings(
    "ignore:TypedStorage is deprecated",
    "ignore:ComplexHalf",
    "ignore:Sparse",
    "ignore:The PyTorch API",
    "ignore:torch.quantize",
)
@pytest.mark.parametrize("file", FILES)
def test_torch_reads_every_tensor_from_a_state_dict(file: FileManifest, tmp_path: Path) -> None:
    import torch

    report = converted(file, tmp_path / "x.pt")
    if report is None:
        assert not any(map(is_dense, file.tensors))
        return
    loaded = torch.load(tmp_path / "x.pt", weights_only=True)
    assert torch.load(tmp_path / "x.pt", weights_only=True, mmap=True).keys() == loaded.keys()
    missing = {one.name for one in report.left_out}
    assert missing.isdisjoint(found.name for found in file.tensors if is_dense(found))
    read = {name: member(loaded, name) for name in (found.name for found in file.tensors) if name not in missing}
    digests = {
        name: sha256(values(tensor))
        for name, tensor in read.items()
        if not tensor.is_nested and tensor.layout == torch.strided and not tensor.is_meta
    }
    assert differences(file, digests, missing) == []
    wrong = [
        found.name
        for found in file.tensors
        if found.name in read and is_dense(found) and facts(read[found.name]) != expected_facts(found)
    ]
    assert wrong == []


def member(loaded: dict[str, Any], name: str) -> Any:
    """The tensor of a name; the components of a sparse or quantized one are its methods."""
    import torch

    if name in loaded:
        return loaded[name]
    whole, _, part = name.rpartition(".")
    return getattr(loaded[whole], f"_{part}" if loaded[whole].layout == torch.sparse_coo else PARTS.get(part, part))()


PARTS = {"q_scales": "q_per_channel_scales", "q_zero_points": "q_per_channel_zero_points"}
"""What torch calls the components of a quantized tensor."""


def values(tensor: Any) -> bytes:
    import torch

    if tensor.is_quantized:
        if tensor.dtype == torch.quint4x2:
            return bytes(tensor.contiguous().untyped_storage())[: -(-tensor.numel() // 2)]
        return raw(tensor.int_repr())
    return raw(tensor.resolve_conj().resolve_neg())


def facts(tensor: Any) -> tuple[Any, ...]:
    return str(tensor.dtype), list(tensor.shape), str(tensor.layout)


def expected_facts(found: ManifestEntry) -> tuple[Any, ...]:
    facts = found.facts
    return f"torch.{dtype(found)}", facts["shape"], facts.get("layout", "torch.strided")


@pytest.mark.parametrize("file", FILES)
def test_numpy_reads_every_tensor_from_an_npz(file: FileManifest, tmp_path: Path) -> None:
    missing = without_form(file, NOT_IN_NUMPY)
    report = converted(file, tmp_path / "x.npz")
    if report is None:
        assert missing == {found.name for found in file.tensors}
        return
    assert {one.name for one in report.left_out} & {found.name for found in file.tensors} == missing
    with np.load(tmp_path / "x.npz") as opened:
        read = {name: sha256(np.ascontiguousarray(opened[name]).tobytes()) for name in opened.files}
    assert differences(file, read, missing) == []


@pytest.mark.parametrize("dtype", ["keep", "float16", "bfloat16"])
@pytest.mark.parametrize("file", FILES)
def test_the_weights_are_those_that_slim_leaves(file: FileManifest, dtype: Any, tmp_path: Path) -> None:
    try:
        report = ptzip.convert(file.path, tmp_path / "x.pt", dtype=dtype)
        slim = ptzip.slim(file.path, tmp_path / "slim.pt", dtype=dtype, format="zip", scan=False)
    except ptzip.PtzipError as error:
        pytest.skip(str(error))
    with ptzip.open(slim.output or file.path) as after, ptzip.open(tmp_path / "x.pt") as found:
        left_out = {one.name for one in report.left_out}
        assert {name: facts_and_bytes(one) for name, one in without_parts(found).items()} == {
            name: facts_and_bytes(one) for name, one in without_parts(after, left_out).items() if name not in left_out
        }
    assert report.wide == slim.wide


def without_parts(tensors: Mapping[str, ptzip.Tensor], left_out: Collection[str] = ()) -> dict[str, ptzip.Tensor]:
    """The tensors that are no components below others; those of a tensor that is left out are written in its place."""
    owned = ((name, tensor) for name, tensor in tensors.items() if name not in left_out)
    owners = {id(part): name for name, tensor in owned for part in tensor.components.values()}
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{owners.get(id(tensor), name)}.")}


def facts_and_bytes(tensor: ptzip.Tensor) -> object:
    return tensor.dtype, tensor.shape, tensor.tobytes() if tensor.storage is not None else None
