"""`ptzip inspect`: every view in text and JSON, one object of a file, several files, and how much is read for it."""

import gzip
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptzip.io import system
from ptzip.io.buffers import Buffers
from ptzip.io.crc32 import Pieces
from ptzip.io.payloads import BytesPayload
from ptzip.io.sources import CHUNK
from ptzip.io.system import write_at
from ptzip.zip import structs, writer
from ptzip.zip.writer import Record
from tests.checkpoint_builder import CheckpointBuilder
from tests.cli.shell import environment, one_line, ptzip, reports, shell
from tests.corpus import CORPUS, FIXTURES, needs_corpus
from tests.small_checkpoints import Saving, archive, called, module_records, save, training_records, weights

VIEWS = ("--tensors", "--tree", "--records", "--opcodes")
KEYS = ("epoch", "best_fitness", "training_results", "model", "optimizer")


def answer(*words: str | Path) -> Any:
    """What `--json` says of one file."""
    result = ptzip("inspect", "--json", *words)
    assert result.code == 0, result.err
    (found,) = reports(result.out)
    return found


def test_the_screen_tells_format_versions_keys_and_what_slim_saves(last: Path) -> None:
    out = ptzip("inspect", last).out
    assert out.startswith("last.pt: ")
    assert "torch.save zip, 11 records, pickle of protocol 2" in out
    assert "torch 2.7 or later" in out
    for key in KEYS:
        assert f"\n  {key} " in out
    assert "allow-listed" in out
    assert "anomalies   none" in out
    assert "[basic]" in out


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.pt")), ids=lambda path: path.stem)
def test_the_screen_fits_a_screen(path: Path) -> None:
    lines = ptzip("inspect", path).out.splitlines()
    assert len(lines) <= 31
    assert max(len(line) for line in lines[1:]) <= 110


def test_a_file_of_thousands_of_keys_fits_a_screen(folder: Path) -> None:
    saving = Saving()
    keys = {f"key {index}\n": index for index in range(5000)}
    lines = ptzip("inspect", save(folder / "many.pt", saving.records(saving.node(keys)))).out.splitlines()
    assert len(lines) <= 30
    assert any("4,984 more keys" in line for line in lines)


def test_what_slim_would_save_is_what_it_says_itself(last: Path) -> None:
    (report,) = reports(ptzip("slim", "--json", "-n", last).out)
    slim = answer(last)["slim"]
    assert slim["recipe"] == report["recipe"]
    assert slim["saved"] == report["old_size"] - report["new_size"]


def test_a_file_that_is_slim_already_says_so(last: Path) -> None:
    ptzip("slim", "-i", last)
    assert "slim        already slim" in ptzip("inspect", last).out


def test_names_of_files_and_keys_cannot_steer_a_terminal(folder: Path) -> None:
    saving = Saving()
    evil = called("os\x1b[2J", "system\n", saving.node(("a\x1b[31m\nb",)))
    root = saving.node({"model\x1b[0m": saving.tensor(weights(4)), "evil": evil})
    path = save(folder / "a\x1b[1m.pt", saving.records(root))
    for view in ("", *VIEWS):
        result = ptzip("inspect", path, *([view] if view else []))
        assert "\x1b" not in result.out + result.err
    assert "\x1b" not in ptzip("inspect", f"{path}::model\x1b[0m").out


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_begins_with_the_name_of_the_file(last: Path, view: str) -> None:
    assert ptzip("inspect", last, view).out.startswith("last.pt:\n")


def test_tensors_are_folded_unless_all_are_requested(folder: Path) -> None:
    saving = Saving()
    layers = {str(index): {"weight": saving.tensor(weights(4))} for index in range(7)}
    path = save(folder / "a.pt", saving.records(saving.node({"model": layers})))
    assert [row["name"] for row in answer(path, "--tensors")["tensors"]] == ["model.#.weight"]
    assert answer(path, "--tensors")["tensors"][0] | {"name": ""} == {
        **{"name": "", "dtype": "float32", "shape": [4], "bytes": 7 * 16, "layout": "strided", "tensors": 7},
    }
    assert [row["name"] for row in answer(path, "--tensors", "--all")["tensors"]] == [f"model.{i}.weight" for i in range(7)]
    assert "7 tensors, 112 B" in ptzip("inspect", path, "--tensors").out


