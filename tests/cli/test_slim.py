"""`ptzip slim`: where the output goes, what is printed, and what each flag changes.

What a run leaves in the folder is always looked at whole, so that a file too many is seen.
"""

import stat
import zipfile
from pathlib import Path

import pytest

import ptzip as package
from ptzip.recipes import NAMES
from tests.checkpoint_builder import CheckpointBuilder
from tests.cli.shell import names, one_line, ptzip, reports, shell
from tests.corpus import CORPUS, FIXTURES, needs_corpus
from tests.small_checkpoints import archive, called, module_records, save, training_records
from tests.torch_zips import storage_record

DONE = """\
last.pt -> last.slim.pt  [basic]
  results                      110 B
  optimizer                    272 B
  EMA or duplicate model         0 B
  half precision               136 B
  pickle and zip               923 B
  total                       1.4 kB   3.6 kB -> 2.1 kB, 40.3 % saved
"""

PLAN = """\
    epoch                        0 B   -1
    best_fitness                 0 B   kept
    training_results           110 B   None
    model                      338 B   2 tensors to float16
    optimizer                  349 B   None
"""


def slimmed(path: Path) -> bytes:
    """What `ptzip slim` makes of a file."""
    output = path.with_name("expected")
    package.slim(path, output)
    data = output.read_bytes()
    output.unlink()
    return data


# where the output goes


def test_by_default_the_output_is_beside_the_input(last: Path) -> None:
    before, expected = last.read_bytes(), slimmed(last)
    assert ptzip("slim", last) == (0, DONE, "")
    assert names() == ["last.pt", "last.slim.pt"]
    assert Path("last.slim.pt").read_bytes() == expected
    assert last.read_bytes() == before


def test_the_output_is_a_whole_zip(last: Path) -> None:
    ptzip("slim", last)
    with zipfile.ZipFile("last.slim.pt") as written:
        assert written.testzip() is None


@pytest.mark.parametrize("flag", ["-o", "--output"])
def test_an_output_file_is_written_under_its_name(flag: str, last: Path) -> None:
    result = ptzip("slim", last, flag, "small.bin")
    assert result == (0, DONE.replace("last.slim.pt", "small.bin"), "")
    assert names() == ["last.pt", "small.bin"]


def test_an_output_folder_takes_the_file_under_its_own_name(last: Path) -> None:
    Path("small").mkdir()
    result = ptzip("slim", last, "-o", "small")
    assert result == (0, DONE.replace("last.slim.pt", "small/last.pt"), "")
    assert names("small") == ["last.pt"]


def test_a_name_with_a_slash_at_its_end_is_made_a_folder(last: Path) -> None:
    assert ptzip("slim", last, "-o", "new/er/").code == 0
    assert names("new/er") == ["last.pt"]


def test_the_folder_of_an_output_is_made(last: Path) -> None:
    assert ptzip("slim", last, "-o", "new/er/small.pt").code == 0
    assert names("new/er") == ["small.pt"]
    cause = one_line(ptzip("slim", last, "-o", "last.pt/small.pt"), "ptzip: error: last.pt: ")
    assert cause == "not a directory: last.pt/small.pt"


def test_several_files_go_into_one_folder(last: Path) -> None:
    save(Path("other.pt"), module_records())
    assert ptzip("slim", last, "other.pt", "-o", "small").code == 0
    assert names() == ["last.pt", "other.pt", "small"]
    assert names("small") == ["last.pt", "other.pt"]


def test_several_files_each_get_an_output_beside_them(last: Path) -> None:
    Path("below").mkdir()
    save(Path("below/last.pt"))
    assert ptzip("slim", last, "below/last.pt").code == 0
    assert names() == ["below", "last.pt", "last.slim.pt"]
    assert names("below") == ["last.pt", "last.slim.pt"]


@pytest.mark.parametrize("flag", ["-i", "--in-place"])
def test_in_place_replaces_the_input(flag: str, last: Path) -> None:
    expected = slimmed(last)
    assert ptzip("slim", flag, last) == (0, DONE.replace("last.slim.pt", "last.pt"), "")
    assert names() == ["last.pt"]
    assert last.read_bytes() == expected


