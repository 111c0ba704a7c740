"""`ptzip diff`: what differs between two checkpoints, in numbers that torch computes too."""

import json
import math
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import ptzip
from ptzip.arguments import WeightDtype
from ptzip.diffing import box_pairs
from ptzip.diffing.report import Fact, NumericDifference, TensorDiff
from ptzip.render.diff import _cosine
from ptzip.tensors.storage import Storage
from tests.checkpoint_builder import CheckpointBuilder, model, module, numbers
from tests.cli.shell import environment, reports
from tests.cli.shell import ptzip as run
from tests.corpus import CORPUS, FIXTURES, needs_corpus, parameters
from tests.torch_reference import load

CHECKPOINTS = [pytest.param(path, id=path.stem) for path in sorted(FIXTURES.glob("*.pt"))]

BROKEN = {"torchscript_lite.ptl", "truncated.pt"}
"""Files of the corpus in which storages are missing: what is not there cannot be compared."""


def saved(folder: Path, name: str, **values: Any) -> Path:
    """A checkpoint of arrays and plain values."""
    builder = CheckpointBuilder()
    return builder.save(
        folder / name, {key: builder.tensor(value) if isinstance(value, np.ndarray) else value for key, value in values.items()}
    )


def only(report: ptzip.DiffReport) -> TensorDiff:
    (pair,) = report.tensors
    return pair


# Equal files


@pytest.mark.parametrize("path", [*CHECKPOINTS, *parameters("format", "yolo")])
def test_a_file_is_the_same_as_itself_and_as_its_own_copy(path: Path, tmp_path: Path) -> None:
    try:
        with ptzip.open(path) as checkpoint:
            count = len(checkpoint.tensors())
            checkpoint.save(tmp_path / "copy.pt")
    except ptzip.PtzipError as error:
        pytest.skip(str(error)[:60])
    for other in (path, tmp_path / "copy.pt"):
        report = ptzip.diff(path, other)
        assert not report.differs
        assert report.compared == count
        assert report.ok is (path.name not in BROKEN)


@pytest.mark.parametrize("path", CHECKPOINTS)
def test_a_legacy_file_with_the_same_object_is_the_same(path: Path, tmp_path: Path) -> None:
    ptzip.slim(path, tmp_path / "a.pt")
    try:
        ptzip.slim(path, tmp_path / "b.pt", format="legacy")
    except ptzip.PtzipError as error:
        pytest.skip(str(error)[:60])
    assert ptzip.diff(tmp_path / "a.pt", tmp_path / "b.pt").ok


# Parity with torch


