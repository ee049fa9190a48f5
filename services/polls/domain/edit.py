"""What an edit of a poll does to the votes that are in it: nothing in silence."""

from collections.abc import Mapping

from msgspec import Struct

from services.polls.domain.poll import PollSpec


class Effect(Struct, frozen=True):
    """What an edit has done to ballots.

    A dropped ballot had no other options; its participant may vote again. An anonymized one has lost who and when.
    """

    dropped_options: tuple[str, ...] = ()
    dropped_votes: int = 0
    dropped_ballots: int = 0
    anonymized_ballots: int = 0


class VotesWouldBeDropped(Exception):
    """The edit takes away options that have votes, which are in `votes` by the option's id."""

    def __init__(self, votes: Mapping[str, int]) -> None:
        super().__init__(f"{sum(votes.values())} votes")
        self.votes = votes


def lost_votes(before: PollSpec, after: PollSpec, counts: Mapping[str, int]) -> dict[str, int]:
    """The votes of each option that is no more, by its id; options are the same where their ids are."""
    kept = {option.id for option in after.options}
    return {option.id: counts.get(option.id, 0) for option in before.options if option.id not in kept}


def hides_names(before: PollSpec, after: PollSpec) -> bool:
    """Whether what was kept of the participants is to be kept no more."""
    return before.settings.save_participant_names and not after.settings.save_participant_names