def test_records_have_their_places(last: Path) -> None:
    rows = answer(last, "--records")["records"]
    data = last.read_bytes()
    records = training_records()
    assert [row["name"] for row in rows] == [f"last/{name}" for name in records]
    for row, payload in zip(rows, records.values(), strict=True):
        assert data[row["offset"] : row["offset"] + row["size"]] == payload
        assert row["offset"] % 64 == 0
        assert row["alignment"] >= 64


def test_records_show_both_headers_where_they_differ(last: Path) -> None:
    data = last.read_bytes().replace(b"last/data.pkl", b"evil/data.pkl", 1)
    last.write_bytes(data)
    out = ptzip("inspect", last, "--records").out
    assert "name: last/data.pkl in the central directory, evil/data.pkl in the file" in out
    assert "header of record last/data.pkl differs from the central directory in name" in ptzip("inspect", last).out


def test_opcodes_name_storages_and_globals(last: Path) -> None:
    out = ptzip("inspect", last, "--opcodes").out
    assert "# storage 0: 64 x float32 on cpu" in out
    assert "# -> model.conv.weight float32 [4, 16] by torch._utils._rebuild_tensor_v2(...)" in out
    ops = answer(last, "--opcodes")["pickles"][0]["opcodes"]
    assert (ops[0]["opcode"], ops[-1]["opcode"]) == ("PROTO", "STOP")


def test_opcodes_have_their_bytes_and_are_nested_by_marks(last: Path) -> None:
    lines = ptzip("inspect", last, "--opcodes").out.splitlines()
    data = last.read_bytes()
    offset, raw = re.fullmatch(r" +(\d+): ((?:[0-9a-f]{2} ?)+)\.\. +BINUNICODE 'epoch'", lines[5]).groups()  # type: ignore[union-attr]
    assert data[int(offset) :].startswith(bytes.fromhex(raw))
    assert lines[4].endswith("  MARK")
    assert lines[4].index("MARK") + 2 == lines[5].index("BINUNICODE")


def test_a_long_pickle_is_shortened_unless_all_of_it_is_requested(folder: Path) -> None:
    saving = Saving()
    path = save(folder / "a.pt", saving.records(saving.node({"numbers": [*range(1000)]})))
    short, long = (ptzip("inspect", path, "--opcodes", *more).out.splitlines() for more in ((), ("--all",)))
    assert len(short) == 203
    assert short[-1] == (
        "  ... 809 more opcodes (--all shows them; ::PATH those of an object, --within OFFSET:LENGTH those there)"
    )
    assert long[:202] == short[:202]
    assert len(long) == 202 + 809
    assert len(answer(path, "--opcodes")["pickles"][0]["opcodes"]) == 1009


def test_opcodes_of_an_object_or_a_stretch_alone(last: Path) -> None:
    tensor = ptzip("inspect", f"{last}::model.conv.weight", "--opcodes").out.splitlines()
    assert tensor[-1].endswith("-> model.conv.weight float32 [4, 16] by torch._utils._rebuild_tensor_v2(...)")
    start = int(tensor[2].split(":")[0])
    found = ptzip("inspect", last, "--opcodes", "--within", f"{start:#x}:1", "--stack").out.splitlines()
    assert found[3].startswith("           [torch._utils._rebuild_tensor_v2, ")
    assert len(found) == 4
    assert found[2].split() == tensor[2].replace(" GLOBAL", " 12>13 GLOBAL").split()


def test_a_byte_is_explained_down_to_the_element(last: Path) -> None:
    data = last.read_bytes()
    at = data.index(weights(64).tobytes()) + 4 * 17 + 2
    out = ptzip("inspect", last, "--at", hex(at), "--at", "3").out.splitlines()
    assert out[1].startswith(f"  byte {at} ({at:#x}): {data[at]:02x}")
    assert out[3:5] == ["    storage 0 (float32, cpu): element 17, byte 3 of 4", "    model.conv.weight[1, 1] = 3.125"]
    assert out[7] == "    signature = b'PK\\x03\\x04': byte 4 of 4"
    found = answer(last, "--at", str(at))["locations"][0]
    assert found["element"]["tensors"][0]["position"] == [1, 1]


def test_a_byte_of_the_pickle_says_what_it_builds(last: Path) -> None:
    found = answer(last, "--at", "80")["locations"][0]
    assert found["opcode"]["opcode"] == "BINUNICODE"
    assert found["builds"] == {"value": "'best_fitness'", "in": ["dict"], "path": "best_fitness", "key": True}
    assert "    the key best_fitness" in ptzip("inspect", last, "--at", "80").out.splitlines()


