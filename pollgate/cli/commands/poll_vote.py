"""`pollgate poll vote` and `withdraw`: a participant's ballot."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from pollgate.cli.errors import CliError
from pollgate.cli.field_options import repeated_option
from pollgate.cli.options import Json
from pollgate.cli.output import escape_line, print_json
from pollgate.cli.polls_session import polls_group, run_with_polls
from pollgate.client import Ballot, Forbidden, Option, PollsClient
from shared.runtime.text.characters import comparable

app = polls_group("poll", "Cast and withdraw ballots.")

Participant = Annotated[
    str,
    Parameter(
        name="--as", metavar="PARTICIPANT", help="Id of the participant in your system; you vouch for their identity."
    ),
]


@app.command(
    usage="Usage: pollgate poll vote --as PARTICIPANT [OPTIONS] POLL_ID OPTION...",
    help_epilogue="Examples:\n\n"
    "  pollgate poll vote ID --as ada Yes\n"
    "  pollgate poll vote ID --as bob mon tue --name 'Bob' --comment 'After lunch'",
)
def vote(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *option: Annotated[str, Parameter(required=True)],
    participant: Participant,
    name: str | None = None,
    comment: str | None = None,
    as_json: Json = False,
) -> None:
    """Cast a participant's ballot, or replace it where the poll allows that.

    Parameters
    ----------
    poll_id
        Id of the poll; see `pollgate poll list`.
    option
        Id of an option, or its title, if no other option has the same title.
    name
        Name of the participant, for a poll that stores names.
    comment
        Comment, for a poll that allows comments.
    """

    async def cast(polls: PollsClient) -> tuple[Ballot, list[str]]:
        options = await _options(polls, poll_id)
        chosen = [_option_id(word, options) for word in option]
        titles = {each.id: each.title for each in options}
        ballot = await polls.cast_ballot(poll_id, participant, chosen, name=name, comment=comment)
        return ballot, [titles.get(option_id, option_id) for option_id in ballot.option_ids or ()]

    ballot, titles = run_with_polls(cast, repeated_option("/optionIds", "OPTION", option))
    print_json(ballot) if as_json else print(escape_line(f"Cast the ballot of {participant}: {', '.join(titles)}."))


@app.command(help_epilogue="Example:\n\n  pollgate poll withdraw ID --as ada")
def withdraw(poll_id: Annotated[str, Parameter(metavar="ID")], /, *, participant: Participant) -> None:
    """Remove a participant's ballot. Where ballots are final, the participant cannot vote again.

    Parameters
    ----------
    poll_id
        Id of the poll; see `pollgate poll list`.
    """
    run_with_polls(lambda polls: polls.withdraw_ballot(poll_id, participant))
    print(escape_line(f"Withdrew the ballot of {participant}."))


async def _options(polls: PollsClient, poll_id: str) -> Sequence[Option]:
    """Return the options of the poll; none where the token may vote but not read, which requires ids."""
    try:
        return (await polls.get_poll(poll_id)).options
    except Forbidden:
        return ()


def _option_id(word: str, options: Sequence[Option]) -> str:
    """Return the id of the option with this id or title. The service refuses an unknown one. Raise `CliError`."""
    if any(option.id == word for option in options):
        return word
    named = [option.id for option in options if comparable(option.title) == comparable(word)]
    if len(named) > 1:
        raise CliError(f"several options have the title '{word}'; give an id: {', '.join(named)}")
    return named[0] if named else word