def test_in_place_leaves_a_symbolic_link_a_link(last: Path) -> None:
    expected = slimmed(last)
    Path("deep").mkdir()
    last.rename("deep/real.pt")
    last.symlink_to("deep/real.pt")
    assert ptzip("slim", "-i", last).code == 0
    assert last.is_symlink()
    assert last.readlink() == Path("deep/real.pt")
    assert Path("deep/real.pt").read_bytes() == expected
    assert names("deep") == ["real.pt"]


def test_an_input_that_is_a_link_gets_its_output_beside_the_link(last: Path) -> None:
    Path("deep").mkdir()
    last.rename("deep/real.pt")
    last.symlink_to("deep/real.pt")
    assert ptzip("slim", last).code == 0
    assert names() == ["deep", "last.pt", "last.slim.pt"]
    assert not Path("last.slim.pt").is_symlink()


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_in_place_replaces_a_file_of_several_names_once(jobs: str, last: Path) -> None:
    (last.parent / "best.pt").symlink_to(last.name)
    run = ptzip("slim", "-i", "--json", "-j", jobs, last.parent, last, last)
    assert run.code == 0
    assert [Path(report["path"]).name for report in reports(run.out)] == ["best.pt"]


def test_in_place_leaves_the_other_names_of_the_file_alone(last: Path) -> None:
    before = last.read_bytes()
    Path("backup.pt").hardlink_to(last)
    assert ptzip("slim", "-i", last).code == 0
    assert Path("backup.pt").read_bytes() == before


@pytest.mark.posix("modes of files")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o444, 0o755])
@pytest.mark.parametrize("flags", [(), ("-i", "-f")])
def test_permissions_are_those_of_the_input(mode: int, flags: tuple[str, ...], last: Path) -> None:
    last.chmod(mode)
    assert ptzip("slim", last, *flags).code == 0
    written = Path("last.pt" if flags else "last.slim.pt")
    assert stat.S_IMODE(written.stat().st_mode) == mode


# what stands in the way


def test_an_existing_output_is_refused(last: Path) -> None:
    Path("last.slim.pt").write_bytes(b"mine")
    cause = one_line(ptzip("slim", last), "ptzip: error: last.pt: ")
    assert cause == "last.slim.pt already exists (use -f to overwrite)"
    assert Path("last.slim.pt").read_bytes() == b"mine"


def test_a_link_that_leads_nowhere_is_an_existing_output(last: Path) -> None:
    Path("last.slim.pt").symlink_to("elsewhere.pt")
    cause = one_line(ptzip("slim", last), "ptzip: error: last.pt: ")
    assert cause == "last.slim.pt already exists (use -f to overwrite)"
    assert names() == ["last.pt", "last.slim.pt"]


@pytest.mark.parametrize("flag", ["-f", "--force"])
def test_force_replaces_an_existing_output(flag: str, last: Path) -> None:
    Path("last.slim.pt").write_bytes(b"old")
    expected = slimmed(last)
    assert ptzip("slim", flag, last) == (0, DONE, "")
    assert Path("last.slim.pt").read_bytes() == expected


@pytest.mark.parametrize("force", [(), ("-f",)])
@pytest.mark.parametrize("output", ["last.pt", "./last.pt", ".", "link.pt", "same.pt"])
def test_the_input_itself_is_no_output(output: str, force: tuple[str, ...], last: Path) -> None:
    before = last.read_bytes()
    Path("link.pt").symlink_to("last.pt")
    Path("same.pt").hardlink_to(last)
    cause = one_line(ptzip("slim", last, "-o", output, *force), "ptzip: error: last.pt: ")
    assert cause.endswith(" is the input itself (use -i to overwrite it)")
    assert last.read_bytes() == before


