"""Where bytes go: each storage counted once, for the first key that holds it, and each byte of a pickle for one key."""

import io
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.formats.container import Part
from ptzip.inspecting.key_sizes import Holdings, StorageSizes, TensorFacts, all_tensor_facts, holdings
from ptzip.inspecting.summary import imported_names
from ptzip.inspecting.tensor_summary import (
    DeadBytes,
    DtypeCount,
    ParameterCount,
    dead_bytes,
    dtype_counts,
    parameter_counts,
    tensor_rows,
)
from ptzip.io.sources import BytesSource
from ptzip.pickling.new_nodes import memoized
from ptzip.pickling.nodes import Node
from ptzip.tensors.torch_names import may_hide_storages
from tests.corpus import CORPUS, needs_corpus
from tests.corpus import parameters as corpus_files
from tests.small_checkpoints import Saving, archive, weights


def opened(saving: Saving, root: Node) -> Checkpoint:
    return Checkpoint(BytesSource(archive(saving.records(root))))


def held(part: Part) -> Holdings:
    return holdings(part, StorageSizes(part))


def test_a_storage_counts_for_the_first_key_that_holds_it() -> None:
    saving = Saving()
    shared = saving.tensor(weights(64))
    with opened(saving, saving.node({"a": 1, "model": [shared], "ema": [shared, saving.tensor(weights(16))]})) as checkpoint:
        found = {share.key: share.storages for share in held(checkpoint.main).keys}
    assert found == {"a": 0, "model": 256, "ema": 64}


def test_the_keys_take_all_of_the_pickle_but_its_ends() -> None:
    saving = Saving()
    with opened(saving, saving.node({"text": "x" * 1000, "list": [1, 2, 3], "last": 5})) as checkpoint:
        shares = held(checkpoint.main).keys
        size = checkpoint.pickle.end
    assert shares[0].pickle > 1000
    assert all(share.pickle for share in shares)
    assert size - 6 <= sum(share.pickle for share in shares) <= size