def torch_tensors(root: Any) -> dict[str, Any]:
    """Every tensor that torch loads, by its dotted name as in a state dict."""
    import torch

    found: dict[str, Any] = {}
    pending: list[tuple[tuple[str, ...], Any]] = [((), root)]
    seen = set[int]()
    while pending:
        path, value = pending.pop()
        if isinstance(value, torch.Tensor):
            found[".".join(part for part in path if part not in ("_parameters", "_buffers", "_modules"))] = value
        elif isinstance(value, dict):
            pending += [((*path, str(key)), item) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            pending += [((*path, str(place)), item) for place, item in enumerate(value)]
        elif hasattr(value, "__dict__") and not isinstance(value, type) and id(value) not in seen:
            pending += [((*path, key), item) for key, item in vars(value).items()]
    return found


def torch_numbers(a: Any, b: Any) -> NumericDifference:
    """The same numbers, computed by torch in float64."""
    import torch

    old, new = a.detach().double().reshape(-1), b.detach().double().reshape(-1)
    error = (old - new).abs()
    is_some = old != 0
    relative = (error[is_some] / old[is_some].abs()).max().item() if is_some.any() else 0.0
    length = (old.norm() * new.norm()).item()
    differing = int((error != 0).sum())
    cosine = (torch.dot(old, new) / length).item() if length else None
    return NumericDifference(old.numel(), differing, differing, error.max().item(), relative, cosine)


@pytest.mark.torch
@pytest.mark.parametrize("path", [*parameters("yolo"), *CHECKPOINTS])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_numbers_are_those_of_torch(path: Path, dtype: WeightDtype, tmp_path: Path) -> None:
    slim = tmp_path / "slim.pt"
    if ptzip.slim(path, slim, dtype=dtype).already_slim:
        shutil.copy(path, slim)
    before, after = torch_tensors(load(path)), torch_tensors(load(slim))
    averages = {name.replace("ema", "model", 1): tensor for name, tensor in before.items() if name.startswith("ema.")}
    report = ptzip.diff(path, slim, rename={"ema": "model"} if averages else {})
    before |= averages
    found = {pair.name: pair for pair in report.tensors}
    names = [name for name in after if name in before]
    assert len(names) == report.compared > 0
    assert found.keys() <= set(names)
    for name in names:
        check(found.get(name), before[name], after[name])


def check(pair: TensorDiff | None, old: Any, new: Any) -> None:
    """Whether two tensors differ as torch says; where some are not finite, torch's numbers are none."""
    expected = torch_numbers(old, new) if old.numel() and not old.is_complex() and old.isfinite().all() else NumericDifference()
    if pair is None or pair.numbers is None:
        assert expected.differing == 0
    elif expected.numel and new.isfinite().all():
        assert pair.numbers._replace(cosine=None, distance=None) == expected._replace(cosine=None)
        assert pair.numbers.cosine == (None if expected.cosine is None else pytest.approx(expected.cosine, abs=1e-13))


# Tensors


def test_the_numbers_of_a_pair_are_reported(tmp_path: Path) -> None:
    a = saved(tmp_path, "a.pt", w=np.array([1.0, 2.0, 0.0], np.float32))
    b = saved(tmp_path, "b.pt", w=np.array([1.0, 2.5, 0.5], np.float32))
    found = only(ptzip.diff(a, b)).numbers
    assert found is not None
    assert found[:5] == (3, 2, 2, 0.5, 0.25)
    assert found.cosine == pytest.approx(6 / math.sqrt(5 * 7.5), abs=1e-15)


@pytest.mark.parametrize(
    ("options", "is_same"),
    [({}, False), ({"atol": 0.4}, False), ({"atol": 0.5}, True), ({"rtol": 0.2}, True), ({"rtol": 0.19}, False)],
)
def test_tolerance(options: dict[str, Any], is_same: bool, tmp_path: Path) -> None:
    a = saved(tmp_path, "a.pt", w=np.array([1.0, 2.0], np.float32))
    b = saved(tmp_path, "b.pt", w=np.array([1.0, 2.5], np.float32))
    report = ptzip.diff(a, b, **options)
    assert report.ok is is_same
    assert (report.equal, report.compared) == (0, 1)


@pytest.mark.parametrize("options", [{"rtol": -1.0}, {"atol": math.nan}, {"rtol": math.inf}])
def test_a_tolerance_that_is_none_is_an_error(options: dict[str, Any], tmp_path: Path) -> None:
    path = saved(tmp_path, "a.pt", w=numbers(3))
    with pytest.raises(ValueError, match="expected finite numbers of at least 0"):
        ptzip.diff(path, path, **options)


def test_another_dtype_is_a_difference_even_where_the_numbers_are_the_same(tmp_path: Path) -> None:
    report = ptzip.diff(saved(tmp_path, "a.pt", w=numbers(9)), saved(tmp_path, "b.pt", w=numbers(9, dtype="float64")))
    pair = only(report)
    assert pair.is_cast
    assert pair.are_near
    assert not report.ok


def test_another_shape_has_no_numbers(tmp_path: Path) -> None:
    report = ptzip.diff(saved(tmp_path, "a.pt", w=numbers(9)), saved(tmp_path, "b.pt", w=numbers(9).reshape(3, 3)))
    assert only(report).numbers is None
    assert (report.differs, report.unknown) == (True, ())


def test_nan_and_zeros_of_both_signs_are_the_same(tmp_path: Path) -> None:
    quiet, other = np.array([0x7FC00000, 0], np.uint32), np.array([0x7FC00001, 0x80000000], np.uint32)
    a, b = (saved(tmp_path, name, w=bits.view(np.float32)) for name, bits in (("a.pt", quiet), ("b.pt", other)))
    report = ptzip.diff(a, b)
    assert report.ok
    assert only(report).numbers == NumericDifference(2)


def test_other_strides_are_no_difference(tmp_path: Path) -> None:
    array = numbers(600).reshape(20, 30)
    a, b = saved(tmp_path, "a.pt", w=array), CheckpointBuilder()
    transposed = b.view(b.storage(array.T.copy().ravel()), (20, 30), (1, 20))
    assert ptzip.diff(a, b.save(tmp_path / "b.pt", {"w": transposed})).ok


def test_large_tensors_are_compared_in_stretches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_pairs, "STRETCH", 4096)
    random = np.random.default_rng(1)
    a, b = (random.standard_normal((50, 400)).astype(np.float32) for _ in range(2))
    found = only(ptzip.diff(saved(tmp_path, "a.pt", w=a), saved(tmp_path, "b.pt", w=b))).numbers
    assert found is not None
    assert found.absolute == np.abs(a.astype(float) - b).max()
    assert found.numel == 20_000


