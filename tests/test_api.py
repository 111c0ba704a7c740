"""The verbs: what is planned is what is written, what is reported is what happened, and nothing else is touched."""

import contextlib
import gzip
import json
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pytest

import ptzip
from ptzip.arguments import OutputFormat, WeightDtype
from ptzip.checkpoint import Checkpoint
from ptzip.editing.account import Category
from ptzip.errors import FormatError, LimitError
from ptzip.io.atomic_output import slim_path
from ptzip.tensors.rounding import Loss
from tests.checkpoint_builder import DEFAULTS, CheckpointBuilder, numbers
from tests.corpus import FIXTURES, ROOT
from tests.torch_zips import storage_record

SOURCE = FIXTURES / "training.pt"

FIXTURE_NAMES = sorted(path.stem for path in FIXTURES.glob("*.pt"))


@pytest.fixture
def last(tmp_path: Path) -> Path:
    """A checkpoint that may be changed."""
    path = tmp_path / "last.pt"
    path.write_bytes(SOURCE.read_bytes())
    return path


# Where the output goes


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("last.pt", "last.slim.pt"),
        ("runs/exp/best.pth", "runs/exp/best.slim.pth"),
        ("model", "model.slim.pt"),
        ("v1.0.ckpt", "v1.0.slim.ckpt"),
        ("../last.pt", "../last.slim.pt"),
    ],
)
def test_the_default_output_is_beside_the_input(source: str, target: str) -> None:
    assert slim_path(source) == Path(target)


def test_without_a_target_the_default_is_written(last: Path) -> None:
    report = ptzip.slim(last)
    assert report.output == str(last.with_name("last.slim.pt"))
    assert sorted(path.name for path in last.parent.iterdir()) == ["last.pt", "last.slim.pt"]
    assert last.read_bytes() == SOURCE.read_bytes()


def test_the_target_may_be_the_source(last: Path) -> None:
    report = ptzip.slim(last, last, overwrite=True)
    assert report.output == report.path == str(last)
    assert last.stat().st_size == report.new_size < report.old_size
    assert list(last.parent.iterdir()) == [last]


def test_in_place_gives_the_same_bytes_as_beside(last: Path, tmp_path: Path) -> None:
    ptzip.slim(last, tmp_path / "beside" / "last.pt")
    ptzip.slim(last, last, overwrite=True)
    assert last.read_bytes() == (tmp_path / "beside" / "last.pt").read_bytes()


def test_an_output_that_is_there_is_replaced_or_left(last: Path) -> None:
    target = last.with_name("out.pt")
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        ptzip.slim(last, target)
    assert target.read_bytes() == b"old"
    ptzip.slim(last, target, overwrite=True)
    assert target.stat().st_size > 1000


def test_missing_folders_are_made_for_an_output_and_stay_only_with_it(last: Path) -> None:
    target = last.parent / "new" / "one" / "out.pt"
    with pytest.raises(ptzip.EditError):
        ptzip.slim(FIXTURES / "extremes.pt", target, on_overflow="error")
    assert not target.parent.parent.exists()
    assert ptzip.slim(last, target).output == str(target)


@pytest.mark.posix("modes of files")
def test_the_output_has_the_permissions_of_the_input(last: Path) -> None:
    last.chmod(0o640)
    ptzip.slim(last)
    assert stat.S_IMODE(slim_path(last).stat().st_mode) == 0o640


# The report


@pytest.mark.parametrize("dtype", ["float16", "keep"])
@pytest.mark.parametrize("name", FIXTURE_NAMES)
def test_a_dry_run_forecasts_everything_but_the_loss(name: str, dtype: WeightDtype, tmp_path: Path) -> None:
    source = FIXTURES / f"{name}.pt"
    forecast = ptzip.slim(source, dtype=dtype, dry_run=True)
    report = ptzip.slim(source, tmp_path / "out.pt", dtype=dtype, on_overflow="inf")
    assert (forecast.output, forecast.loss) == (None, None)
    assert not slim_path(source).exists()
    compared = ("path", "recipe", "old_size", "new_size", "saved", "changes", "already_slim", "rest", "saved_share", "warnings")
    assert [getattr(forecast, field) for field in compared] == [getattr(report, field) for field in compared]
    if report.output:
        assert (tmp_path / "out.pt").stat().st_size == forecast.new_size


def storage_bytes(path: Path) -> int:
    """The bytes of all storage records."""
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist() if "/data/" in entry.filename)


