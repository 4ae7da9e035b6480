"""Grammars of decisions are listed in full; what cannot be listed is refused, never guessed."""

from __future__ import annotations

import pytest

from chaos.stack.http_proxy.grammar import NotListable, allowed_texts, another_answer

PLAN = 'root ::= "{\\"effort\\":\\"" ("light" | "normal" | "thorough") "\\"}"'


def test_alternatives_are_listed_in_order() -> None:
    assert allowed_texts(PLAN) == [f'{{"effort":"{x}"}}' for x in ("light", "normal", "thorough")]


def test_references_to_other_rules_are_resolved() -> None:
    assert allowed_texts('# two\nroot ::= a b\na ::= "x" | "y"\nb ::= "!"') == ["x!", "y!"]


def test_another_answer_differs_from_the_given_one() -> None:
    for given in (*allowed_texts(PLAN), "what?"):
        other = another_answer(PLAN, given)
        assert other != given and other in allowed_texts(PLAN)


def test_wanted_answer_is_used_if_it_is_allowed_and_different() -> None:
    light, normal, thorough = allowed_texts(PLAN)
    assert another_answer(PLAN, light, wanted=thorough) == thorough
    assert another_answer(PLAN, light, wanted=light) == normal
    assert another_answer(PLAN, light, wanted="what?") == normal


@pytest.mark.parametrize(
    "grammar",
    [
        "",
        'other ::= "a"',
        "root ::= [a-z]",
        'root ::= "a"*',
        "root ::= root",
        'root ::= "a" ("b"',
        'root ::= "a" )',
        'root ::= "\\x41"',
        "root ::= " + " ".join(['("a" | "b")'] * 9),  # 512 texts
        "root ::= " + "(" * 2000 + '"a"' + ")" * 2000,
        'root ::= "only"',
        "x" * 100_000,
    ],
)
def test_grammar_that_cannot_be_listed_is_refused(grammar: str) -> None:
    with pytest.raises(NotListable):
        another_answer(grammar, "only")
