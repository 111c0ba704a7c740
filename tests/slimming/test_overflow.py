"""Numbers that the new dtype does not have: what becomes of them is what was wished for, and is told."""

from pathlib import Path

import numpy as np
import pytest

import ptzip
from ptzip.errors import EditError
from ptzip.tensors.rounding import Loss
from tests.checkpoint_builder import CheckpointBuilder, dtype_at, numbers, values_at
from tests.cli.shell import ptzip as run
from tests.cli.shell import reports

LARGE = np.array([1.0, 70000.0, 0.5], np.float32)


@pytest.fixture
def last(tmp_path: Path) -> Path:
    """A state dict with a `running_var` of 70,000."""
    builder = CheckpointBuilder()
    state = {
        "conv.weight": builder.tensor(numbers(3)),
        "bn.running_var": builder.tensor(LARGE),
        "bn.weight": builder.tensor(numbers(3)),
    }
    return builder.save(tmp_path / "last.pt", {"state_dict": state, "epoch": 1})


def test_a_tensor_with_values_beyond_the_range_stays_and_is_named(last: Path, tmp_path: Path) -> None:
    report = ptzip.slim(last, tmp_path / "out.pt")
    assert report.wide == ("state_dict.bn.running_var",)
    assert report.loss == Loss()
    with ptzip.open(tmp_path / "out.pt") as found:
        assert dtype_at(found, "state_dict", "bn.running_var") == "float32"
        assert dtype_at(found, "state_dict", "conv.weight") == "float16"
        assert values_at(found, "state_dict", "bn.running_var").tolist() == LARGE.tolist()


def test_infinities_are_counted_where_they_are_wished_for(last: Path, tmp_path: Path) -> None:
    report = ptzip.slim(last, tmp_path / "out.pt", on_overflow="inf")
    assert (report.wide, report.loss) == ((), Loss(overflowed=1))
    with ptzip.open(tmp_path / "out.pt") as found:
        assert values_at(found, "state_dict", "bn.running_var").tolist() == [1, np.inf, 0.5]


def test_the_largest_number_takes_their_place_where_that_is_wished_for(last: Path, tmp_path: Path) -> None:
    report = ptzip.slim(last, tmp_path / "out.pt", on_overflow="saturate")
    assert report.loss == Loss(overflowed=1)
    with ptzip.open(tmp_path / "out.pt") as found:
        assert values_at(found, "state_dict", "bn.running_var").tolist() == [1, 65504, 0.5]


def test_an_error_names_the_tensor_and_leaves_nothing(last: Path, tmp_path: Path) -> None:
    with pytest.raises(EditError, match=r"1 values are beyond the range of float16, in state_dict\.bn\.running_var"):
        ptzip.slim(last, tmp_path / "out.pt", on_overflow="error")
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_bfloat16_has_the_range(last: Path, tmp_path: Path) -> None:
    report = ptzip.slim(last, tmp_path / "out.pt", dtype="bfloat16")
    assert report.wide == ()
    with ptzip.open(tmp_path / "out.pt") as found:
        assert dtype_at(found, "state_dict", "bn.running_var") == "bfloat16"


def test_what_stayed_stays_at_the_next_run(last: Path, tmp_path: Path) -> None:
    ptzip.slim(last, tmp_path / "out.pt")
    assert ptzip.slim(tmp_path / "out.pt", tmp_path / "again.pt").already_slim
    assert (tmp_path / "again.pt").read_bytes() == (tmp_path / "out.pt").read_bytes()


def test_of_a_cut_storage_the_right_tensor_is_named(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    storage = builder.storage(np.concatenate([numbers(100), LARGE, numbers(50)]))
    state = {"a.weight": builder.view(storage, (5,), (1,), 10), "b.weight": builder.view(storage, (3,), (1,), 100)}
    path = builder.save(tmp_path / "last.pt", state)
    report = ptzip.slim(path, tmp_path / "out.pt", with_tensors=True)
    assert set(report.wide) == {"a.weight", "b.weight"}  # tied, so they stay together
    assert [tensor.names for tensor in report.tensors if tensor.stayed] == [("a.weight", "b.weight")]


def test_json_has_every_tensor_with_what_it_lost(last: Path, tmp_path: Path) -> None:
    (report,) = reports(run("slim", "--json", last, "-o", tmp_path / "out.pt").out)
    assert report["kept_wide"] == ["state_dict.bn.running_var"]
    told = {tensor["names"][0]: (tensor["old_dtype"], tensor["dtype"], tensor["overflowed"]) for tensor in report["tensors"]}
    assert told == {
        "state_dict.conv.weight": ("float32", "float16", 0),
        "state_dict.bn.weight": ("float32", "float16", 0),
        "state_dict.bn.running_var": ("float32", "float32", 1),
    }
