"""The opcodes of a pickle as `pickletools` of the standard library has them, with its stack."""

import pickletools
from collections.abc import Iterator
from typing import Any, NamedTuple


class Row(NamedTuple):
    """An opcode: its offset, name and argument, and how many values and marks are on the stack before and after it."""

    at: int
    name: str
    argument: Any
    before: int
    after: int


def rows_of(data: bytes) -> Iterator[Row]:
    """The opcodes of a pickle with the stack that `pickletools.dis` keeps, up to where either gives up."""
    stack = list[Any]()
    try:
        for opcode, argument, at in pickletools.genops(data):
            before, taken = len(stack), len(opcode.stack_before)
            is_popped_mark = opcode.name == "POP" and bool(stack) and stack[-1] is pickletools.markobject
            if pickletools.markobject in opcode.stack_before or is_popped_mark:
                while stack.pop() is not pickletools.markobject:
                    pass
                taken = 0 if is_popped_mark else opcode.stack_before.index(pickletools.markobject)
            if taken > len(stack):
                return
            del stack[len(stack) - taken :]
            stack += opcode.stack_after
            yield Row(at or 0, opcode.name, argument, before, len(stack))
    except (ValueError, IndexError):
        return
