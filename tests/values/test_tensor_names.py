"""The tensors of a whole file by name: of every pickle in it, and of those that have no pickle.

The first pickle gives names without a prefix; a file in which nothing is broken but a later pickle still has tensors.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import ptzip
from ptzip.errors import FormatError
from ptzip.formats.container import Member, NamedTensor, Part
from ptzip.io.payloads import Payload
from ptzip.limits import DEFAULT_LIMITS
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.tensor import Tensor
from ptzip.values.tensor_names import tensors_of
from ptzip.zip.writer import Record
from tests.corpus import CORPUS, needs_corpus
from tests.values.pickle_parts import part, tensor, text

SAVED: dict[str, tuple[int, str]] = json.loads((Path(__file__).parent / "tensor_names.json").read_text())
"""For each file of the corpus that has tensors: how many names, and the start of the SHA-256 of all of them in order."""

SIX = {"0": bytes(24)}


@dataclass(frozen=True)
class CheckpointBuilder:
    """A file of some pickles."""

    parts: tuple[Part, ...]

    name = "made"
    members: tuple[Member, ...] = ()
    refusal = ""
    alignment = 64
    rewritten: Callable[[bytes, list[Payload]], list[Record]] = lambda _pickle, _storages: []


def names(*parts: Part) -> dict[str, Tensor]:
    return dict(tensors_of(CheckpointBuilder(parts), DEFAULT_LIMITS))


def renamed(made: Part, name: str) -> Part:
    made.name = name
    return made


def held(called: str) -> Part:
    """A pickle of {"w": tensor}."""
    return renamed(part(b"}" + text("w") + tensor("0", 6, (2,), (1,)) + b"s.", SIX), called)


def test_the_first_pickle_has_no_prefix_and_every_other_one_its_name() -> None:
    assert list(names(held("pickle 1"), held("pickle 2"), held("record constants.pkl"))) == [
        "w",
        "pickle 2.w",
        "constants.pkl.w",
    ]


def test_pickles_of_one_name_do_not_hide_each_other() -> None:
    bare = renamed(part(tensor("0", 6, (2,), (1,)) + b".", SIX), "record data.pkl")
    assert list(names(bare, bare, bare)) == ["", "data.pkl", "data.pkl (2)"]


def test_a_pickle_that_is_broken_has_no_tensors_unless_it_is_the_first() -> None:
    broken = renamed(part(b"]("), "pickle 2")
    assert list(names(held("pickle 1"), broken)) == ["w"]
    with pytest.raises(FormatError, match="pickle 2 is broken"):
        names(broken, held("pickle 1"))


def test_a_file_without_pickles_has_no_tensors() -> None:
    assert names() == {}


def test_a_tar_names_its_tensors_by_persistent_ids() -> None:
    entry = NamedTensor(BY_NAME["float32"], "0", 2, (2, 2), (2, 1))
    data = b"}" + text("w") + text("5") + b"Qs" + text("again") + text("5") + b"Qs" + text("f") + b"P7\ns."
    made = part(data, SIX)
    made.tensors = {"5": entry, "7": entry}
    found = names(made)
    assert list(found) == ["w", "again", "f"]
    assert (found["w"].shape, found["w"].stride, found["w"].offset, found["w"].dtype) == ((2, 2), (2, 1), 2, "float32")
    assert found["w"].storage is found["f"].storage
    assert found["w"].tobytes() == bytes(16)


@needs_corpus
def test_a_script_has_the_tensors_of_its_module() -> None:
    with ptzip.open(CORPUS / "format" / "t213" / "torchscript_lite.ptl") as checkpoint:
        assert list(checkpoint.tensors())[:3] == ["buf", "fc.weight", "fc.bias"]


@needs_corpus
def test_a_shard_has_the_tensors_of_all_its_zips() -> None:
    with ptzip.open(CORPUS / "format" / "t213" / "dcp_shard.distcp") as checkpoint:
        assert [tensor.shape for tensor in checkpoint.tensors().values()] == [(4,), (2, 2)]


@needs_corpus
@pytest.mark.parametrize("file", SAVED)
def test_the_names_of_the_corpus_never_change(file: str) -> None:
    with ptzip.open(CORPUS / file) as checkpoint:
        found = list(checkpoint.tensors())
    digest = hashlib.sha256("\n".join(found).encode("utf-8", "surrogatepass")).hexdigest()
    assert [len(found), digest[:16]] == list(SAVED[file])