def test_two_inputs_do_not_share_an_output(last: Path) -> None:
    Path("other").mkdir()
    save(Path("other/last.pt"), module_records())
    expected = slimmed(last)
    result = ptzip("slim", last, "other/last.pt", "-o", "small", "-f")
    assert result.code == 2
    assert result.err == "ptzip: error: other/last.pt: the output small/last.pt was written for another input of this run\n"
    assert Path("small/last.pt").read_bytes() == expected


@pytest.mark.parametrize("order", [("last.pt", "other/last.pt"), ("other/last.pt", "last.pt")])
def test_no_output_replaces_another_input(order: tuple[str, str], last: Path) -> None:
    Path("other").mkdir()
    before = save(Path("other/last.pt"), module_records()).read_bytes()
    result = ptzip("slim", *order, "-o", "other", "-f")
    assert result.code == 2
    assert "ptzip: error: last.pt: the output other/last.pt is another input of this run\n" in result.err
    assert len(result.err.splitlines()) == 2
    assert Path("other/last.pt").read_bytes() == before


@pytest.mark.parametrize("files", [("last.pt", "last.pt"), ("last.pt", "./last.pt")])
def test_a_file_named_twice_is_done_once(files: tuple[str, str], last: Path) -> None:
    result = ptzip("slim", *files, "-f")
    assert (result.code, result.out) == (2, DONE)
    assert result.err == f"ptzip: error: {files[1]}: the output last.slim.pt was written for another input of this run\n"


@pytest.mark.parametrize("words", [("last.pt", "-o", "taken/"), ("last.pt", "last.pt", "-o", "taken")])
@pytest.mark.parametrize("flags", [(), ("-f",), ("-n",)])
def test_a_file_where_a_folder_is_needed_is_not_a_directory(words: tuple[str, ...], flags: tuple[str, ...], last: Path) -> None:
    Path("taken").write_bytes(b"mine")
    result = ptzip("slim", *words, *flags)
    assert (result.code, result.out) == (2, "")
    assert set(result.err.splitlines()) == {"ptzip: error: last.pt: the output taken is not a folder"}
    assert Path("taken").read_bytes() == b"mine"


@pytest.mark.parametrize("flags", [("-f",), ()])
def test_a_folder_in_the_place_of_the_output_stays(flags: tuple[str, ...], last: Path) -> None:
    Path("last.slim.pt").mkdir()
    cause = one_line(ptzip("slim", last, *flags), "ptzip: error: last.pt: ")
    assert "last.slim.pt" in cause
    assert ".tmp" not in cause
    assert names() == ["last.pt", "last.slim.pt"]
    assert names("last.slim.pt") == []


# other flags


@pytest.mark.parametrize("flag", ["-n", "--dry-run"])
@pytest.mark.parametrize("where", [(), ("-o", "small.pt"), ("-o", "new/"), ("-i",)])
def test_a_dry_run_shows_the_plan_and_writes_nothing(flag: str, where: tuple[str, ...], last: Path) -> None:
    before = last.read_bytes()
    shown = DONE.replace("last.slim.pt", "nothing written (dry run)") + PLAN
    assert ptzip("slim", flag, last, *where) == (0, shown, "")
    assert names() == ["last.pt"]
    assert last.read_bytes() == before


def test_a_dry_run_tells_the_size_that_will_be_written(last: Path) -> None:
    planned = reports(ptzip("slim", "-n", "--json", last).out)[0]["new_size"]
    ptzip("slim", last)
    assert Path("last.slim.pt").stat().st_size == planned


def test_a_recipe_is_taken_by_its_name(last: Path) -> None:
    save(last, module_records())
    assert ptzip("slim", last, "-n").out.splitlines()[0].endswith("[yolov5]")
    result = ptzip("slim", last, "--recipe", "basic")
    assert result.out.splitlines()[0] == "last.pt -> last.slim.pt  [basic]"
    with package.open("last.slim.pt") as written:
        assert set(written.top_level_keys) == {"epoch", "best_fitness", "training_results", "model", "optimizer"}


def test_an_unknown_recipe_is_refused_with_the_known_ones(last: Path) -> None:
    cause = one_line(ptzip("slim", last, "--recipe", "yolo"), "ptzip: error: last.pt: ")
    assert cause == f"recipe is 'yolo', expected one of {', '.join(NAMES)} (did you mean yolox?)"
    assert names() == ["last.pt"]


