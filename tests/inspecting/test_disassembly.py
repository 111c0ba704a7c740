"""Opcodes as rows: those of `pickletools`, with what they stand for."""

import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path

import pytest

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.inspecting.disassembly import OpcodeLine, opcode_lines
from ptzip.io.sources import BytesSource
from tests.corpus import parameters
from tests.small_checkpoints import Saving, archive, weights


def disassembled(data: bytes) -> list[OpcodeLine]:
    with Checkpoint(BytesSource(data)) as checkpoint:
        return [line for part in checkpoint.parts for line in opcode_lines(checkpoint, part)]


@pytest.mark.parametrize("protocol", range(6))
def test_the_opcodes_are_those_of_pickletools(protocol: int) -> None:
    value = [OrderedDict(a=1), "text", 1.5, b"bytes", None, True, (1, 2, 3, 4), {5}, 1 << 80, [*range(300)]]
    data = pickle.dumps(value, protocol)
    expected = [(at, opcode.name) for opcode, _, at in pickletools.genops(data)]
    assert [(line.offset, line.op) for line in disassembled(data)] == expected


def meanings(data: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in disassembled(data):
        if line.meaning:
            found.setdefault(line.op, []).append(line.meaning)
    return found


def test_names_calls_and_storages_are_told() -> None:
    saving = Saving("cuda:1")
    found = meanings(archive(saving.records(saving.node({"model": saving.tensor(weights(6))}))))
    assert found["BINPERSID"] == ["storage 0: 6 x float32 on cuda:1"]
    assert found["REDUCE"] == ["collections.OrderedDict(...)", "torch._utils._rebuild_tensor_v2(...)"]
    assert "GLOBAL" not in found


def test_a_name_that_the_stack_makes_is_told_even_where_it_was_thrown_away_before() -> None:
    stream = b"\x80\x04\x8c\x05posix\x94\x30\x8c\x06system\x94\x30h\x00h\x01\x93."
    assert meanings(stream) == {"BINGET": ["'posix'", "'system'"], "STACK_GLOBAL": ["posix.system"]}


def test_a_memo_slot_that_is_put_again_is_told_as_it_is_now() -> None:
    stream = b"\x80\x02(X\x01\x00\x00\x00aq\x00h\x00X\x01\x00\x00\x00bq\x00h\x00]q\x00h\x00t."
    fetched = [line.meaning for line in disassembled(stream) if line.op == "BINGET"]
    assert fetched == ["'a'", "'b'", ""]


def test_a_broken_pickle_is_shown_up_to_where_it_breaks() -> None:
    found = disassembled(b"\x80\x02cos\nsystem\n\xff\xff.")
    assert [line.op for line in found] == ["PROTO", "GLOBAL"]


def test_a_memo_slot_that_is_no_number_ends_the_pickle_and_not_the_program() -> None:
    assert [line.op for line in disassembled(b"\x80\x02Kgx\ny.")] != []


@pytest.mark.parametrize("path", [*parameters("real")])
def test_every_pickle_of_the_corpus_is_shown_to_its_end(path: Path) -> None:
    try:
        checkpoint = ptzip.open(path)
    except ptzip.PtzipError:
        pytest.skip("is no checkpoint")
    with checkpoint:
        for part in checkpoint.parts[:20]:
            ops = [line.op for line in opcode_lines(checkpoint, part)]
            assert (ops[-1] == "STOP") == (part.pickle.root is not None)
