"""A legacy stream is slimmed into a zip that holds the same object: ids of classes become names, views storages."""

from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.editing.modernise import modernise
from ptzip.errors import FormatError
from ptzip.formats.torchzip import TorchZip
from ptzip.io.atomic_output import new_files
from ptzip.pickling.nodes import Persistent, walk
from ptzip.tensors.references import STORAGE_ITEMS, storage_ref
from ptzip.zip import writer
from tests.corpus import CORPUS, needs_corpus

torch = pytest.importorskip("torch")


def training(seed: int = 0) -> dict[str, Any]:
    """A checkpoint in mid-training whose model is of torch's own classes, so that torch can load it again."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model(torch.randn(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    return {"epoch": 3, "best_fitness": 0.5, "training_results": "x" * 99, "model": model, "optimizer": state}


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    path = tmp_path / "legacy.pt"
    torch.save(training(), path, _use_new_zipfile_serialization=False)
    return path


@pytest.mark.torch
@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("recipe", ["auto", "basic"])
def test_torch_reads_from_a_slimmed_legacy_file_what_it_reads_from_a_slimmed_zip(
    recipe: str, protocol: int, tmp_path: Path
) -> None:
    found = []
    for is_zip in (False, True):
        path = tmp_path / f"{is_zip}.pt"
        torch.save(training(), path, _use_new_zipfile_serialization=is_zip, pickle_protocol=protocol)
        ptzip.slim(path, tmp_path / "slim.pt", recipe=recipe, overwrite=True)
        found.append(torch.load(tmp_path / "slim.pt", weights_only=False, mmap=True))
    old, new = (each.pop("model") for each in found)
    assert found[0] == found[1]
    assert [parameter.requires_grad for parameter in old.parameters()] == [recipe == "basic"] * 4
    for (name, a), (other, b) in zip(old.state_dict().items(), new.state_dict().items(), strict=True):
        assert (name, a.dtype) == (other, b.dtype)
        assert torch.equal(a, b)


@pytest.mark.torch
def test_no_id_of_a_legacy_stream_is_left(legacy: Path, tmp_path: Path) -> None:
    ptzip.slim(legacy, tmp_path / "slim.pt")
    with ptzip.open(tmp_path / "slim.pt") as slim:
        assert isinstance(slim.container, TorchZip)
        ids = [storage_ref(node) for node in walk(slim.root) if isinstance(node, Persistent)]
        assert ids
        assert all(each is not None and len(each.id_parts) == STORAGE_ITEMS for each in ids)


@pytest.mark.torch
def test_the_source_text_of_classes_is_not_kept(legacy: Path, tmp_path: Path) -> None:
    assert b"class BatchNorm2d" in legacy.read_bytes()
    report = ptzip.slim(legacy, tmp_path / "slim.pt")
    assert "classes" in [change.path for change in report.changes]
    assert b"class BatchNorm2d" not in (tmp_path / "slim.pt").read_bytes()


@needs_corpus
def test_a_view_of_a_storage_is_removed_with_its_bytes_counted_once(tmp_path: Path) -> None:
    report = ptzip.slim(CORPUS / "format/syn/legacy_view_metadata.pt", tmp_path / "a.pt", recipe="generic", drop="*")
    assert report.saved[Category.OTHER] == 24


@pytest.mark.torch
@needs_corpus
def test_a_view_of_a_storage_becomes_a_storage_of_its_own(tmp_path: Path) -> None:
    path = CORPUS / "format" / "syn" / "legacy_view_metadata.pt"
    with ptzip.open(path) as checkpoint, new_files([tmp_path / "new.pt"]) as files:
        edit = Edit(checkpoint.main)
        modernise(edit, is_zip=False)
        finished = edit.finish()
        files.outputs[0].write(writer.plan(checkpoint.container.rewritten(finished.pickle, finished.storages)))
    new, old = torch.load(tmp_path / "new.pt"), torch.load(path)
    assert [each.tolist() for each in new] == [each.tolist() for each in old]


@pytest.mark.torch
def test_a_zip_is_left_as_it_is(tmp_path: Path) -> None:
    torch.save(training(), tmp_path / "a.pt")
    with ptzip.open(tmp_path / "a.pt") as checkpoint:
        edit = Edit(checkpoint.main)
        modernise(edit, is_zip=True)
        assert not edit.account.changes
        assert not edit.payloads


@pytest.mark.torch
def test_a_slimmed_legacy_file_is_slim(legacy: Path, tmp_path: Path) -> None:
    assert ptzip.slim(legacy, tmp_path / "slim.pt").output
    assert ptzip.slim(tmp_path / "slim.pt").already_slim


@pytest.mark.torch
@needs_corpus
def test_a_view_that_reaches_past_its_storage_is_refused(tmp_path: Path) -> None:
    data = bytearray((CORPUS / "format" / "syn" / "legacy_view_metadata.pt").read_bytes())
    with ptzip.open(CORPUS / "format" / "syn" / "legacy_view_metadata.pt") as checkpoint:
        views = [each.view for each in map(storage_ref, checkpoint.pickle.persistents) if each is not None]
    assert views[-1] == ("56", 2, 3)
    offset = data.index(b"K\x02K\x03\x87") + 1
    data[offset] = 4  # of six elements, the last three are from 3 on
    (tmp_path / "past.pt").write_bytes(data)
    with (
        ptzip.open(tmp_path / "past.pt") as checkpoint,
        pytest.raises(FormatError, match="storage 56 is a view of elements 4 to 7 of storage 55, which has 6"),
    ):
        modernise(Edit(checkpoint.main), is_zip=False)