def test_a_layout_that_no_recipe_knows_is_refused_with_its_keys(last: Path) -> None:
    CheckpointBuilder().save(last, {"epoch": 1, "loss": [0.1]})
    cause = one_line(ptzip("slim", last), "ptzip: error: last.pt: ")
    keys = "epoch, loss"
    assert cause == f"the file holds no tensors: its top-level keys are {keys}"


def dtypes(path: str | Path) -> list[str]:
    with package.open(path) as checkpoint:
        return [storage.dtype.name for storage in checkpoint.storages.values()]


def locations(path: str | Path) -> set[str]:
    with package.open(path) as checkpoint:
        return {reference.location for storage in checkpoint.storages.values() for reference in storage.references}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), ["float16", "float16", "int64"]),
        (("--dtype", "float16"), ["float16", "float16", "int64"]),
        (("--dtype", "keep"), ["float32", "float32", "int64"]),
    ],
)
def test_dtype_says_what_the_weights_become(flags: tuple[str, ...], expected: list[str], last: Path) -> None:
    assert ptzip("slim", last, *flags).code == 0
    assert dtypes("last.slim.pt") == expected


def test_a_kept_dtype_keeps_the_bytes_of_the_weights(last: Path) -> None:
    assert ptzip("slim", last, "--dtype", "keep").out.splitlines()[4] == "  half precision                 0 B"
    with package.open(last) as before, package.open("last.slim.pt") as after:
        for key in after.storages:
            kept, was = (storage_record(checkpoint, key).stored for checkpoint in (after, before))
            assert list(kept.chunks(0, kept.length)) == list(was.chunks(0, was.length))


@pytest.mark.parametrize(
    ("flags", "expected"), [((), "cpu"), (("--location", "cpu"), "cpu"), (("--location", "keep"), "cuda:0")]
)
def test_location_says_where_the_tensors_load_to(flags: tuple[str, ...], expected: str, last: Path) -> None:
    save(last, training_records(location="cuda:0"))
    assert ptzip("slim", last, *flags).code == 0
    assert locations("last.slim.pt") == {expected}


@pytest.mark.parametrize("flag", ["-q", "--quiet"])
def test_quiet_prints_nothing_where_all_went_well(flag: str, last: Path) -> None:
    assert ptzip("slim", flag, last) == (0, "", "")
    assert names() == ["last.pt", "last.slim.pt"]


def test_quiet_still_prints_errors(last: Path) -> None:
    assert ptzip("slim", "-q", "missing.pt") == (2, "", "ptzip: error: missing.pt: no such file or directory\n")


def test_json_is_a_list_of_one_report_a_file(last: Path) -> None:
    result = ptzip("slim", "--json", last)
    (report,) = reports(result.out)
    assert (result.code, result.err) == (0, "")
    assert (report["path"], report["output"], report["recipe"]) == ("last.pt", "last.slim.pt", "basic")
    assert (report["old_size"], report["new_size"]) == (last.stat().st_size, Path("last.slim.pt").stat().st_size)
    assert sum(report["saved"].values()) == report["old_size"] - report["new_size"]


def test_json_holds_errors_too_and_they_are_on_stderr_as_well(last: Path) -> None:
    result = ptzip("slim", "--json", "missing.pt", last)
    assert result.code == 2
    failed, done = reports(result.out)
    assert failed == {"ok": False, "path": "missing.pt", "error": "no such file or directory"}
    assert done["output"] == "last.slim.pt"
    assert result.err == "ptzip: error: missing.pt: no such file or directory\n"


def test_json_and_quiet_together_print_json(last: Path) -> None:
    assert len(reports(ptzip("slim", "--json", "-q", last).out)) == 1