def test_bytes_of_a_file_that_does_not_open_are_explained_too(last: Path) -> None:
    last.write_bytes(last.read_bytes()[:-30])
    assert ptzip("inspect", last).code == 2
    assert "local header of last/data.pkl" in ptzip("inspect", last, "--at", "5").out


@pytest.mark.parametrize("flags", [("--stack",), ("--within", "3"), ("--tree", "--stack")])
def test_flags_about_opcodes_need_opcodes(last: Path, flags: tuple[str, ...]) -> None:
    result = ptzip("inspect", last, *flags)
    assert result.code == 2
    assert "--stack and --within are about --opcodes: add that" in one_line(result, f"ptzip: error: {last}: ")


def test_the_tree_names_classes_that_are_not_here(folder: Path) -> None:
    path = save(folder / "a.pt", module_records())
    assert "model: models.yolo.Model" in ptzip("inspect", path, "--tree").out
    rows = answer(path, "--tree")["tree"]
    assert {"depth": 2, "name": "weight", "kind": "tensor"}.items() <= next(
        row for row in rows if row["name"] == "weight"
    ).items()


def test_a_tensor_is_looked_at_by_its_name(last: Path) -> None:
    found = answer("last.pt::model.conv.weight")
    assert found["node"] == "model.conv.weight"
    assert found["tensor"]["shape"] == [4, 16]
    expected = {"numel": 64, "minimum": 1.0, "maximum": 8.875, "mean": 4.9375, "nans": 0, "infinities": 0, "zeros": 0}
    assert expected.items() <= found["statistics"].items()
    out = ptzip("inspect", "last.pt::model.conv.weight").out
    for line in ("min       1\n", "max       8.875\n", "mean      4.9375\n", "zeros     0\n"):
        assert line in out


def test_values_are_printed_on_request(last: Path) -> None:
    assert answer("last.pt::model.conv.bias", "--values")["values"] == [1.0, 1.125, 1.25, 1.375]
    assert "1, 1.125, 1.25, 1.375" in ptzip("inspect", "last.pt::model.conv.bias", "--values").out


def test_many_values_are_cut_off_unless_all_are_requested(folder: Path) -> None:
    path = save(folder / "a.pt", training_records(4000))
    assert "... 3,000 more values (--all shows them)" in ptzip("inspect", f"{path}::model.conv.weight", "--values").out
    assert "more values" not in ptzip("inspect", f"{path}::model.conv.weight", "--values", "--all").out


def test_an_object_is_looked_at_by_its_name(last: Path) -> None:
    out = ptzip("inspect", "last.pt::optimizer.param_groups").out
    assert "lr: 0.01" in out
    assert "momentum_buffer" not in out


def test_tensors_below_an_object_are_listed_by_their_full_names(last: Path) -> None:
    rows = answer("last.pt::optimizer", "--tensors", "--all")["tensors"]
    assert [row["name"] for row in rows] == [f"optimizer.state.{index}.momentum_buffer" for index in (0, 1)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("last.pt::model.nothing",), "there is no 'nothing' below 'model', which has conv.weight, conv.bias, steps"),
        (("last.pt::nothing", "--tensors"), "there are no tensors below nothing"),
        (("last.pt::model", "--records"), "--records shows the whole file: remove ::model"),
        (("last.pt", "--values"), "--values shows one tensor: name it behind the file, as in last.pt::model.0.weight"),
        (("last.pt::model", "--values"), "model is not a tensor, so it has no values to show"),
        (("none.pt",), "no such file or directory"),
        (("none.pt::model",), "no such file or directory"),
        (
            (f"last.pt::{'x' * 5000}",),
            f"there is no '{'x' * 5000}' at the top level, which has epoch, best_fitness, training_results, model, optimizer",
        ),
        (
            (f"last.pt::{'x/' * 5000}",),
            f"there is no '{'x/' * 5000}' at the top level, which has epoch, best_fitness, training_results, model, optimizer",
        ),
    ],
    ids=lambda given: str(given)[:40],
)
def test_what_is_not_there_is_one_line(last: Path, words: tuple[str, ...], message: str) -> None:
    assert last.exists()
    assert one_line(ptzip("inspect", *words), f"ptzip: error: {words[0]}: ") == message


def test_a_file_may_have_the_mark_in_its_name(folder: Path) -> None:
    save(folder / "a::b.pt")
    assert ptzip("inspect", "a::b.pt").code == 0


