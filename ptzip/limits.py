"""Upper bounds for what a file may request, in one frozen value. Crossing one is a LimitError before memory is taken."""

from collections.abc import Mapping
from typing import NamedTuple


class Limits(NamedTuple):
    """Upper bounds for one file. The defaults accept every honest checkpoint known. Most files at a limit take less than 1 GiB
    and a minute; `slim --check` of 100,000 tensors takes 1.1 GiB and over a minute.

    Counts: `opcodes` of one pickle, in a scan of all pickles of the file (an opcode that imports, calls, creates a container or
    has a line of text counts as several, see `pickling.reader.COSTS`, and the items of what is fetched from the memo count
    again, beyond some for each byte, see `pickling.machine`); `marks` (open at once), `memo_index` and `nesting`
    (containers whose only item is the next) of one pickle; `paths` to the values of a pickle, of which each item of a container
    is one, and shared values multiply them; `entries` of a zip, in a scan of all zips; `pickles` in a scanned file. Sizes in
    bytes: `pickle_bytes` of one pickle, `directory_bytes` of a zip's central directory, `unpacked_bytes` of the content of a
    compressed file, `inflated_bytes` of all compressed content inside a scanned file. A text in a large pickle counts as five
    times its bytes, since that is what it may take while it is decoded.

    `--limit NAME=N` sets one of them, as does `limits={name: n}`; `errors.beyond` makes the error, which says so.
    """

    opcodes: int = 5_000_000
    marks: int = 1_000_000
    memo_index: int = 1 << 22
    nesting: int = 10_000_000
    entries: int = 300_000
    pickles: int = 25_000
    paths: int = 500_000
    pickle_bytes: int = 192 << 20
    directory_bytes: int = 1 << 28
    unpacked_bytes: int = 1 << 36
    inflated_bytes: int = 1 << 30


DEFAULT_LIMITS = Limits()
SCAN_LIMITS = DEFAULT_LIMITS._replace(
    nesting=100_000,
    opcodes=1_250_000,
    memo_index=2_000_000,
    entries=50_000,
    pickles=12_500,
    paths=DEFAULT_LIMITS.opcodes,
    pickle_bytes=448 << 20,
)
"""What a scan reads of a small file, and more of a large one (`scanning.regions.Budget`); anything beyond is a finding.
It walks no paths, so only the opcodes bound the items, and keeps less in memory, so a pickle may have more bytes.
"""


def limits_from(given: Limits | Mapping[str, int] | None, default: Limits = DEFAULT_LIMITS) -> Limits:
    """The limits to use: those given, or the defaults with the given numbers in place of some. Raises ValueError for a name or
    a number that is no limit.
    """
    if given is None or isinstance(given, Limits):
        return given or default
    for name, number in given.items():
        if name not in Limits._fields:
            raise ValueError(f"there is no limit {name!r}, expected one of {', '.join(Limits._fields)}")
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"the limit {name} is {number!r}, expected a positive number")
    return default._replace(**given)
