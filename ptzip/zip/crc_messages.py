"""Messages about records whose bytes do not match their CRC, for `verify` and for the commands that read records on the way."""

from collections.abc import Iterable

from ptzip.io.payloads import CheckedPayload


def crc_mismatch(recorded: int, computed: int | None) -> str:
    """The message of `verify` about bytes that do not match the CRC recorded for them."""
    found = "" if computed is None else f", but that of its bytes is {computed:08x}"
    return f"its recorded CRC is {recorded:08x}{found}: the bytes are not those that were written"


def crc_lines(records: Iterable[CheckedPayload]) -> tuple[str, ...]:
    """A warning for each record that was read and does not match its CRC, and one for all without a CRC (0, as some programs
    write)."""
    found = dict.fromkeys(record for one in records for record in one.records)  # many tensors may be in one record
    wrong = [record for record in found if record.is_wrong()]
    missing = [record.name for record in wrong if not record.expected]
    warnings = [
        f"the CRC of record {record.name} does not match: its bytes may be damaged" for record in wrong if record.expected
    ]
    if missing:
        warnings.append(f"{len(missing)} records were saved without a CRC and could not be checked, {missing[0]} the first")
    return tuple(warnings)
