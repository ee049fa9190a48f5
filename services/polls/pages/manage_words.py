"""Say in words where a token may act, where a poll is, how it is set, and how many ballots it has."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.polls.domain.end_date import read_end_date
from services.polls.domain.poll import ResultsVisibility, Settings, closing_time
from services.polls.domain.results import Audience
from services.polls.domain.state import PollState
from shared.contract.scope import Action, Path, Place
from shared.guard import Caller
from shared.runtime.pages.filters import moment, plural
from shared.runtime.text.times import InvalidTime

VERBS: Final[Mapping[Action, str]] = {
    Action.READ: "read polls",
    Action.CREATE: "create polls",
    Action.UPDATE: "edit and close polls",
    Action.DELETE: "delete polls",
    Action.VOTE: "vote in polls",
    Action.RESULTS: "see all results",
}
VISIBILITIES: Final[Mapping[ResultsVisibility, str]] = {
    "alwaysPublic": "Everyone who can see the poll sees its results at any time.",
    "afterVote": "Participants see the results after they have voted.",
    "afterClose": "The results are shown when the poll is closed.",
    "never": "The results are not shown to participants.",
}


def describe_path(path: Path) -> str:
    """Return where a path is, as the end of a sentence: `in PLAT`, or `on PLAT-1 in PLAT`."""
    match path:
        case (workspace, content, container):
            return f"in {container} on {content} in {workspace}"
        case (workspace, content):
            return f"on {content} in {workspace}"
        case (workspace,):
            return f"in {workspace}"
    return "in every workspace"


def describe_place(place: Place) -> str:
    """Return the place of a poll in short: `PLAT / PLAT-1`."""
    return " / ".join(place.path)


def describe_paths(paths: Sequence[Path], shown: int = 5) -> str:
    """Return where paths are, as the end of a sentence; of many, the first ones."""
    texts = [describe_path(path) for path in paths[:shown]]
    if len(paths) > shown:
        texts.append(f"in {plural(len(paths) - shown, 'other place')}")
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def describe_abilities(bearer: Caller) -> list[str]:
    """Return a sentence for each action that the token allows somewhere."""
    found = [(verb, bearer.find_paths(action)) for action, verb in VERBS.items()]
    return [f"{verb[0].upper()}{verb[1:]} {describe_paths(paths)}." for verb, paths in found if paths]


def describe_settings(settings: Settings, *, is_closed: bool = False) -> list[str]:
    """Return sentences that say to participants how a poll works, and if it is closed, when that was."""
    several = settings.allow_selection_of_multiple_options
    return [
        "You can vote for one or more options." if several else "You can vote for one option.",
        "You can vote again while the poll is open; the last vote counts."
        if settings.allow_revote
        else "You can vote once.",
        *(["You can write a comment."] if settings.allow_comment else []),
        "Your name is stored with your vote."
        if settings.save_participant_names
        else "Names are not stored with votes.",
        *describe_audience(settings),
        *_describe_end(settings, is_closed=is_closed),
    ]


def describe_audience(settings: Settings) -> list[str]:
    """Return sentences that say who sees the results, and whether with numbers."""
    return [
        VISIBILITIES[settings.results_visibility],
        *(["Only percentages are shown, no numbers of votes."] if settings.hide_absolute_numbers else []),
    ]


def describe_ballots(state: PollState, audience: Audience) -> str:
    """Return how many ballots a poll has, as far as the audience may see that."""
    participants = state.results(audience).participants
    return (
        "its ballots, whose number this token may not see" if participants is None else plural(participants, "ballot")
    )


def _describe_end(settings: Settings, *, is_closed: bool) -> list[str]:
    try:
        end, closes = read_end_date(settings.end_date), closing_time(settings)
    except InvalidTime:
        return []
    if closes is not None:
        return [f"The poll {'closed' if is_closed else 'closes'} on {moment(closes)}."]
    return [] if end is None else [f"The poll ends on {moment(end)}, and stays open after that."]
