"""All rules, one row each: 1xx what a pickle calls, 2xx how it is written, 3xx containers, 4xx tensors, 5xx code.

The docstring of a rule's function is what `scan --explain` prints.
"""

from ptzip.scanning import container_rules as containers
from ptzip.scanning import pickle_rules as pickles
from ptzip.scanning import tensor_rules as tensors
from ptzip.scanning.report import Rule, Severity
from ptzip.scanning.subjects import MemberNames, Note, PickleStream, ZipSubject

NOTE, REVIEW, MALICIOUS = Severity.NOTE, Severity.REVIEW, Severity.MALICIOUS

RULES = (
    Rule("PTZ101", MALICIOUS, "a harmful call", PickleStream, pickles.harmful_calls),
    Rule("PTZ102", REVIEW, "a call of a name that is not allow-listed", PickleStream, pickles.unknown_calls),
    Rule("PTZ103", MALICIOUS, "an import of a harmful name", PickleStream, pickles.harmful_names),
    Rule("PTZ104", REVIEW, "an import of a name that is not allow-listed", PickleStream, pickles.unknown_names),
    Rule("PTZ105", REVIEW, "an allow-listed name called as no pickler calls it", PickleStream, pickles.misused),
    Rule("PTZ106", MALICIOUS, "a call whose result is discarded", PickleStream, pickles.thrown),
    Rule("PTZ107", MALICIOUS, "a class, function or module that is changed", PickleStream, pickles.described_names),
    Rule("PTZ108", MALICIOUS, "a special method that is replaced", PickleStream, pickles.special_states),
    Rule("PTZ109", MALICIOUS, "an import by number", PickleStream, pickles.extensions),
    Rule("PTZ110", MALICIOUS, "an import of a computed name", PickleStream, pickles.computed_names),
    Rule("PTZ201", REVIEW, "a pickle that breaks off", PickleStream, pickles.broken),
    Rule("PTZ202", REVIEW, "bytes after the pickle", PickleStream, pickles.trailing),
    Rule("PTZ203", REVIEW, "a pickle that no pickler writes", PickleStream, pickles.odd_streams),
    Rule("PTZ204", NOTE, "values that are built and discarded", PickleStream, pickles.popped),
    Rule("PTZ205", REVIEW, "a pickle that no loader reads", PickleStream, pickles.hidden),
    Rule("PTZ206", REVIEW, "containers nested too deep", PickleStream, pickles.deep_containers),
    Rule("PTZ207", REVIEW, "a memo bomb", PickleStream, pickles.repeated_containers),
    Rule("PTZ208", REVIEW, "a number too large", PickleStream, pickles.huge_numbers),
    Rule("PTZ209", REVIEW, "a pickle that exceeds a limit", PickleStream, pickles.limited),
    Rule("PTZ210", REVIEW, "numbers that collide", PickleStream, pickles.colliding_numbers),
    Rule("PTZ301", REVIEW, "duplicate records", ZipSubject, containers.double_names),
    Rule("PTZ302", REVIEW, "headers that differ", ZipSubject, containers.differing_headers),
    Rule("PTZ303", NOTE, "a wrong checksum", ZipSubject, containers.wrong_checksums),
    Rule("PTZ304", REVIEW, "entries marked as encrypted", ZipSubject, containers.closed_flags),
    Rule("PTZ305", REVIEW, "several central directories", ZipSubject, containers.other_directories),
    Rule("PTZ306", REVIEW, "a name that leads out of the archive", ZipSubject, containers.unsafe_names),
    Rule("PTZ307", REVIEW, "a link", ZipSubject, containers.links),
    Rule("PTZ308", REVIEW, "hidden or overlapping entries", ZipSubject, containers.uncovered),
    Rule("PTZ309", REVIEW, "bytes after the end", ZipSubject, containers.after_the_end),
    Rule("PTZ310", NOTE, "zeros after the end", ZipSubject, containers.padded),
    Rule("PTZ311", REVIEW, "several top folders", ZipSubject, containers.several_roots),
    Rule("PTZ312", REVIEW, "no version", ZipSubject, containers.no_version),
    Rule("PTZ313", NOTE, "a record in upper case", ZipSubject, containers.upper_case),
    Rule("PTZ314", NOTE, "several zips", Note, containers.archives_in_a_row),
    Rule("PTZ315", REVIEW, "something that no loader reads, or that cannot be scanned", Note, containers.strange_things),
    Rule("PTZ316", REVIEW, "a name that leads out of the archive", MemberNames, containers.unsafe_members),
    Rule("PTZ317", REVIEW, "a bomb", Note, containers.bombs),
    Rule("PTZ318", REVIEW, "a limit exceeded", Note, containers.over_a_limit),
    Rule("PTZ319", REVIEW, "an entry that loaders read differently", ZipSubject, containers.ambiguous_entries),
    Rule("PTZ320", REVIEW, "parts that were not fetched", Note, containers.distant),
    Rule("PTZ401", REVIEW, "a tensor that extends past its storage", PickleStream, tensors.past_the_storage),
    Rule("PTZ402", REVIEW, "a tensor of an impossible shape", PickleStream, tensors.odd_shapes),
    Rule("PTZ403", REVIEW, "a storage that does not match its record", PickleStream, tensors.other_records),
    Rule("PTZ404", REVIEW, "a persistent id that torch does not write", PickleStream, tensors.odd_ids),
    Rule("PTZ405", MALICIOUS, "a persistent id with a call in it", PickleStream, tensors.computed_ids),
    Rule("PTZ406", REVIEW, "a tensor that is written to", PickleStream, tensors.filled_tensors),
    Rule("PTZ407", REVIEW, "indices out of range", PickleStream, tensors.wild_indices),
    Rule("PTZ501", REVIEW, "code in the file", Note, containers.code),
    Rule("PTZ502", REVIEW, "TorchScript", Note, containers.torchscript),
    Rule("PTZ503", MALICIOUS, "TorchScript that touches files", Note, containers.torchscript_with_files),
)
