"""People of an identity provider: their names as one line, and the rights of their groups."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollgate.cli.commands.audit import Conditions
from services.token_authority.domain.administrator import new_rights
from services.token_authority.domain.errors import NoRole, ProviderUnavailable, SignInRefused
from services.token_authority.domain.person import GroupRights, Person, choose_name, find_rights
from services.token_authority.problems import PROBLEMS
from shared.runtime.http.problem import problem_for
from shared.runtime.text.characters import clean_line, shorten_line

ADMINS = GroupRights("admins", new_rights("admin", None, None))
AUDITORS = GroupRights("auditors", new_rights("auditor", None, None))


def test_person_in_several_groups_has_the_rights_of_the_first_known_one() -> None:
    person = Person("u-1", "ada", ("auditors", "unknown", "admins"))

    assert find_rights(person, [ADMINS, AUDITORS]) == ADMINS
    assert find_rights(person, [AUDITORS, ADMINS]) == AUDITORS


@pytest.mark.parametrize("groups", [(), ("others",), ("Admins",), ("admins ",)])
def test_person_without_known_group_has_no_role(groups: tuple[str, ...]) -> None:
    with pytest.raises(NoRole):
        find_rights(Person("u-1", "ada", groups), [ADMINS, AUDITORS])


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "ada", "email": "ada@x.example", "name": "Ada"}, "ada"),
        ({"preferred_username": " \u200b", "email": "ada@x.example", "name": "Ada"}, "ada@x.example"),
        ({"preferred_username": 7, "email": None, "name": "Ada L."}, "Ada L."),
        ({}, "u-1"),
        ({"name": "Ada\r\nL.\x1b[31m\u202e"}, "Ada L.[31m"),
        ({"name": "x" * 10_000}, "x" * 255),
    ],
)
def test_name_of_person_is_the_first_claim_that_shows_something(claims: dict[str, Any], name: str) -> None:
    assert choose_name({"sub": "u-1", **claims}) == name


@given(st.text())
def test_shortened_line_is_clean_and_short(text: str) -> None:
    shown = shorten_line(text, 20)

    assert clean_line(shown) == shown
    assert len(shown) <= 20


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (NoRole(), 403, "None of your groups"),
        (SignInRefused("the code was used before"), 403, "You are not signed in: the code was used before."),
        (ProviderUnavailable("status 500 from 10.0.0.1"), 503, "sign in with an admin key"),
    ],
)
def test_refused_sign_in_is_a_problem_for_people(error: Exception, status: int, words: str) -> None:
    problem = problem_for(error, PROBLEMS)

    assert (problem.kind.status, words in problem.detail) == (status, True)
    assert "10.0.0.1" not in problem.detail


@pytest.mark.parametrize(
    ("given_id", "actor_id"),
    [("person:urn:people:1", "urn:people:1"), ("urn:people:1", "urn:people:1"), ("admin_key:adm_1", "adm_1")],
)
def test_actor_of_a_record_selects_by_its_id(given_id: str, actor_id: str) -> None:
    assert Conditions(actor=given_id).to_arguments()["actor_id"] == actor_id
