"""Say what an edit would do to votes and promises, what it has done, and how it differs from what is stored."""

from collections.abc import Mapping, Sequence, Set
from typing import Final, NamedTuple

from services.polls.domain.consequence import Consequence
from services.polls.domain.edit import EditedPoll
from services.polls.domain.errors import Finding
from services.polls.domain.poll import PollSpec, in_order
from services.polls.domain.promises import find_lost_votes
from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from services.polls.pages.manage_words import describe_settings
from shared.runtime.pages.filters import plural

ERASE_NAMES: Final = "eraseNames"
"""What an edit does that turns off names. It breaks no promise, so that the page alone asks for it, not the API."""


class EditWarning(NamedTuple):
    """A consequence that has to be allowed: what it is, what it concerns, and the label of its box.

    `is_recorded` says whether everyone who reads the poll will see that it was changed so.
    """

    consequence: str
    text: str
    label: str
    details: Sequence[str]
    is_allowed: bool
    is_recorded: bool = True


_TEXTS: Final[Mapping[Consequence, tuple[str, str]]] = {
    Consequence.DROP_VOTES: ("The options that you have removed have votes.", "Delete these options with their votes"),
    Consequence.REVEAL_RESULTS: (
        "People have voted under stricter rules for who sees the results, when, and with which numbers.",
        "Show the results under the new rules",
    ),
    Consequence.REOPEN: (
        "The poll is closed, and its results are final. People would vote on after they could be seen.",
        "Open the poll again",
    ),
    Consequence.CHANGE_TITLE: ("People have answered the question as it was.", "Change the question"),
    Consequence.RENAME_OPTIONS: (
        "People may have voted for these options as they were. Their votes will count for the new titles.",
        "Rename the options",
    ),
    Consequence.SAVE_NAMES: (
        "People have voted under the promise that names are not stored.",
        "Store the names of later votes",
    ),
}


def warnings_of(
    refused: Sequence[Finding], allowed: Set[Consequence], state: PollState, spec: PollSpec, audience: Audience
) -> list[EditWarning]:
    """Return a warning for each consequence of an edit that was refused or has been allowed."""
    found = {finding.consequence for finding in refused} | allowed
    details = {
        Consequence.DROP_VOTES: _lost(find_lost_votes(state, spec, audience), state),
        Consequence.RENAME_OPTIONS: _renamed(refused, state, spec),
        Consequence.CHANGE_TITLE: [f"It was “{state.poll.spec.title}”."],
    }
    return [
        EditWarning(each, *_TEXTS[each], details.get(each, []), each in allowed)
        for each in Consequence
        if each in found
    ]


def warning_of_erasure(ballots: int | None, *, is_allowed: bool) -> EditWarning:
    """Return the warning that names are erased from some ballots; `None` is withheld."""
    number = "the ballots" if ballots is None else plural(ballots, "ballot")
    text = "The poll would no longer store names, and those that are stored would be lost."
    label = f"Erase the names of {number} permanently"
    return EditWarning(ERASE_NAMES, text, label, [], is_allowed, is_recorded=False)


def describe_effect(edited: EditedPoll, audience: Audience) -> list[str]:
    """Return what an edit has done to ballots and promises, with numbers if the audience may see them."""
    effect, may_count = edited.effect, edited.state.results(audience).participants is not None
    said = []
    if effect.dropped_votes:
        ballots = f", and {plural(effect.dropped_ballots, 'ballot')} that had no other option"
        said.append(
            f"{plural(effect.dropped_votes, 'vote')} went with the removed options"
            f"{ballots if effect.dropped_ballots else ''}."
            if may_count
            else "Votes of the removed options were deleted."
        )
    if effect.anonymized_ballots:
        said.append(
            f"The names were erased from {plural(effect.anonymized_ballots, 'ballot')}."
            if may_count
            else "The names were erased from the ballots."
        )
    if effect.consequences:
        said.append("Everyone who reads the poll sees that it was changed after people had voted.")
    return said


def differences(stored: PollSpec, typed: PollSpec) -> list[tuple[str, str]]:
    """Return the fields in which the stored poll differs from what was typed, each with what is stored."""
    shown = {
        "Title": (stored.title, typed.title.strip()),
        "Description": (stored.description, typed.description.strip()),
        "Options": (_titles(stored), _titles(typed)),
        "Settings": (" ".join(describe_settings(stored.settings)), " ".join(describe_settings(typed.settings))),
    }
    return [(name, there or "empty") for name, (there, here) in shown.items() if there != here]


def _titles(spec: PollSpec) -> str:
    return ", ".join(option.title.strip() for option in in_order(spec.options))


def _lost(lost: Mapping[str, int | None], state: PollState) -> list[str]:
    titles = {option.id: option.title for option in state.poll.spec.options}
    return [
        f"“{titles[each]}”: {'perhaps some votes' if votes is None else plural(votes, 'vote')}"
        for each, votes in lost.items()
    ]


def _renamed(refused: Sequence[Finding], state: PollState, spec: PollSpec) -> list[str]:
    """Return the new titles of the options that the edit was refused for; after it was allowed, all new titles."""
    before = {option.id: option.title for option in state.poll.spec.options}
    indexes = [each.path[1] for each in refused if each.consequence is Consequence.RENAME_OPTIONS]
    return [
        f"“{before[option.id]}” becomes “{option.title.strip()}”"
        for index, option in enumerate(spec.options)
        if (index in indexes if indexes else before.get(option.id, option.title) != option.title)
    ]
