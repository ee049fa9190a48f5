"""What an edit does to ballots and to the promises under which they were cast.

Participants vote under what a poll promises: which question and options they answer, who sees the results and when,
whether names are kept, and that a closed poll is final. An edit may break such a promise only if the caller insists.
"""

from collections.abc import Iterable, Iterator, Set
from itertools import product

from services.polls.domain.consequence import Consequence
from services.polls.domain.errors import Finding, PromisesWouldBeBroken, VotesWouldBeDropped
from services.polls.domain.poll import Option, PollSpec, Settings
from services.polls.domain.results import Audience, withheld_reason
from services.polls.domain.state import PollState
from shared.runtime.text.characters import comparable, directions


def require_allowed(before: PollState, after: PollSpec, allowed: Set[Consequence], audience: Audience) -> list[Finding]:
    """Return what the edit does, if the caller allows it. Raise `VotesWouldBeDropped` or `PromisesWouldBeBroken`.

    If the audience may not see the results, the error has neither numbers of votes nor which options have any.
    """
    findings = _find_consequences(before, after, audience)
    refused = [finding for finding in findings if finding.consequence not in allowed]
    if not refused:
        return findings
    ballots = before.tally.participants
    if any(finding.consequence is not Consequence.DROP_VOTES for finding in refused):
        raise PromisesWouldBeBroken(refused, ballots)
    raise VotesWouldBeDropped(find_lost_votes(before, after, audience), ballots)


def find_lost_votes(before: PollState, after: PollSpec, audience: Audience) -> dict[str, int | None]:
    """Return the votes of each option that an edit removes, if it has or may have some; `None` is withheld."""
    kept = {option.id for option in after.options}
    removed = [option.id for option in before.poll.spec.options if option.id not in kept]
    return _votes_of(removed, before, audience)


def _find_consequences(before: PollState, after: PollSpec, audience: Audience) -> list[Finding]:
    """Return the consequences of an edit by a caller of the audience; none before the first ballot.

    If the audience may not see which options have votes, every option counts as one that has: otherwise a refusal would
    reveal it.
    """
    if not before.tally.participants:
        return []
    spec = before.poll.spec
    may_have_votes = _options_that_may_have_votes(before, audience)
    return [
        *_removed_options(spec, after, may_have_votes),
        *_changed_titles(spec, after, may_have_votes),
        *_loosened_settings(before, after.settings),
    ]


def _votes_of(option_ids: Iterable[str], state: PollState, audience: Audience) -> dict[str, int | None]:
    """Return the votes of those of the options that have some, or may have some; `None` is withheld."""
    may_see = withheld_reason(state.poll.spec.settings, is_closed=state.is_closed, audience=audience) is None
    may_have_votes = _options_that_may_have_votes(state, audience)
    return {each: state.tally.counts.get(each, 0) if may_see else None for each in option_ids if each in may_have_votes}


def _options_that_may_have_votes(state: PollState, audience: Audience) -> set[str]:
    if state.results(audience).is_visible:
        return {option_id for option_id, votes in state.tally.counts.items() if votes}
    return {option.id for option in state.poll.spec.options}


def _removed_options(before: PollSpec, after: PollSpec, may_have_votes: set[str]) -> Iterator[Finding]:
    kept = {option.id for option in after.options}
    for option in before.options:
        if option.id not in kept and option.id in may_have_votes:
            yield Finding(Consequence.DROP_VOTES, ("options",), f"{_name(option)} would be removed with its votes")


def _changed_titles(before: PollSpec, after: PollSpec, may_have_votes: set[str]) -> Iterator[Finding]:
    if _wording(before.title) != _wording(after.title):
        yield Finding(Consequence.CHANGE_TITLE, ("title",), "participants have answered the question as it is")
    earlier = {option.id: option for option in before.options if option.id in may_have_votes}
    for index, option in enumerate(after.options):
        if option.id in earlier and _wording(option.title) != _wording(earlier[option.id].title):
            reason = f"participants may have voted for {_name(earlier[option.id])} as it is"
            yield Finding(Consequence.RENAME_OPTIONS, ("options", index, "title"), reason)


def _loosened_settings(state: PollState, after: Settings) -> Iterator[Finding]:
    before = state.poll.spec.settings
    stays_closed = state.is_closed and state.is_closed_under(after)
    phases = [True] if stays_closed else [False, True]
    if _seen(after, phases) - _seen(before, phases):
        reason = f"participants have voted under '{before.results_visibility}', which shows results to fewer, or later"
        yield Finding(Consequence.REVEAL_RESULTS, ("settings", "resultsVisibility"), reason)
    elif _seen(after, phases, numbers=True) - _seen(before, phases, numbers=True):
        reason = "participants have voted under the promise that numbers of votes are hidden"
        yield Finding(Consequence.REVEAL_RESULTS, ("settings", "hideAbsoluteNumbers"), reason)
    if state.is_closed and not stays_closed:
        name = "endDate" if after.close_poll_on_end_date else "closePollOnEndDate"
        reason = "the poll is closed and its results are final; participants would vote on after they could be seen"
        yield Finding(Consequence.REOPEN, ("settings", name), reason)
    if after.save_participant_names and not before.save_participant_names:
        reason = "participants have voted under the promise that names are not stored"
        yield Finding(Consequence.SAVE_NAMES, ("settings", "saveParticipantNames"), reason)


def _seen(settings: Settings, phases: Iterable[bool], *, numbers: bool = False) -> set[tuple[Audience, bool]]:
    """Return which audiences see percentages, or numbers of votes, while the poll is open and when it is closed."""
    reasons = (None,) if numbers else (None, "hideAbsoluteNumbers")
    return {
        (audience, is_closed)
        for audience, is_closed in product((Audience.PUBLIC, Audience.VOTER), phases)
        if withheld_reason(settings, is_closed=is_closed, audience=audience) in reasons
    }


def _wording(text: str) -> tuple[str, str]:
    """Return the text without differences in blanks, letter case, normal form and invisible characters.

    Return also those of its invisible characters that change the order in which it is shown: with them, "1 - 3" is
    shown as "3 - 1".
    """
    return " ".join(comparable(text).casefold().split()), directions(text)


def _name(option: Option) -> str:
    return f"the option '{option.id[:100]}'"
