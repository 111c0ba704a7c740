"""The torch versions that a file points to: what the layout says, narrowed by names in the pickle.

The range always includes the version that wrote the file, wherever that is known.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.inspecting.torch_versions import LEGACY_FLAG, Versions, versions
from ptzip.io.sources import BytesSource
from ptzip.tensors.torch_names import Release
from tests.corpus import CORPUS, files, needs_corpus
from tests.small_checkpoints import Records, Saving, archive, called, training_records, weights

WRITERS: dict[str, Release] = {"t16": (1, 6), "t113": (1, 13), "t213": (2, 13), "t14py27": (1, 4)}
"""Which torch wrote the folders of the corpus."""

MARKS = (".format_version", ".storage_alignment", "byteorder", ".data/serialization_id")


def written() -> Iterator[Any]:
    """Every file of a known torch."""
    found = [(path, WRITERS[folder]) for folder in WRITERS for path in files(f"format/{folder}")]
    yield from (pytest.param(path, release, id=f"{path.parent.name}/{path.name}") for path, release in found)
    if not found:
        yield pytest.param(CORPUS / "missing", (0, 0), marks=needs_corpus, id="corpus missing")


def of(records: Records, name: str = "last") -> Versions:
    with Checkpoint(BytesSource(archive(records, name))) as checkpoint:
        return versions(checkpoint)


def without(*names: str) -> Records:
    return {name: data for name, data in training_records().items() if name not in names}


@pytest.mark.parametrize(("path", "release"), [*written()])
def test_the_range_holds_the_torch_that_wrote_the_file(path: Path, release: Release) -> None:
    try:
        checkpoint = ptzip.open(path)
    except ptzip.PtzipError:
        pytest.skip("is no checkpoint")
    with checkpoint:
        found = versions(checkpoint)
    assert found.low is None or found.low <= release
    assert found.high is None or release <= found.high or found.otherwise


def test_alignment_records_are_of_2_7_and_later() -> None:
    assert of(training_records())[:2] == ((2, 7), None)


def test_a_byte_order_alone_is_of_2_1_to_2_6() -> None:
    assert of(without(".format_version", ".storage_alignment"))[:2] == ((2, 1), (2, 6))


def test_counted_keys_without_a_byte_order_are_of_1_7_to_2_0() -> None:
    assert of(without(*MARKS))[:2] == ((1, 7), (2, 0))


def test_addresses_as_keys_are_of_1_6() -> None:
    records = {"data.pkl": without(*MARKS)["data.pkl"], "data/94860544550816": b"1234", "version": b"3\n"}
    assert of(records, "archive")[:2] == ((1, 6), (1, 6))
    assert of(records, "last")[:2] == ((1, 7), (2, 0))


def narrowed(function: str, *marks: str) -> Versions:
    """Of a file in which a function of `torch._utils` is called."""
    saving = Saving()
    tensor = saving.tensor(weights(4))
    records = saving.records(saving.node({"tensor": tensor, "other": called("torch._utils", function, saving.node((tensor,)))}))
    return of({name: data for name, data in records.items() if name not in marks})


def test_a_rebuild_function_narrows_the_range() -> None:
    assert narrowed("_rebuild_device_tensor_from_cpu_tensor", ".format_version", ".storage_alignment")[:2] == ((2, 6), (2, 6))
    assert narrowed("_rebuild_parameter_with_state", *MARKS)[:2] == ((2, 0), (2, 0))
    assert narrowed("_rebuild_sparse_csr_tensor", *MARKS)[:2] == ((1, 10), (1, 13))


def test_a_name_that_contradicts_the_layout_is_left_out() -> None:
    found = narrowed("_rebuild_sparse_csr_tensor")
    assert found[:2] == ((2, 7), None)
    assert "torch._utils._rebuild_sparse_csr_tensor" not in found.signs


@pytest.mark.parametrize("name", ["t213/tied_legacy.pt"])
@needs_corpus
def test_a_legacy_stream_says_how_a_later_torch_writes_one(name: str) -> None:
    with ptzip.open(CORPUS / "format" / name) as checkpoint:
        assert versions(checkpoint)[:2] == ((0, 4), (1, 5))
        assert versions(checkpoint).otherwise == LEGACY_FLAG