def test_the_report_says_where_the_bytes_went(last: Path, tmp_path: Path) -> None:
    report = ptzip.slim(last, recipe="basic")
    ptzip.slim(last, tmp_path / "kept.pt", recipe="basic", dtype="keep")
    before, kept, after = map(storage_bytes, (last, tmp_path / "kept.pt", slim_path(last)))
    assert report.saved[Category.RESULTS] == 42 * 121  # lines of the results text
    assert report.saved[Category.OPTIMIZER] == before - kept > 400_000
    assert report.saved[Category.HALF] == kept - after > 200_000
    assert report.saved[Category.EMA] == report.saved[Category.OTHER] == 0
    assert report.saved_share == pytest.approx(1 - report.new_size / report.old_size)
    assert report.loss == Loss()


def test_what_is_slim_already_has_an_empty_report(last: Path) -> None:
    ptzip.slim(last, last, overwrite=True)
    before = last.stat()
    report = ptzip.slim(last, last, overwrite=True)
    assert report.already_slim
    assert (report.changes, report.saved, report.output, report.loss, report.saved_share) == ((), {}, None, None, 0)
    assert (last.stat().st_mtime_ns, last.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_kept_dtype_saves_nothing_by_half_precision(last: Path) -> None:
    report = ptzip.slim(last, dtype="keep")
    assert report.saved[Category.HALF] == 0
    assert [change for change in report.changes if change.category is Category.HALF] == []
    second = ptzip.slim(slim_path(last), dtype="float16")
    assert [change.category for change in second.changes] == [Category.HALF]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "float8"}, "dtype is 'float8', expected one of auto, float16, bfloat16, keep"),
        ({"location": "cuda:0"}, "location is 'cuda:0', expected one of cpu, keep"),
        ({"recipe": "yolo"}, "recipe is 'yolo', expected one of auto, ultralytics, .*, generic"),
        ({"on_overflow": "clip"}, "on_overflow is 'clip', expected one of keep, saturate, inf, error"),
        ({"format": "tar"}, "format is 'tar', expected one of zip, legacy, same"),
    ],
)
def test_an_unknown_option_is_an_error_that_lists_the_known(options: dict[str, Any], words: str, last: Path) -> None:
    with pytest.raises(ValueError, match=words):
        ptzip.slim(last, **options)
    assert list(last.parent.iterdir()) == [last]