def test_views_that_repeat_few_bytes_are_compared_once(tmp_path: Path) -> None:
    paths = []
    for name, value in (("a.pt", 1), ("b.pt", 2)):
        builder = CheckpointBuilder()
        paths.append(
            builder.save(tmp_path / name, {"w": builder.view(builder.storage(numbers(1, value)), (10**6, 10**6), (0, 0))})
        )
    found = only(ptzip.diff(*paths)).numbers
    assert found is not None
    assert (found.numel, found.differing, found.absolute, found.cosine) == (10**12, 10**12, 1.0, 1.0)


def test_views_that_stand_for_too_many_numbers_cannot_be_compared(tmp_path: Path) -> None:
    paths = []
    for name, stride in (("a.pt", (1, 0)), ("b.pt", (0, 1))):
        builder = CheckpointBuilder()
        paths.append(
            builder.save(tmp_path / name, {"w": builder.view(builder.storage(numbers(10**5)), (10**5, 10**5), stride)})
        )
    report = ptzip.diff(*paths)
    assert "repeats" in only(report).problem
    assert (report.ok, report.differs) == (False, False)
    assert ptzip.diff(paths[0], paths[0]).ok
    assert run("diff", *paths).code == 2


def test_tied_tensors_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    right = Storage.checked_payload

    def noted(self: Storage) -> Any:
        read.append(self.key)
        return right(self)

    monkeypatch.setattr(Storage, "checked_payload", noted)
    paths = []
    for name, first in (("a.pt", 1), ("b.pt", 2)):
        builder = CheckpointBuilder()
        storage = builder.storage(numbers(10, first))
        paths.append(builder.save(tmp_path / name, {key: builder.view(storage, (10,)) for key in "xyz"}))
    report = ptzip.diff(*paths)
    assert [pair.name for pair in report.tensors] == ["x", "y", "z"]
    assert len({pair.numbers for pair in report.tensors}) == 1
    assert set(read) == {"0"}
    assert len(read) <= 4


