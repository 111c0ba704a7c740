"""All rules by number: 1xx what a pickle calls, 2xx how it is spelled, 3xx containers, 4xx tensors, 5xx code.

Rule: one row each; what a rule is about, its function says.
"""

from ptzip.scanning import container_rules as containers
from ptzip.scanning import pickle_rules as pickles
from ptzip.scanning import tensor_rules as tensors
from ptzip.scanning.regions import Names, Note, Stream, Zip
from ptzip.scanning.report import Rule, Severity

NOTE, REVIEW, MALICIOUS = Severity.NOTE, Severity.REVIEW, Severity.MALICIOUS

RULES = (
    Rule("PTZ101", MALICIOUS, "a call that does harm", Stream, pickles.harmful_calls),
    Rule("PTZ102", REVIEW, "a call of something whose code is not known", Stream, pickles.unknown_calls),
    Rule(
        "PTZ103",
        MALICIOUS,
        "an import of something that does harm",
        Stream,
        pickles.harmful_names,
    ),
    Rule("PTZ104", REVIEW, "an import of something whose code is not known", Stream, pickles.unknown_names),
    Rule("PTZ105", REVIEW, "an allowed name called as no writer calls it", Stream, pickles.misused),
    Rule("PTZ106", MALICIOUS, "a call whose result is thrown away", Stream, pickles.thrown),
    Rule("PTZ107", MALICIOUS, "a class, function or module that is changed", Stream, pickles.described_names),
    Rule("PTZ108", MALICIOUS, "a special method that is replaced", Stream, pickles.special_states),
    Rule("PTZ109", MALICIOUS, "an import by number", Stream, pickles.extensions),
    Rule("PTZ110", MALICIOUS, "an import of a computed name", Stream, pickles.computed_names),
    Rule("PTZ201", REVIEW, "a pickle that breaks off", Stream, pickles.broken),
    Rule("PTZ202", REVIEW, "bytes behind the pickle", Stream, pickles.trailing),
    Rule("PTZ203", REVIEW, "a pickle that no pickler writes", Stream, pickles.odd_streams),
    Rule("PTZ204", NOTE, "values that are made and thrown away", Stream, pickles.popped),
    Rule("PTZ205", REVIEW, "a pickle that no loader reads", Stream, pickles.hidden),
    Rule("PTZ206", REVIEW, "containers too deep", Stream, pickles.deep_containers),
    Rule("PTZ207", REVIEW, "a memo bomb", Stream, pickles.repeated_containers),
    Rule("PTZ208", REVIEW, "a number too large", Stream, pickles.huge_numbers),
    Rule("PTZ209", REVIEW, "a pickle that asks for more than is allowed", Stream, pickles.limited),
    Rule("PTZ301", REVIEW, "records that stand twice", Zip, containers.double_names),
    Rule("PTZ302", REVIEW, "headers that differ", Zip, containers.differing_headers),
    Rule("PTZ303", NOTE, "a wrong checksum", Zip, containers.wrong_checksums),
    Rule("PTZ304", REVIEW, "entries said to be encrypted", Zip, containers.closed_flags),
    Rule("PTZ305", REVIEW, "several central directories", Zip, containers.other_directories),
    Rule("PTZ306", REVIEW, "a name that leads elsewhere", Zip, containers.unsafe_names),
    Rule("PTZ307", REVIEW, "a link", Zip, containers.links),
    Rule("PTZ308", REVIEW, "hidden or overlapping entries", Zip, containers.uncovered),
    Rule("PTZ309", REVIEW, "bytes behind the end", Zip, containers.behind_the_end),
    Rule("PTZ310", NOTE, "zeros behind the end", Zip, containers.padded),
    Rule("PTZ311", REVIEW, "several top folders", Zip, containers.several_roots),
    Rule("PTZ312", REVIEW, "no version", Zip, containers.no_version),
    Rule("PTZ313", NOTE, "a record in upper case", Zip, containers.upper_case),
    Rule("PTZ314", NOTE, "several zips", Note, containers.archives_in_a_row),
    Rule("PTZ315", REVIEW, "something that no loader reads, or that cannot be looked into", Note, containers.strange_things),
    Rule("PTZ316", REVIEW, "a name that leads elsewhere", Names, containers.unsafe_members),
    Rule("PTZ317", REVIEW, "a bomb", Note, containers.bombs),
    Rule("PTZ318", REVIEW, "more than is allowed", Note, containers.over_a_limit),
    Rule("PTZ401", REVIEW, "a tensor that reaches past its storage", Stream, tensors.past_the_storage),
    Rule("PTZ402", REVIEW, "a tensor of an impossible shape", Stream, tensors.odd_shapes),
    Rule("PTZ403", REVIEW, "a storage that is not what its record is", Stream, tensors.other_records),
    Rule("PTZ404", REVIEW, "a persistent id that is none of torch", Stream, tensors.odd_ids),
    Rule("PTZ405", MALICIOUS, "a persistent id with a call in it", Stream, tensors.computed_ids),
    Rule("PTZ406", REVIEW, "a tensor that is written to", Stream, tensors.filled_tensors),
    Rule("PTZ501", REVIEW, "code in the file", Note, containers.code),
    Rule("PTZ502", REVIEW, "TorchScript", Note, containers.torchscript),
    Rule("PTZ503", MALICIOUS, "TorchScript that touches files", Note, containers.torchscript_with_files),
)
