"""Opcodes as rows: those of `pickletools`, with their stack, and what they stand for."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.errors import EditError
from ptzip.inspecting.disassembly import SKIPPED, disassembled, opcode_lines
from ptzip.io.sources import BytesSource
from ptzip.mapping.opcode_meanings import MOST_BYTES, OpcodeLine
from ptzip.mapping.where import Where, where
from ptzip.pickling.opcodes import VALUES
from tests.corpus import FIXTURES, parameters
from tests.pickling.pickletools_rows import rows_of
from tests.small_checkpoints import Saving, archive, training_records, weights


def lines_of(data: bytes, path: str = "", within: Where | None = None) -> list[OpcodeLine]:
    with Checkpoint(BytesSource(data)) as checkpoint:
        return [line for found in disassembled(checkpoint, path, within) for line in found.lines]


MOST_COMPARED = 50_000
"""The opcodes of a pickle that `pickletools` lists in a second."""


def plain_argument(line: OpcodeLine) -> Any:
    """An argument as `pickletools` decodes it."""
    if isinstance(line.argument, tuple):
        return " ".join(line.argument)
    if line.op in ("GET", "PUT"):
        return int(line.argument)  # type: ignore[call-overload]
    decode = VALUES.get(line.op)
    return line.argument if decode is None or line.argument is None else decode(line.argument)


def comparable(argument: Any) -> Any:
    """An argument to compare: NaN as text, others as they are, since Python spells integers of at most 4,300 digits."""
    return repr(argument) if isinstance(argument, float) else (type(argument), argument)


@pytest.mark.parametrize("protocol", range(6))
def test_the_opcodes_are_those_of_pickletools(protocol: int) -> None:
    value = [OrderedDict(a=1), "text", 1.5, b"bytes", None, True, (1, 2, 3, 4), {5}, 1 << 80, [*range(300)]]
    data = pickle.dumps(value, protocol)
    found = [(line.offset, line.op, plain_argument(line), line.before, line.after) for line in lines_of(data)]
    assert found == [(row.at, row.name, row.argument, row.before, row.after) for row in rows_of(data)]


def meanings(data: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines_of(data):
        if line.meaning:
            found.setdefault(line.op, []).append(line.meaning)
    return found


def test_names_calls_and_storages_are_told() -> None:
    saving = Saving("cuda:1")
    found = meanings(archive(saving.records(saving.node({"model": saving.tensor(weights(6))}))))
    assert found["BINPERSID"] == ["storage 0: 6 x float32 on cuda:1"]
    assert found["REDUCE"] == ["collections.OrderedDict(...)", "-> model float32 [6] by torch._utils._rebuild_tensor_v2(...)"]
    assert "GLOBAL" not in found


def test_what_is_spelled_in_text_or_bytes_is_told_as_a_value() -> None:
    assert meanings(pickle.dumps(1 << 80, 2))["LONG1"] == [str(1 << 80)]
    found = meanings(pickle.dumps([3, True, 2.5, 1 << 80, "a\n"], 0))
    assert found["INT"] == ["3", "True"]
    assert (found["FLOAT"], found["LONG"], found["UNICODE"]) == (["2.5"], [str(1 << 80)], ["'a\\n'"])


def test_a_name_that_the_stack_makes_is_told_even_where_it_was_thrown_away_before() -> None:
    stream = b"\x80\x04\x8c\x05posix\x94\x30\x8c\x06system\x94\x30h\x00h\x01\x93."
    assert meanings(stream) == {
        "MEMOIZE": ["as 0", "as 1"],
        "BINGET": ["'posix'", "'system'"],
        "STACK_GLOBAL": ["posix.system"],
        "STOP": ["-> posix.system"],
    }


def test_a_memo_slot_that_is_put_again_is_told_as_it_is_now() -> None:
    stream = b"\x80\x02(X\x01\x00\x00\x00aq\x00h\x00X\x01\x00\x00\x00bq\x00h\x00]q\x00h\x00t."
    fetched = [line.meaning for line in lines_of(stream) if line.op == "BINGET"]
    assert fetched == ["'a'", "'b'", "4: list"]


def test_a_broken_pickle_is_shown_up_to_where_it_breaks() -> None:
    found = lines_of(b"\x80\x02cos\nsystem\n\xff\xff.")
    assert [line.op for line in found] == ["PROTO", "GLOBAL"]


def test_a_memo_slot_that_is_no_number_ends_the_pickle_and_not_the_program() -> None:
    assert [line.op for line in lines_of(b"\x80\x02Kgx\ny.")] != []


def saved() -> bytes:
    return archive(training_records())


def test_offsets_are_those_of_the_file() -> None:
    data = saved()
    start = data.index(b"\x80\x02}")
    lines = lines_of(data)
    assert lines[0].offset == start
    for line in lines:
        assert data[line.offset : line.offset + min(line.length, MOST_BYTES)] == line.raw


def test_the_opcodes_of_an_object_are_one_stretch_that_builds_it() -> None:
    data = saved()
    lines = lines_of(data, "model.conv.weight")
    assert (lines[0].op, lines[-1].op) == ("GLOBAL", "REDUCE")
    assert lines[-1].meaning == "-> model.conv.weight float32 [4, 16] by torch._utils._rebuild_tensor_v2(...)"
    within = where(f"{lines[0].offset}:{lines[-1].offset + 1 - lines[0].offset}")
    assert lines_of(data, "", within) == lines
    assert lines_of(data, "model.conv.weight", where("last/data.pkl")) == lines


def test_a_container_has_its_items_and_what_is_done_to_it() -> None:
    lines = lines_of(saved(), "optimizer")
    assert (lines[0].op, lines[-1].op) == ("EMPTY_DICT", "SETITEMS")
    assert lines[-1].meaning.startswith("2 items into optimizer: dict, MARK at ")


def test_the_opcodes_that_build_an_object_build_it_alone() -> None:
    value = {"a": [1, (2, 3)], "b": OrderedDict(x=[4])}
    for path, expected in (("a", value["a"]), ("b", value["b"]), ("a.1", (2, 3))):
        data = pickle.dumps(value, 2)
        lines = lines_of(data, path)
        built = data[lines[0].offset : lines[-1].offset + lines[-1].length]
        assert pickle.loads(b"\x80\x02" + built + b".") == expected


def test_what_is_in_no_pickle_is_an_error_that_says_where_they_are() -> None:
    with pytest.raises(EditError, match=r"byte 3:2 is not in a pickle of the file: record data.pkl is \d+:\d+"):
        lines_of(saved(), "", where("3:2"))
    with pytest.raises(EditError, match=r"nothing\.pkl is not in a pickle of the file"):
        lines_of(saved(), "", where("nothing.pkl"))


def test_the_stack_is_shown_as_it_is_after_the_opcode() -> None:
    lines = lines_of(b"\x80\x02(K\x01X\x01\x00\x00\x00aq\x00t.")
    assert [line.stack for line in lines] == [
        *((), ("MARK",), ("MARK", "1"), ("MARK", "1", "'a'"), ("MARK", "1", "'a'"), ("tuple of 2",), ()),
    ]
    assert [line.marks for line in lines] == [0, 0, 1, 1, 1, 1, 0]
    assert lines[-2].meaning == "2 items, MARK at 2"


def test_all_pickles_of_a_legacy_stream_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    ptzip.slim(FIXTURES / "training.pt", path, format="legacy")
    with ptzip.open(path) as checkpoint:
        found = [(pickle.name, list(pickle.lines)) for pickle in disassembled(checkpoint)]
    assert [name for name, _ in found] == ["magic number", "protocol version", "sys_info", "pickle", "storage keys"]
    ends = [0, *(lines[-1].offset + lines[-1].length for _, lines in found)]
    assert ends[:-1] == [lines[0].offset for _, lines in found]


def test_a_pickle_that_is_compressed_has_offsets_in_its_record(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/data.pkl", pickle.dumps({"a": 1}, 2))
        packed.writestr("a/version", "3")
    lines = lines_of(path.read_bytes())
    assert (lines[0].offset, lines[0].inside) == (0, "a/data.pkl")
    assert lines_of(path.read_bytes(), "", where("2:1 in a/data.pkl")) == lines[1:2]


@pytest.mark.parametrize("path", [*parameters("real", "format", "yolo", "frameworks", "threats")])
def test_every_pickle_of_the_corpus_is_that_of_pickletools(path: Path) -> None:
    try:
        checkpoint = ptzip.open(path)
    except ptzip.PtzipError:
        pytest.skip("is no checkpoint")
    with checkpoint:
        for part in checkpoint.parts[:20]:
            lines = list(opcode_lines(part))
            assert (lines[-1].op == "STOP") == (part.pickle.root is not None) if lines else part.pickle.root is None
            if part.pickle.opcodes < MOST_COMPARED and SKIPPED not in {line.op for line in lines}:
                assert part.source is not None
                rows = list(rows_of(part.source.read(part.pickle.start, part.source.size - part.pickle.start)))
                first = lines[0].offset if lines else 0
                assert [(line.offset - first, line.op, line.before, line.after) for line in lines[: len(rows)]] == [
                    (row.at, row.name, row.before, row.after) for row in rows[: len(lines)]
                ]
                arguments = [comparable(plain_argument(line)) for line in lines[: len(rows)]]
                assert arguments == [comparable(row.argument) for row in rows[: len(lines)]]
