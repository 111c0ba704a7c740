"""The rules themselves: numbered, explained, and each with a name of its own."""

import re

from ptzip.scanning.rules import RULES


def test_every_rule_has_a_number_of_its_own_in_order() -> None:
    numbers = [rule.id for rule in RULES]
    assert numbers == sorted(set(numbers))
    assert all(re.fullmatch(r"PTZ[1-5]\d\d", number) for number in numbers)


def test_every_rule_has_an_explanation() -> None:
    assert [rule.id for rule in RULES if len(rule.why.split()) < 6 or not rule.title] == []


def test_no_two_rules_are_one_function() -> None:
    assert len({rule.check for rule in RULES}) == len(RULES)
