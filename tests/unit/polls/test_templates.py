"""What a new poll can start from."""

import pytest

from services.polls.domain.errors import UnknownTemplate
from services.polls.domain.poll import Option, validate
from services.polls.domain.templates import TEMPLATES, Template, find_template

NAMES = {
    "blank": "New poll",
    "yes-no": "Yes/No",
    "score-1-to-5": "Score from 1 to 5",
    "stars": "Stars from ⭐ to ⭐⭐⭐⭐⭐",
    "emoji": "Emoji from 😠 to 😀",
    "hearts": "Five hearts from ❤️ to ❤️❤️❤️❤️❤️",
}


def test_there_are_the_six_of_the_contract_in_its_order() -> None:
    assert [(each.id, each.name) for each in TEMPLATES] == list(NAMES.items())


@pytest.mark.parametrize("offered", TEMPLATES, ids=lambda each: each.id)
def test_each_is_found_by_its_id_and_is_a_poll_as_it_stands(offered: Template) -> None:
    found = find_template(offered.id)

    assert found is offered
    assert validate(found.spec).title == found.name
    assert [option.order for option in found.spec.options] == list(range(len(found.spec.options)))


def test_the_stars_are_those_of_the_contract() -> None:
    draft = find_template("stars").spec

    assert draft.title == "Stars from ⭐ to ⭐⭐⭐⭐⭐"
    assert draft.description == "Simple scoring from 1 to 5 stars"
    assert draft.options == (
        Option("1", "⭐", 0),
        Option("2", "⭐⭐", 1),
        Option("3", "⭐⭐⭐", 2),
        Option("4", "⭐⭐⭐⭐", 3),
        Option("5", "⭐⭐⭐⭐⭐", 4),
    )


@pytest.mark.parametrize(
    ("template_id", "titles"),
    [
        ("blank", ["Option 1", "Option 2"]),
        ("yes-no", ["Yes", "No"]),
        ("score-1-to-5", ["1", "2", "3", "4", "5"]),
        ("emoji", ["😠", "🙁", "😐", "🙂", "😀"]),
        ("hearts", ["❤️", "❤️❤️", "❤️❤️❤️", "❤️❤️❤️❤️", "❤️❤️❤️❤️❤️"]),
    ],
)
def test_the_others_ask_what_their_names_say(template_id: str, titles: list[str]) -> None:
    assert [option.title for option in find_template(template_id).spec.options] == titles


def test_an_unknown_one_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UnknownTemplate) as fault:
        find_template("Stars")

    assert str(fault.value) == (
        "There is no such template; known are blank, yes-no, score-1-to-5, stars, emoji, hearts."
    )
