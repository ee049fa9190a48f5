"""The six templates that a new poll can start from."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from services.polls.domain.errors import UnknownTemplate
from services.polls.domain.poll import Option, PollSpec


class Template(Struct, frozen=True):
    """A poll to start from. The options of a `scored` template have the values 1, 2, … in an average."""

    id: str
    name: str
    spec: PollSpec
    scored: bool = False


def find_template(template_id: str) -> Template:
    """Return the template with this id. Raise `UnknownTemplate`."""
    for each in TEMPLATES:
        if each.id == template_id:
            return each
    known = ", ".join(each.id for each in TEMPLATES)
    raise UnknownTemplate(f"Unknown template; the templates are {known}.")


def _blank() -> Template:
    """Return a template with two options to be renamed, because a poll needs at least one option."""
    return Template("blank", "New poll", _spec("New poll", "", ("Option 1", "Option 2")))


def _yes_no() -> Template:
    options = (Option("yes", "Yes", 0), Option("no", "No", 1))
    return Template("yes-no", "Yes/No", PollSpec("Yes/No", options, "A question to answer with yes or no"))


def _scored(template_id: str, name: str, description: str, titles: Sequence[str]) -> Template:
    return Template(template_id, name, _spec(name, description, titles), scored=True)


def _up_to_five(sign: str) -> list[str]:
    return [sign * count for count in range(1, 6)]


def _spec(title: str, description: str, titles: Sequence[str]) -> PollSpec:
    """Return a poll whose options have these titles and the ids 1, 2, …"""
    return PollSpec(title, tuple(Option(str(order + 1), each, order) for order, each in enumerate(titles)), description)


TEMPLATES: Final = (
    _blank(),
    _yes_no(),
    _scored("score-1-to-5", "Score from 1 to 5", "Simple scoring from 1 to 5", "12345"),
    _scored("stars", "Stars from ⭐ to ⭐⭐⭐⭐⭐", "Simple scoring from 1 to 5 stars", _up_to_five("⭐")),
    _scored("emoji", "Emoji from 😠 to 😀", "Simple scoring with five faces", "😠🙁😐🙂😀"),
    _scored("hearts", "Five hearts from ❤️ to ❤️❤️❤️❤️❤️", "Simple scoring from 1 to 5 hearts", _up_to_five("❤️")),
)