def test_one_file_that_fails_does_not_stop_the_others(last: Path) -> None:
    save(Path("other.pt"), module_records())
    Path("broken.pt").write_bytes(b"")
    result = ptzip("slim", last, "broken.pt", "other.pt")
    assert result.code == 2
    assert result.err == "ptzip: error: broken.pt: this is an empty file\n"
    assert names() == ["broken.pt", "last.pt", "last.slim.pt", "other.pt", "other.slim.pt"]
    assert [line for line in result.out.splitlines() if "->" in line and not line.startswith(" ")] == [
        "last.pt -> last.slim.pt  [basic]",
        "other.pt -> other.slim.pt  [yolov5]",
    ]


# what is slim already


@pytest.fixture
def slim_file(last: Path) -> Path:
    """The only file in the folder, and slim already."""
    ptzip("slim", "-i", last)
    return last


@pytest.mark.parametrize(
    "where",
    [(), ("-i",), ("-o", "again.pt", "-n"), ("-f",), ("-n",), ("--dtype", "keep"), ("--recipe", "basic")],
)
def test_a_slim_file_is_left_alone(where: tuple[str, ...], slim_file: Path) -> None:
    before, modified = slim_file.read_bytes(), slim_file.stat().st_mtime_ns
    result = ptzip("slim", slim_file, *where)
    assert result == (0, "last.pt: already slim (2.1 kB), nothing written\n", "")
    assert [path for path in Path().rglob("*") if path.is_file()] == [slim_file]
    assert (slim_file.read_bytes(), slim_file.stat().st_mtime_ns) == (before, modified)


@pytest.mark.parametrize(
    ("output", "path"), [("again.pt", "again.pt"), ("new/again.pt", "new/again.pt"), ("new/", "new/last.pt")]
)
def test_an_output_that_is_named_is_there_afterwards_though_the_file_was_slim(output: str, path: str, slim_file: Path) -> None:
    assert ptzip("slim", slim_file, "-o", output) == (0, f"last.pt -> {path}: already slim (2.1 kB), copied\n", "")
    assert Path(path).read_bytes() == slim_file.read_bytes()
    assert not Path(path).samefile(slim_file)
    cause = one_line(ptzip("slim", slim_file, "-o", output), "ptzip: error: last.pt: ")
    assert cause == f"{path} already exists (use -f to overwrite)"
    assert ptzip("slim", slim_file, "-o", output, "-f").code == 0


def test_a_copy_is_compressed_as_its_name_says(slim_file: Path) -> None:
    assert ptzip("slim", slim_file, "-o", "small.pt.zst").code == 0
    assert Path("small.pt.zst").read_bytes() != slim_file.read_bytes()
    assert ptzip("slim", "small.pt.zst", "-o", "again.pt").code == 0
    assert Path("again.pt").read_bytes() == slim_file.read_bytes()


def test_a_copy_keeps_to_the_format_that_its_name_says(slim_file: Path) -> None:
    assert "use ptzip convert" in one_line(ptzip("slim", slim_file, "-o", "small.safetensors"), "ptzip: error: ")
    assert names() == ["last.pt"]


def test_a_check_tells_by_its_exit_code_whether_a_file_is_slim(last: Path) -> None:
    assert ptzip("slim", "-n", "--exit-code", last).code == 1
    assert ptzip("slim", "-n", "-q", last).code == 0
    assert ptzip("slim", "-i", last).code == 0
    assert ptzip("slim", "-n", "--exit-code", last).code == 0


def test_a_slim_file_is_no_error_where_its_output_exists(slim_file: Path) -> None:
    Path("last.slim.pt").write_bytes(b"mine")
    assert ptzip("slim", slim_file).code == 0
    assert Path("last.slim.pt").read_bytes() == b"mine"


def test_the_report_of_a_slim_file_says_so_in_json(slim_file: Path) -> None:
    (report,) = reports(ptzip("slim", "--json", slim_file).out)
    assert report["already_slim"] is True
    assert report["output"] is None
    assert report["new_size"] == report["old_size"] == slim_file.stat().st_size


# what the numbers lost, and what is odd about the file