def test_a_forged_checksum_is_not_believed(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.pt", w=numbers(100))
    data = bytearray(path.read_bytes())
    at = data.index(numbers(100).tobytes())
    data[at + 399] ^= 1
    forged = tmp_path / "b.pt"
    forged.write_bytes(data)
    assert ptzip.diff(path, forged).differs
    assert ptzip.verify(forged).problems


def test_attributes_of_tensors_are_compared(tmp_path: Path) -> None:
    one, other = CheckpointBuilder(), CheckpointBuilder()
    a = one.save(tmp_path / "a.pt", {"w": one.parameter(numbers(3))})
    b = other.save(tmp_path / "b.pt", {"w": other.parameter(numbers(3), grad=False)})
    report = ptzip.diff(a, b)
    assert only(report).facts == (Fact("requires_grad", "True", "False"),)
    assert (only(report).are_equal, report.ok) == (True, False)


# Names


def test_renamed_tensors_are_recognized_by_their_checksums(tmp_path: Path) -> None:
    arrays = {f"{name}.weight": numbers(50, first) for first, name in enumerate("abc")}
    a = saved(tmp_path, "a.pt", **arrays)
    b = saved(tmp_path, "b.pt", **{f"net.{name}": value for name, value in arrays.items()})
    report = ptzip.diff(a, b)
    assert [(each.old_name, each.name) for each in report.moved] == [(name, f"net.{name}") for name in arrays]
    assert (report.lone_a, report.lone_b, report.ok) == ((), (), False)
    assert ptzip.diff(a, b, rename={"": "net"}).ok


def test_a_name_that_is_mapped_comes_before_one_that_is_not(tmp_path: Path) -> None:
    one, other = CheckpointBuilder(), CheckpointBuilder()
    nets = {
        key: model(module(parameters={"w": one.parameter(numbers(4, first))})) for key, first in (("model", 1), ("ema", 50))
    }
    a = one.save(tmp_path / "a.pt", nets)
    b = other.save(tmp_path / "b.pt", {"model": model(module(parameters={"w": other.parameter(numbers(4, 50))}))})
    assert [tensor.name for tensor in ptzip.diff(a, b).lone_a] == ["ema.model.0.w"]
    report = ptzip.diff(a, b, rename={"ema": "model"})
    assert (report.equal, report.compared) == (1, 1)
    assert [tensor.name for tensor in report.lone_a] == ["model.model.0.w"]
    assert [(row.name, row.tensors, row.size) for row in report.only_a] == [("model", 1, 16)]
    assert report.changed == ()


# The command


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(FIXTURES / "training.pt", "a.pt")
    ptzip.slim("a.pt", "b.pt")
    Path("text.pt").write_bytes(b"hello")
    return tmp_path


@pytest.mark.usefixtures("place")
def test_exit_codes() -> None:
    same = run("diff", "a.pt", "a.pt")
    assert same == (0, "a.pt and a.pt are the same: 56 tensors\n", "")
    assert run("diff", "a.pt", "b.pt").code == 1
    assert run("diff", "a.pt", "text.pt").err.startswith("ptzip: error: text.pt: this is a file of no known format")
    assert run("diff", "missing.pt", "a.pt") == (2, "", "ptzip: error: missing.pt: no such file or directory\n")
    assert run("diff", "a.pt").err == "ptzip: error: diff compares 2 files, but 1 is given\n"
    assert (
        run("diff", "a.pt", "a.pt", "--map", "x").err == "ptzip: error: a.pt and a.pt: invalid rename 'x': expected OLD=NEW\n"
    )
    assert run("diff", "-q", "a.pt", "b.pt") == (1, "", "")


@pytest.mark.usefixtures("place")
def test_the_summary_says_what_was_dropped_and_how_far_the_cast_moved_the_weights() -> None:
    lines = run("diff", "a.pt", "b.pt").out.splitlines()
    assert lines[0] == "a.pt and b.pt differ: 34 of 40 tensors, 16 only in A, 5 values"
    assert lines[1:3] == ["  only in A", "    optimizer                 16 tensors, 431.6 kB"]
    (cast,) = (line.split() for line in lines if line.startswith("    float32 -> float16  "))
    report = ptzip.diff("a.pt", "b.pt")
    largest = max(pair.numbers.absolute for pair in report.tensors if pair.numbers)
    assert cast[3:9] == ["34", "tensors", "at", "most", f"{largest:.2g}", "off,"]
    differing = sum(pair.numbers is not None and pair.numbers.absolute > 0 for pair in report.tensors)
    assert lines[-1] == f"    ... {differing - 20} more (--all shows them)"
    assert len(run("diff", "--all", "a.pt", "b.pt").out.splitlines()) == len(lines) - 1 + differing - 20


@pytest.mark.usefixtures("place")
def test_json_has_everything() -> None:
    (data,) = reports(run("diff", "--json", "a.pt", "b.pt").out)
    assert (data["ok"], data["compared"], data["equal"], len(data["tensors"])) == (False, 40, 6, 34)
    assert (len(data["tensors_only_in_a"]), data["tensors_only_in_b"]) == (16, [])
    pair = data["tensors"][0]
    assert pair["old"]["dtype"] == "float32"
    assert 0 < pair["numbers"]["absolute"] < 1e-3
    assert reports(run("diff", "--json", "a.pt", "a.pt").out)[0]["ok"] is True


def test_what_json_has_no_number_for_is_text(tmp_path: Path) -> None:
    a, b = saved(tmp_path, "a.pt", w=np.array([1.7e308])), saved(tmp_path, "b.pt", w=np.array([-1.7e308]))
    (data,) = json.loads(run("diff", "--json", a, b).out, parse_constant=pytest.fail)["files"]
    assert data["tensors"][0]["numbers"]["absolute"] == "inf"


def test_names_out_of_files_cannot_steer_a_terminal(tmp_path: Path) -> None:
    name = "\x1b[31mred\nline"
    a, b = (saved(tmp_path, file, **{name: numbers(3, first), "v": name * first}) for first, file in ((1, "a.pt"), (2, "b.pt")))
    lines = run("diff", a, b).out.splitlines()
    assert all(line.isprintable() for line in lines)


# git


def git(*words: str) -> str:
    settings = environment({"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull})
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "core.pager=cat"]
    done = subprocess.run(["git", *who, *words], env=settings, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def repository(place: Path) -> Path:
    git("init", "-q", "-b", "main")
    Path(".gitattributes").write_text("*.pt diff=ptzip\n")
    git("config", "diff.ptzip.command", f"{sys.executable} -m ptzip diff --git")
    shutil.copy("a.pt", "last.pt")
    git("add", ".")
    git("commit", "-qm", "first")
    return place


@pytest.mark.usefixtures("place")
def test_a_rename_that_git_found_goes_by_both_names() -> None:
    words = ("c.pt", "a.pt", "0", "0", "a.pt", "0", "0", "d.pt", "similarity index 100%")
    assert run("diff", "--git", *words).out.startswith("a/c.pt and b/d.pt are the same")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.usefixtures("repository")
def test_git_shows_what_differs() -> None:
    shutil.copy("b.pt", "last.pt")
    shown = git("diff").splitlines()
    assert shown[0] == "a/last.pt and b/last.pt differ: 34 of 40 tensors, 16 only in A, 5 values"
    assert shown[1:] == run("diff", "a.pt", "b.pt").out.splitlines()[1:]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.usefixtures("repository")
def test_git_goes_on_where_there_is_nothing_to_compare() -> None:
    shutil.copy("text.pt", "last.pt")
    shutil.copy("a.pt", "new.pt")
    Path("b.pt").unlink()
    git("add", ".")
    size = Path("a.pt").stat().st_size
    shown = git("diff", "--cached").splitlines()
    assert shown[0].startswith("b.pt: deleted, torch.save zip, 40 tensors, ")
    assert shown[1].startswith("last.pt: not compared: this is a file of no known format")
    assert shown[2] == f"new.pt: new, torch.save zip, 56 tensors, {size:,} bytes"


@pytest.mark.usefixtures("place")
def test_what_git_says_of_conflicts_is_taken() -> None:
    assert run("diff", "--git", "last.pt") == (0, "last.pt: not merged\n", "")
    assert (
        run("diff", "--git", "-x.pt", "a.pt", "0", "0", "a.pt", "0", "0").out
        == "a/-x.pt and b/-x.pt are the same: 56 tensors\n"
    )
    assert run("diff", "--git", "last.pt", "a.pt").code == 2


def test_arrays_that_are_not_read_are_not_called_the_same(tmp_path: Path) -> None:
    for name, word in (("a", "dog"), ("b", "cow")):
        np.savez(tmp_path / f"{name}.npz", s=np.array(["cat", word]), w=np.ones(2))
    report = ptzip.diff(tmp_path / "a.npz", tmp_path / "b.npz")
    assert not report.ok
    assert [(pair.name, pair.problem) for pair in report.tensors] == [("s", "values of dtype <U3 are not supported")]


def test_the_metadata_of_safetensors_are_compared(tmp_path: Path) -> None:
    for name, alpha in (("a", "1"), ("b", "64")):
        save_file({"w": np.zeros(3, np.float32)}, tmp_path / f"{name}.safetensors", {"format": "pt", "alpha": alpha})
    report = ptzip.diff(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert [(row.name, row.old, row.new) for row in report.changed] == [("__metadata__.alpha", "'1'", "'64'")]
    assert ptzip.diff(tmp_path / "a.safetensors", tmp_path / "a.safetensors").ok


def test_a_file_is_the_same_as_what_convert_makes_of_it(tmp_path: Path) -> None:
    """Parameters and plain tensors: what safetensors and npz have no words for is no difference."""
    path = FIXTURES / "training.pt"
    for suffix in (".safetensors", ".npz"):
        ptzip.convert(path, tmp_path / f"x{suffix}", all=True)
        report = ptzip.diff(path, tmp_path / f"x{suffix}")
        assert not report.differs, report


def test_parallel_vectors_have_a_cosine_of_1() -> None:
    assert _cosine(0.9999999999999998) == "1.00000000"
    assert _cosine(0.99999999999) == "0.99999999"


@needs_corpus
def test_the_code_of_torchscript_is_compared(tmp_path: Path) -> None:
    (path,) = CORPUS.glob("format/**/t16_torchscript_scripted.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "new.pt", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b"# more\n" if name.endswith(".py") else b""))
    assert not ptzip.diff(path, path).differs
    names = [row.name for row in ptzip.diff(path, tmp_path / "new.pt").changed]
    assert names
    assert all(name.startswith("code/") for name in names)


def test_two_files_have_together_no_more_opcodes_than_the_limit(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.pt", w=np.zeros(4, np.float32))
    with ptzip.open(path) as checkpoint:
        cost = checkpoint.pickle.cost
    assert ptzip.diff(path, path, limits={"opcodes": 2 * cost}).ok
    with pytest.raises(ptzip.LimitError, match=r"the two files have \d+ opcodes, above .* `--limit opcodes=N`"):
        ptzip.diff(path, path, limits={"opcodes": 2 * cost - 1})
