"""The pages of `ptzip help`: each can be read, and they say of rules and recipes what the code says."""

import re

import pytest

from ptzip.recipes import RECIPES
from ptzip.render.topics import page, topics
from ptzip.scanning.rules import RULES
from tests.cli.shell import one_line, ptzip


@pytest.mark.parametrize("topic", topics())
def test_a_page_is_printed_and_listed_by_its_title(topic: str) -> None:
    result = ptzip("help", topic)
    assert (result.code, result.err) == (0, "")
    title, *rest = result.out.splitlines()
    assert title.startswith("# ")
    assert len(rest) > 10
    assert re.search(rf"^ptzip help {topic} +{re.escape(title[2:])}$", ptzip("help", "topics").out, re.MULTILINE)


def test_an_unknown_topic_is_answered_with_the_nearest() -> None:
    cause = one_line(ptzip("help", "recipez"), "ptzip: error: ")
    assert cause == "there is no help about 'recipez' (did you mean recipes?)"


def test_the_page_of_rules_has_every_rule() -> None:
    rows = re.findall(r"^\| (PTZ\d+) \| (\w+) \| (.*) \|$", page("rules"), re.MULTILINE)
    assert rows[1:] == [(rule.id, rule.severity.name.lower(), rule.title) for rule in RULES]


def test_the_page_of_recipes_has_every_recipe() -> None:
    named = set(re.findall(r"`([\w-]+)`", " ".join(re.findall(r"^- (`.*?):", page("recipes"), re.MULTILINE))))
    assert named == {recipe.name for recipe in RECIPES}
