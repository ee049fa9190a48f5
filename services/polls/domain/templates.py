"""The six polls that a new one can start from."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from services.polls.domain.poll import Option, PollSpec


class Template(Struct, frozen=True):
    """A draft to begin with. Where it is `scored`, its options count 1, 2, … in their order, and have an average."""

    id: str
    name: str
    draft: PollSpec
    scored: bool = False


class UnknownTemplate(LookupError):
    """No template has this id."""

    def __init__(self) -> None:
        super().__init__(f"There is no such template; there are {', '.join(each.id for each in TEMPLATES)}.")


def template(template_id: str) -> Template:
    """The template of this id. Raises `UnknownTemplate`."""
    for each in TEMPLATES:
        if each.id == template_id:
            return each
    raise UnknownTemplate


def _blank() -> Template:
    """Not quite blank, as a poll without options would be none: two are there to be renamed."""
    return Template("blank", "New poll", _draft("New poll", "", ("Option 1", "Option 2")))


def _yes_no() -> Template:
    options = (Option("yes", "Yes", 0), Option("no", "No", 1))
    return Template("yes-no", "Yes/No", PollSpec("Yes/No", options, "A question to answer with yes or no"))


def _scored(template_id: str, name: str, description: str, titles: Sequence[str]) -> Template:
    return Template(template_id, name, _draft(name, description, titles), scored=True)


def _up_to_five(sign: str) -> list[str]:
    return [sign * count for count in range(1, 6)]


def _draft(title: str, description: str, titles: Sequence[str]) -> PollSpec:
    """Options with these titles, whose ids are 1, 2, …"""
    return PollSpec(title, tuple(Option(str(order + 1), each, order) for order, each in enumerate(titles)), description)


TEMPLATES: Final = (
    _blank(),
    _yes_no(),
    _scored("score-1-to-5", "Score from 1 to 5", "Simple scoring from 1 to 5", "12345"),
    _scored("stars", "Stars from ⭐ to ⭐⭐⭐⭐⭐", "Simple scoring from 1 to 5 stars", _up_to_five("⭐")),
    _scored("emoji", "Emoji from 😠 to 😀", "Simple scoring with five faces", "😠🙁😐🙂😀"),
    _scored("hearts", "Five hearts from ❤️ to ❤️❤️❤️❤️❤️", "Simple scoring from 1 to 5 hearts", _up_to_five("❤️")),
)