@pytest.mark.parametrize("value", [(1,), b"x", {1: "a"}, [{1}]])
def test_a_value_that_cannot_be_set_is_refused_before_the_file_is_opened(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the value for epoch is a .*, expected what JSON can represent"):
        ptzip.slim(tmp_path / "missing.pt", set_values={"epoch": value})


def test_a_report_is_what_json_gives_back(last: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pt"
    cut.write_bytes(SOURCE.read_bytes()[:-4000])
    reports = [ptzip.inspect(last), ptzip.scan(last), ptzip.verify(last), ptzip.verify(cut), ptzip.diff(last, last)]
    written = [
        ptzip.slim(last, tmp_path / "a.pt"),
        ptzip.convert(last, tmp_path / "b.pt"),
        ptzip.repair(cut, tmp_path / "c.pt"),
    ]
    for report in (*reports, *written):
        assert json.loads(json.dumps(report.to_dict(), allow_nan=False)) == report.to_dict()  # type: ignore[attr-defined]


def test_a_bare_string_is_one_pattern(last: Path) -> None:
    report = ptzip.slim(last, drop="optimizer.param_groups", keep="optimizer", dry_run=True)
    assert [warning for warning in report.warnings if "matches nothing" in warning] == []
    assert report == ptzip.slim(last, drop=("optimizer.param_groups",), keep=["optimizer"], dry_run=True)


def test_progress_goes_from_nothing_to_all(last: Path) -> None:
    seen: list[tuple[int, int]] = []
    ptzip.slim(last, progress=lambda done, total: seen.append((done, total)))
    dones, totals = [done for done, _ in seen], {total for _, total in seen}
    assert len(totals) == 1
    assert dones == sorted(dones)
    assert dones[-1] == max(totals) > 200_000


def test_an_error_in_the_callers_progress_leaves_nothing_behind(last: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        ptzip.slim(last, progress=stop)
    assert list(last.parent.iterdir()) == [last]


def test_limits_reach_the_reader(last: Path) -> None:
    with pytest.raises(LimitError):
        ptzip.slim(last, limits=ptzip.Limits(opcodes=10))


@pytest.mark.parametrize("kind", [str, Path, os.fsdecode])
def test_paths_may_be_texts(kind: Any, last: Path) -> None:
    assert ptzip.slim(kind(str(last)), kind(str(last.with_name("out.pt")))).output == str(last.with_name("out.pt"))


def test_a_large_storage_is_cast_by_all_workers_to_the_same_bytes(tmp_path: Path) -> None:
    """More than one stripe, and a length that no chunk divides."""
    builder = CheckpointBuilder()
    values = numbers(5_000_011) % 1000
    path = builder.save(tmp_path / "last.pt", DEFAULTS | {"model": {"w": builder.tensor(values)}})
    ptzip.slim(path, tmp_path / "out.pt")
    with ptzip.open(tmp_path / "out.pt") as slim:
        entry = storage_record(slim, "0")
        assert b"".join(entry.payload.chunks(0, entry.size)) == values.astype("float16").tobytes()


def test_a_source_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"<html>")
    with pytest.raises(FormatError, match="this is a web page"):
        ptzip.slim(tmp_path / "a.pt")
    assert len(list(tmp_path.iterdir())) == 1


# Sources, progress and logging, the same in every verb


Opened = Callable[[Path], bytes | BinaryIO]


@pytest.fixture(params=["bytes", "file object"])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Gives the content of a file as something other than a path."""
    with contextlib.ExitStack() as files:
        yield lambda path: path.read_bytes() if request.param == "bytes" else files.enter_context(path.open("rb"))


def test_slim_reads_what_is_not_a_path(opened: Opened, last: Path, tmp_path: Path) -> None:
    ptzip.slim(last, tmp_path / "a.pt")
    report = ptzip.slim(opened(last), tmp_path / "b.pt", check=True, with_tensors=True)
    assert (tmp_path / "b.pt").read_bytes() == (tmp_path / "a.pt").read_bytes()
    assert report.output == str(tmp_path / "b.pt")


def test_slim_of_what_is_not_a_path_needs_an_output(opened: Opened, last: Path) -> None:
    with pytest.raises(ValueError, match="needs an output path"):
        ptzip.slim(opened(last))
    assert ptzip.slim(opened(last), dry_run=True).changes


@pytest.mark.parametrize("form", ["zip", "legacy", "gzip"])
def test_verify_reads_what_is_not_a_path(form: OutputFormat | Literal["gzip"], opened: Opened, last: Path) -> None:
    if form == "gzip":
        last.write_bytes(gzip.compress(last.read_bytes()))
    else:
        ptzip.slim(last, last, format=form, overwrite=True)
    expected = ptzip.verify(last, values=True)
    found = ptzip.verify(opened(last), values=True)
    assert found.ok
    assert found._replace(path="") == expected._replace(path="")


def test_convert_reads_what_is_not_a_path(opened: Opened, last: Path, tmp_path: Path) -> None:
    ptzip.convert(last, tmp_path / "a.safetensors")
    ptzip.convert(opened(last), tmp_path / "b.safetensors", sidecar=True)
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()


def test_repair_reads_what_is_not_a_path(opened: Opened, last: Path, tmp_path: Path) -> None:
    last.write_bytes(last.read_bytes()[:-1000])
    ptzip.repair(last, tmp_path / "a.pt")
    report = ptzip.repair(opened(last), tmp_path / "b.pt")
    assert report.problems
    assert (tmp_path / "b.pt").read_bytes() == (tmp_path / "a.pt").read_bytes()


@pytest.mark.parametrize("verb", ["verify", "verify values", "diff", "repair", "convert"])
def test_progress_ends_with_all_bytes(verb: str, last: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))

    if verb.startswith("verify"):
        ptzip.verify(last, values=verb.endswith("values"), progress=progress)
    elif verb == "diff":
        ptzip.diff(last, last, progress=progress)
    elif verb == "convert":
        ptzip.convert(last, tmp_path / "a.npz", progress=progress)
    else:
        last.write_bytes(last.read_bytes()[:-1000])
        ptzip.repair(last, tmp_path / "a.pt", progress=progress)
    assert seen[-1][0] == seen[-1][1] > 200_000
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_error_in_the_progress_of_verify_is_raised(last: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        ptzip.verify(last, progress=stop)


def test_warnings_are_logged_once_each(last: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    report = ptzip.slim(last, keep="nothing.of.this", dry_run=True)
    assert [(record.name, record.levelname) for record in caplog.records] == [("ptzip", "WARNING")] * len(report.warnings)
    assert caplog.messages == [f"{last}: {warning}" for warning in report.warnings]


def test_warnings_are_not_printed(last: Path) -> None:
    program = f"import ptzip; assert ptzip.slim({str(last)!r}, keep='nothing.of.this', dry_run=True).warnings"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout + done.stderr == ""


def test_inspect_reads_the_tree_once_for_its_summary_and_the_forecast(last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = list[str]()
    of_checkpoint = Checkpoint._opened

    def noted(self: Checkpoint) -> Any:
        opened.append(self.source.name)
        return of_checkpoint(self)

    monkeypatch.setattr(Checkpoint, "_opened", noted)
    assert ptzip.inspect(last).slimming.saved > 0
    assert opened == [str(last)]
