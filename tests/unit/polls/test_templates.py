"""The templates of new polls."""

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


def test_templates_are_the_six_of_the_contract_in_its_order() -> None:
    assert [(each.id, each.name) for each in TEMPLATES] == list(NAMES.items())


@pytest.mark.parametrize("offered", TEMPLATES, ids=lambda each: each.id)
def test_template_is_found_by_id_and_is_a_valid_poll(offered: Template) -> None:
    found = find_template(offered.id)

    assert found is offered
    assert validate(found.spec).title == found.name
    assert [option.order for option in found.spec.options] == list(range(len(found.spec.options)))


def test_stars_template_has_texts_of_contract() -> None:
    spec = find_template("stars").spec

    assert spec.title == "Stars from ⭐ to ⭐⭐⭐⭐⭐"
    assert spec.description == "Simple scoring from 1 to 5 stars"
    assert spec.options == (
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
def test_template_has_its_option_titles(template_id: str, titles: list[str]) -> None:
    assert [option.title for option in find_template(template_id).spec.options] == titles


def test_unknown_template_raises_error_with_known_ids() -> None:
    with pytest.raises(UnknownTemplate) as raised:
        find_template("Stars")

    assert str(raised.value) == (
        "Unknown template; the templates are blank, yes-no, score-1-to-5, stars, emoji, hearts."
    )