def test_values_that_float16_cannot_hold_are_counted(last: Path) -> None:
    import numpy as np

    large = np.array([1.0, 1e6, -1e6, 70000.0, 1e-10, 0.0], "float32")
    save(last, training_records(model={"weight": large}))
    lines = ptzip("slim", last, "--on-overflow", "inf").out.splitlines()
    assert lines[-2:] == [
        "  3 values beyond the range of float16 (65,504) became infinite",
        "  1 values too small for float16 (below 3e-8) became zero",
    ]


def damaged(record: str, old: bytes, new: bytes) -> bytes:
    """A checkpoint of which one record has other bytes than its CRC says."""
    records = training_records()
    data = archive(records)
    assert data.count(records[record]) == 1
    return data.replace(records[record], records[record].replace(old, new, 1))


def test_a_wrong_crc_of_a_storage_is_a_warning_that_names_the_record(last: Path) -> None:
    stored = training_records()["data/0"]
    last.write_bytes(archive(training_records()).replace(stored, b"\x01" + stored[1:], 1))
    result = ptzip("slim", "-q", last)
    warning = "ptzip: warning: last.pt: the CRC of record last/data/0 does not match: its bytes may be damaged\n"
    assert result == (0, "", warning)
    assert names() == ["last.pt", "last.slim.pt"]


@pytest.mark.parametrize(("record", "old", "new"), [("data.pkl", b"epoch 9", b"epoch 8"), ("byteorder", b"little", b"lITTLE")])
def test_a_wrong_crc_of_any_other_record_is_a_warning_too(record: str, old: bytes, new: bytes, last: Path) -> None:
    last.write_bytes(damaged(record, old, new))
    result = ptzip("slim", last)
    warning = f"ptzip: warning: last.pt: the CRC of record last/{record} does not match: its bytes may be damaged\n"
    assert result == (0, DONE, warning)


def test_a_warning_is_in_the_json_report_too(last: Path) -> None:
    last.write_bytes(damaged("data.pkl", b"epoch 9", b"epoch 8"))
    (report,) = reports(ptzip("slim", "--json", last).out)
    assert report["warnings"] == ["the CRC of record last/data.pkl does not match: its bytes may be damaged"]


def test_a_call_that_a_loader_would_make_is_kept_as_it_was(last: Path) -> None:
    from ptzip.pickling.new_nodes import atom
    from ptzip.pickling.nodes import Tuple

    keep = called("numpy.core.multiarray", "scalar", Tuple("TUPLE1", None, [atom(1)]))
    save(last, training_records(best_fitness=keep))
    ptzip("slim", last)
    with zipfile.ZipFile("last.slim.pt") as written:
        assert b"cnumpy.core.multiarray\nscalar\n" in written.read("last/data.pkl")


# as a process of its own, on real ones


def test_the_checkpoint_of_the_fixtures_is_made_a_third_as_large() -> None:
    source = FIXTURES / "training.pt"
    result = shell("slim", source, "-o", "training.slim.pt")
    lines = result.out.splitlines()
    assert (result.code, result.err) == (0, "")
    assert lines[0] == f"{source} -> training.slim.pt  [yolov5]"
    assert lines[-1].endswith("% saved")
    assert 3 * Path("training.slim.pt").stat().st_size < source.stat().st_size


@needs_corpus
def test_a_real_checkpoint_is_made_half_as_large() -> None:
    real = CORPUS / "yolo" / "y5_v70_n_fresh.alias.pt"
    result = shell("slim", real, "-o", "fresh.pt", "--json")
    (report,) = reports(result.out)
    assert (result.code, result.err) == (0, "")
    assert report["recipe"] == "yolov5"
    assert Path("fresh.pt").stat().st_size == report["new_size"] < 0.52 * real.stat().st_size


def test_a_check_of_all_files_takes_what_an_earlier_run_wrote_for_a_file_like_others(last: Path) -> None:
    assert ptzip("slim", last).code == 0
    assert ptzip("slim", "-n", "--exit-code", "last.pt", "last.slim.pt").code == 1
    assert ptzip("slim", "-n", "--exit-code", "last.slim.pt").code == 0
    assert "is another input of this run" in ptzip("slim", "last.pt", "last.slim.pt").err