NAMES = st.sampled_from(["lr", "epoch", "state", "model", "results"])
VALUES = st.recursive(
    NAMES | st.integers(0, 999) | st.text("ab", min_size=90, max_size=99),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


class TellingPickler(pickle._Pickler):
    """Notes where each key of the outer dict begins."""

    depth = 0

    def save(self, value: object, save_persistent_id: bool = True) -> None:
        if self.depth == 1:
            self.starts.append(self.file.tell())
        self.depth += 1
        super().save(value, save_persistent_id)  # type: ignore[misc]
        self.depth -= 1

    def starts_and_data(self, value: object) -> tuple[list[int], bytes]:
        self.starts.clear()
        self.dump(value)
        return self.starts[::2], self.file.getvalue()

    def __init__(self) -> None:
        self.file = io.BytesIO()
        self.starts: list[int] = []
        super().__init__(self.file, 2)


@given(value=st.dictionaries(NAMES, VALUES, min_size=2))
def test_a_key_gets_its_own_part_of_the_pickle_also_if_its_text_was_stored_before(value: dict[str, Any]) -> None:
    starts, data = TellingPickler().starts_and_data(value)
    with Checkpoint(BytesSource(data)) as checkpoint:
        sizes = [share.pickle for share in held(checkpoint.main).keys]
    for size, start, stop in zip(sizes, starts, [*starts[1:], len(data)], strict=True):
        assert abs(size - (stop - start)) <= 12, "the opcodes that fetch a value have no node of their own"


def test_a_key_says_what_it_holds() -> None:
    saving = Saving()
    module = saving.module("models.Net", {"weight": weights(4)})
    with opened(
        saving, saving.node({"epoch": 9, "model": module, "list": [1, 2], "bare": saving.tensor(weights(2))})
    ) as checkpoint:
        epoch, model, items, bare = held(checkpoint.main).keys
    assert (epoch.kind, epoch.value, epoch.below) == ("int", 9, 0)
    assert (model.kind, model.has_module) == ("models.Net", True)
    assert (items.kind, items.below, items.has_module) == ("list", 2, False)
    assert bare.kind == "tensor"


def test_an_object_that_is_not_a_dict_is_one_key() -> None:
    saving = Saving()
    with opened(saving, saving.node([saving.tensor(weights(64))])) as checkpoint:
        (share,) = held(checkpoint.main).keys
        assert (share.key, share.kind, share.storages, share.pickle) == ("", "list", 256, checkpoint.pickle.end)


def test_parameters_of_modules_are_distinguished_from_all_values() -> None:
    saving = Saving()
    module = saving.module("models.Net", {"weight": weights(64)}, stride=saving.tensor(weights(3)))
    state = {"weight": saving.parameter(weights(10)), "mean": saving.tensor(weights(5))}
    with opened(saving, saving.node({"model": module, "state_dict": state, "bare": saving.tensor(weights(2))})) as checkpoint:
        found = held(checkpoint.main)
    assert parameter_counts(found.tensors, found.keys) == (
        ParameterCount("model", 64, True),
        ParameterCount("state_dict", 15, False),
        ParameterCount("", 2, False),
    )


def test_dtypes_are_counted_the_largest_first() -> None:
    saving = Saving()
    tensors = [saving.tensor(weights(count, dtype)) for count, dtype in ((4, "float32"), (100, "float16"), (4, "float32"))]
    tensors[0].add(memoized())
    with opened(saving, saving.node({"model": [*tensors, tensors[0]]})) as checkpoint:
        assert dtype_counts(held(checkpoint.main).tensors) == (DtypeCount("float16", 1, 200), DtypeCount("float32", 2, 32))


def test_dead_bytes_are_those_of_a_storage_that_no_tensor_uses() -> None:
    saving = Saving()
    whole = saving.tensor(weights(64))
    whole.parts[1].parts[1:4] = [saving.node(8), saving.node((2, 4)), saving.node((8, 1))]  # bytes 32 to 80
    with opened(saving, saving.node({"model": [whole, saving.tensor(weights(4))]})) as checkpoint:
        assert dead_bytes(held(checkpoint.main).tensors) == DeadBytes(256 - 48, 1)


def test_overlapping_views_count_once() -> None:
    saving = Saving()
    one = saving.tensor(weights(64))
    with opened(saving, saving.node({"model": [one]})) as checkpoint:
        (seen,) = held(checkpoint.main).tensors
    views = [seen._replace(first=first, last=last) for first, last in ((0, 100), (40, 120), (200, 256), (210, 220))]
    assert dead_bytes(views) == DeadBytes(256 - 120 - 56, 1)


@pytest.mark.parametrize("path", [*corpus_files("yolo"), *corpus_files("format")])
def test_the_quick_look_sees_what_building_all_objects_sees(path: Path) -> None:
    """Where both can tell: the tensors of the first pickle, strided and made by the functions that it knows."""
    try:
        with ptzip.open(path) as checkpoint:
            found = held(checkpoint.main)
            built = all_tensor_facts(checkpoint.tensors(), {share.key: share for share in found.keys})
            is_simple = not any(may_hide_storages(name.path) for name in imported_names(checkpoint.parts) if name.is_called)
            is_alone = len(checkpoint.parts) == 1
    except ptzip.PtzipError:
        pytest.skip("has no object")
    if not is_simple or not is_alone:
        pytest.skip("has tensors of other kinds")
    assert sorted(map(facts, built)) == sorted(map(facts, found.tensors))
    assert dead_bytes(built) == dead_bytes(found.tensors)


def facts(seen: TensorFacts) -> tuple[object, ...]:
    return (seen.dtype, seen.shape, seen.numel, seen.size, seen.is_parameter, seen.first, seen.last)


@needs_corpus
def test_tensors_whose_names_differ_in_numbers_alone_are_one_row() -> None:
    with ptzip.open(CORPUS / "yolo" / "y5_v70_n_sgd.last.pt") as checkpoint:
        tensors = checkpoint.tensors()
    folded, single = tensor_rows(tensors, folded=True), tensor_rows(tensors, folded=False)
    assert len(folded) < len(single) == len(tensors)
    assert sum(row.tensors for row in folded) == len(tensors)
    assert sum(row.size for row in folded) == sum(row.size for row in single)
    assert any(row.name == "model.model.#.bn.weight" for row in folded)


def test_only_whole_parts_of_a_name_become_a_number_sign() -> None:
    saving = Saving()
    tensors = [saving.tensor(weights(4)) for _ in range(5)]
    root = {"conv2d": {"0": tensors[0], "1": tensors[1], "layer1": tensors[2:4]}, "5": tensors[4]}
    with opened(saving, saving.node(root)) as checkpoint:
        assert [row.name for row in tensor_rows(checkpoint.tensors(), folded=True)] == ["conv2d.#", "conv2d.layer1.#", "5"]
