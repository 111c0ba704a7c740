"""Every tensor, array and storage that torch read from the corpus, found by ptzip as torch read it.

Nothing of a manifest is ignored; every comparison that is not literal has its reason beside it. How many files and tensors
that were, by format, is printed in a table at the end of the output.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import ptzip
from ptzip import Tensor
from tests.corpus import CORPUS, needs_corpus
from tests.manifests import FileManifest, ManifestEntry, file_manifests, follow

MANIFESTS = list(file_manifests())


def parameters(chosen: list[FileManifest]) -> list[Any]:
    """One pytest parameter for each file, or one that is skipped (fails in CI) where the corpus is missing."""
    found = [pytest.param(file, id=str(file.path.relative_to(CORPUS))) for file in chosen]
    return found or [pytest.param(None, marks=needs_corpus, id="corpus missing")]


FILES = parameters(MANIFESTS)

TOLD = {
    "qscheme": "qscheme",
    "q_scale": "scale",
    "q_zero_point": "zero_point",
    "q_axis": "axis",
    "is_conj": "is_conj",
    "is_neg": "is_neg",
    "storage_offset": "offset",
    "offset": "offset",
    "cls": "class_path",
}
"""What a manifest calls something that is compared as it is, and what a tensor calls it."""

Counts = dict[str, list[int]]
FILES_AT, TENSORS_AT, ARRAYS_AT = range(3)


@pytest.fixture(scope="module")
def counts(request: pytest.FixtureRequest) -> Iterator[Counts]:
    """What was compared, by format; shown once all is done."""
    found: Counts = defaultdict(lambda: [0, 0, 0])
    yield found
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():  # type: ignore[union-attr]
        print("", *table(found), sep="\n")


def table(counts: Counts) -> list[str]:
    """A line for each format, and the sum of all."""
    rows = [*sorted(counts.items()), ("all", [sum(column) for column in zip(*counts.values(), strict=True)])]
    head = f"{'format':<12}{'files':>8}{'tensors':>10}{'arrays and storages':>22}"
    return [head, *(f"{name:<12}{row[0]:>8}{row[1]:>10}{row[2]:>22}" for name, row in rows if row)]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def differences(tensor: Tensor, found: ManifestEntry, file: FileManifest) -> Iterator[str]:
    """One line for each thing in which a tensor is not what torch read."""
    facts = {**found.facts, "qscheme": found.facts.get("qscheme", "").removeprefix("torch.")}
    pairs = [(name, getattr(tensor, mine), facts[name]) for name, mine in TOLD.items() if facts.get(name) is not None]
    pairs += _facts(tensor, facts, file)
    if "sha256" in facts:
        pairs.append(("sha256", sha256(tensor.tobytes()), facts["sha256"]))
    yield from (f"{found.name}: {name} {got}, expected {want}" for name, got, want in pairs if got != want)


def _facts(tensor: Tensor, facts: dict[str, Any], file: FileManifest) -> Iterator[tuple[str, Any, Any]]:
    """What a manifest spells in its own way, or does not know of every tensor: name, what there is, what is expected."""
    if facts.get("dtype"):
        yield "dtype", tensor.dtype, facts["dtype"].removeprefix("torch.")
    if facts.get("shape") is not None:
        yield "shape", list(tensor.shape), facts["shape"]
    if facts.get("stride") is not None:
        yield "stride", list(tensor.stride), facts["stride"]
    if facts.get("layout") and tensor.layout != "nested":  # torch calls the layout of a nested tensor strided
        yield "layout", f"torch.{tensor.layout}", facts["layout"]
    if facts.get("device") and not file.is_moved:
        yield "device", tensor.device, facts["device"]
    if tensor.is_coalesced is not None:  # files before torch 2.1 do not tell
        yield "is_coalesced", tensor.is_coalesced, facts["is_coalesced"]
    if not file.is_detached:
        yield "requires_grad", tensor.requires_grad, facts["requires_grad"]
    if "storage_nbytes" in facts and tensor.storage is not None:
        yield "size of the storage", tensor.storage.size, facts["storage_nbytes"]
    if facts.get("storage_key") is not None:
        yield "storage", tensor.storage and tensor.storage.key, facts["storage_key"]


@pytest.mark.parametrize("file", FILES)
def test_every_tensor_is_found_as_torch_read_it(file: FileManifest, counts: Counts) -> None:
    with ptzip.open(file.path) as checkpoint:
        tensors = checkpoint.tensors()
        missing = [found.name for found in file.tensors if found.name not in tensors]
        assert missing == []
        wrong = [line for found in file.tensors for line in differences(tensors[found.name], found, file)]
    assert wrong == []
    counts[file.format][FILES_AT] += 1
    counts[file.format][TENSORS_AT] += len(file.tensors)


@pytest.mark.parametrize("file", FILES)
def test_tensors_share_a_storage_where_they_did_in_memory(file: FileManifest) -> None:
    groups: dict[int, set[int]] = defaultdict(set)
    with ptzip.open(file.path) as checkpoint:
        tensors = checkpoint.tensors()
        for found in file.tensors:
            group, held = found.facts.get("storage_group", found.facts.get("storage")), tensors[found.name].storage
            if group is not None and held is not None and held.size:
                groups[group].add(id(held))
    assert [group for group, held in groups.items() if len(held) > 1] == []
    assert len(set().union(*groups.values())) == len(groups)


@pytest.mark.parametrize("file", parameters([file for file in MANIFESTS if file.arrays or file.storages]))
def test_every_array_and_every_storage_is_loaded_as_torch_read_it(file: FileManifest, counts: Counts) -> None:
    root = ptzip.load(file.path, unknown="keep")
    arrays = [line for found in file.arrays for line in array_differences(follow(root, found.steps), found)]
    storages = [line for found in file.storages for line in storage_differences(follow(root, found.steps), found)]
    assert arrays + storages == []
    counts[file.format][ARRAYS_AT] += len(file.arrays) + len(file.storages)


def array_differences(array: npt.NDArray[Any], found: ManifestEntry) -> Iterator[str]:
    little = array.astype(array.dtype.newbyteorder("<"))
    facts = found.facts
    pairs: list[tuple[str, object, object]] = [
        ("dtype", str(little.dtype), facts["dtype"]),
        ("shape", list(array.shape), facts["shape"]),
    ]
    if "fortran" in facts:
        pairs.append(("fortran", array.flags.f_contiguous and not array.flags.c_contiguous, facts["fortran"]))
    if "sha256" in facts:
        pairs.append(("sha256", sha256(little.tobytes()), facts["sha256"]))
    yield from (f"{found.steps}: {name} {got}, expected {want}" for name, got, want in pairs if got != want)


def storage_differences(array: npt.NDArray[Any], found: ManifestEntry) -> Iterator[str]:
    facts = found.facts
    pairs = [
        ("dtype", f"torch.{array.dtype}", facts["dtype"]),
        ("size", array.nbytes, facts["nbytes"]),
        ("sha256", sha256(array.tobytes()), facts["sha256"]),
    ]
    yield from (f"{found.steps}: {name} {got}, expected {want}" for name, got, want in pairs if got != want)


NO_FORM = frozenset({"complex32", "quint4x2", "quint2x4", *(f"bits{kind}" for kind in ("8", "16", "1x8", "2x4", "4x2"))})
"""The dtypes that numpy and ml_dtypes do not have."""


@pytest.mark.parametrize("file", FILES)
def test_what_a_tensor_gives_numpy_are_its_bytes(file: FileManifest) -> None:
    with ptzip.open(file.path) as checkpoint:
        tensors = checkpoint.tensors()
        for tensor in (tensors[found.name] for found in file.tensors if "sha256" in found.facts):
            if tensor.dtype in NO_FORM:
                with pytest.raises(ptzip.UnsupportedError, match=tensor.dtype):
                    tensor.numpy()
            elif tensor.dtype != "float4_e2m1fn_x2":  # the two values of a byte are two elements
                array = tensor.numpy()
                assert array.shape == tensor.shape
                assert np.ascontiguousarray(array).tobytes() == tensor.tobytes()


@needs_corpus
def test_the_manifests_list_what_they_listed_before() -> None:
    """A truth that was lost would not be missed otherwise."""
    assert sum(len(file.tensors) for file in MANIFESTS) >= 4693
    assert sum(len(file.arrays) + len(file.storages) for file in MANIFESTS) >= 80