def test_one_file_that_fails_does_not_stop_the_others(last: Path) -> None:
    Path("bad.pt").write_bytes(b"nothing")
    result = ptzip("inspect", "bad.pt", last)
    assert result.code == 2
    assert result.out.startswith("last.pt: ")
    assert result.err.startswith("ptzip: error: bad.pt: ")
    bad, good = reports(ptzip("inspect", "--json", "bad.pt", last).out)
    assert (bad["ok"], set(bad)) == (False, {"ok", "path", "error"})
    assert good["format"] == "torch.save zip"


def test_a_pickle_that_breaks_shows_what_came_before_and_fails(folder: Path) -> None:
    path = Path("broken.pt")
    path.write_bytes(archive({"data.pkl": b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R\xff.", "version": b"3\n"}))
    result = ptzip("inspect", path)
    assert result.code == 2
    assert "imports     os.system" in result.out
    assert "byte 0xff is not a pickle opcode" in result.out
    assert result.err.startswith("ptzip: error: broken.pt: record data.pkl is broken")


@pytest.mark.parametrize("words", [(), ("--json",), *((view,) for view in VIEWS)])
def test_numpy_is_not_loaded_to_look_at_a_file(last: Path, words: tuple[str, ...]) -> None:
    assert heavy(str(last), *words) == []


def test_numpy_is_loaded_for_values(last: Path) -> None:
    assert heavy(f"{last}::model.conv.weight") == ["numpy"]


def heavy(*words: str) -> list[str]:
    """What one run loaded of what takes time."""
    program = (
        "import sys\nfrom ptzip.cli.main import main\n"
        f"assert main(['inspect', *{words!r}]) == 0\n"
        "print('|', *[name for name in ('numpy', 'rich', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True)
    return done.stdout.rpartition("|")[2].split()


class Hole:
    """A payload of which nothing is ever written, so that the file system keeps no bytes for it."""

    seekable = True

    def __init__(self, length: int) -> None:
        self.length = length

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes]:
        return iter(())


def sparse(path: Path, count: int, size: int) -> list[tuple[int, int]]:
    """A checkpoint of `count` float32 storages that are holes; returns where they are."""
    saving = Saving()
    model = {f"layer{index}.weight": saving.tensor(weights(4)) for index in range(count)}
    records = saving.records(saving.node({"epoch": 1, "model": model, "optimizer": None}))
    pickle = records.pop("data.pkl").replace(b"K\x04t", b"J" + (size // 4).to_bytes(4, "little") + b"t")
    named = [Record("a/data.pkl", BytesPayload(pickle))]
    named += [
        Record(f"a/{name}", Hole(size) if name.startswith("data/") else BytesPayload(data)) for name, data in records.items()
    ]
    planned = writer.plan(named)
    with path.open("wb") as file:
        for placed in planned.placed:
            write_at(file.fileno(), placed.head, placed.offset)
            if isinstance(placed.record.payload, BytesPayload):
                write_at(file.fileno(), placed.record.payload.data, placed.data_offset)
            length = placed.record.payload.length
            write_at(file.fileno(), structs.build(structs.Descriptor(0, length, length)), placed.data_offset + length)
        writer._finish(planned, [Pieces() for _ in planned.placed], file.fileno())
    return [(placed.data_offset, placed.data_offset + size) for placed in planned.placed if "/data/" in placed.record.name]


def test_of_2_gigabytes_only_headers_directory_and_pickle_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "large.pt"
    holes = sparse(path, 8, 1 << 28)
    assert path.stat().st_size > 1 << 31
    reads: list[tuple[int, int]] = []
    read_at = system.read_at

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        reads.append((offset, offset + length))
        return read_at(descriptor, length, offset)

    monkeypatch.setattr(system, "read_at", counted)
    for words in (("--tensors",), ("--tree",), ("--records",), ("--opcodes",)):
        assert ptzip("inspect", path, *words).code == 0
    assert sum(stop - start for start, stop in reads) < 6 * CHUNK // 16
    assert not [read for read in reads for start, stop in holes if read[0] < stop and start < read[1]]
    reads.clear()
    assert "2.1 GB" in ptzip("inspect", path).out
    assert sum(stop - start for start, stop in reads) < CHUNK  # the scan looks at the beginning of each storage


@needs_corpus
def test_a_module_that_was_pickled_whole_has_its_parameters_counted() -> None:
    path = CORPUS / "yolo" / "y5_v70_s_sgd.blog.pt"  # SGD has one buffer for each parameter
    found = {one["key"]: one for one in answer(path)["parameters"]}
    assert found["model"]["is_exact"]
    assert found["model"]["numel"] == found["optimizer"]["numel"] == 7_025_023


def test_a_reader_that_leaves_early_stops_nothing(last: Path) -> None:
    assert shell("inspect", last, "--opcodes").code == 0


FLAGS = {"-h", "--help", *VIEWS, "--map", "--fields", "--hex", "--at", "--html", "--stats", "--extract", "--raw"} | {
    *(
        "--sizes",
        "--depth",
        "--sort",
        "-o",
        "--output",
        "-f",
        "--force",
        "--values",
        "--stack",
        "--within",
        "-a",
        "--all",
        "--json",
        "--limit",
        "--color",
    ),
    *("-j", "--jobs", "--files-from", "--shard", "--scheduler", "--jsonl", "--resume", "--timeout", "--memory"),
}


def test_help_names_every_flag_and_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = ptzip("inspect", "--help").out
    assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", out)) == FLAGS
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_summary_that_had_to_leave_something_out_exits_with_2(flags: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "broken.pkl").write_bytes(b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01")
    code, out, err = ptzip("inspect", *flags, tmp_path / "broken.pkl")
    assert code == 2
    assert "bare pickle" in out
    assert err.count("the pickle ends without STOP") == 1


def test_a_glob_shows_the_tensors_whose_names_it_matches(last: Path) -> None:
    assert [row["name"] for row in answer("last.pt::model.conv.*")["tensors"]] == ["model.conv.weight", "model.conv.bias"]
    assert [row["name"] for row in answer("last.pt::*.bias", "--tensors")["tensors"]] == ["model.conv.bias"]
    assert "there is no '*.nothing'" in ptzip("inspect", "last.pt::*.nothing").err


def test_a_name_with_wildcards_in_it_is_found_as_it_is(folder: Path) -> None:
    save(folder / "a.pt", training_records(model={"w[0]": weights(4), "w0": weights(4)}))
    assert answer("a.pt::model.w[0]")["tensor"]["shape"] == [4]


def test_a_tree_of_sizes_shows_the_bytes_of_each_module_once(last: Path) -> None:
    rows = answer(last, "--tree", "--sizes", "--sort", "size")["sizes"]
    assert [(row["depth"], row["name"], row["size"]) for row in rows[:3]] == [
        (0, "tensors", 552),
        (1, "model", 280),
        (2, "conv", 272),
    ]
    assert [row["kind"] for row in rows[:2]] == ["of several kinds", "weights"]
    assert max(row["depth"] for row in answer(last, "--tree", "--sizes", "--depth", "1")["sizes"]) == 1
    line = next(line for line in ptzip("inspect", last, "--tree", "--sizes").out.splitlines() if " model " in line)
    assert line.split() == ["280", "B", "50.7", "%", "\u2588" * 10 + "\u258f", "model", "weights"]


def test_a_tree_has_the_depth_that_is_wanted(last: Path) -> None:
    assert max(row["depth"] for row in answer(last, "--tree", "--depth", "1")["tree"]) == 1


@pytest.mark.parametrize("flags", [("--sizes",), ("--depth", "1"), ("--tree", "--sort", "size"), ("--stats",)])
def test_flags_of_a_view_that_is_not_shown_are_an_error(flags: tuple[str, ...], last: Path) -> None:
    code, _, err = ptzip("inspect", last, *flags)
    assert code == 2
    assert "add that" in err


def test_a_tensor_is_shown_with_the_spread_of_its_values(folder: Path) -> None:
    values = np.array([0, 1, 2, 3, 4, 1e6, 1e-9, -1], "float32")
    save(folder / "a.pt", training_records(model={"w": values}))
    out = ptzip("inspect", "a.pt::model.w").out
    assert "quantiles 1 % " in out
    assert "histogram \u2588" in out
    assert "overflow  1 in float16" in out
    assert "underflow 1 in float16" in out
    assert answer("a.pt::model.w")["statistics"]["spread"]["overflowing"] == 1


def test_what_slim_would_make_larger_is_not_called_saved(folder: Path) -> None:
    built = CheckpointBuilder()
    plain = built.save(folder / "zeros.pt", {"state_dict": {"weight": built.tensor(np.zeros(10_000, "float32"))}})
    packed = Path("zeros.pt.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert re.search(r"\n  slim        makes it \S+ k?B larger \(.* %\)  \[generic\]\n", ptzip("inspect", packed).out)
