"""`pollgate poll vote` and `withdraw`: one participant's ballot, for whom the caller vouches."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from pollgate.cli.errors import CliError
from pollgate.cli.output import on_one_line, print_json
from pollgate.cli.polls_session import call_polls, integration
from pollgate.cli.session import Json
from pollgate.client import Ballot, Forbidden, Option, PollsClient

app = integration("poll", "Vote in polls, and withdraw.")

Participant = Annotated[
    str,
    Parameter(name="--as", metavar="PARTICIPANT", help="The participant, as you know them; you vouch for who that is."),
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
    """Cast a participant's ballot, or another one in its place where the poll allows that.

    Parameters
    ----------
    poll_id
        Its id, as `pollgate poll list` shows it.
    option
        What is chosen: the id of an option, or its title, if no other has the same.
    name
        How the participant is called, for a poll that keeps names.
    comment
        What the participant has to say, for a poll that takes comments.
    """

    async def cast(polls: PollsClient) -> tuple[Ballot, list[str]]:
        options = await _options(polls, poll_id)
        chosen = [_chosen(word, options) for word in option]
        titles = {each.id: each.title for each in options}
        ballot = await polls.cast_ballot(poll_id, participant, chosen, name=name, comment=comment)
        return ballot, [titles.get(option_id, option_id) for option_id in ballot.option_ids]

    words = {f"/optionIds/{index}": f"'{word}'" for index, word in enumerate(option)}
    options = {**words, "/optionIds": "OPTION", "/name": "--name", "/comment": "--comment"}
    ballot, titles = call_polls(cast, options)
    print_json(ballot) if as_json else print(on_one_line(f"Cast the ballot of {participant}: {', '.join(titles)}."))


@app.command(help_epilogue="Example:\n\n  pollgate poll withdraw ID --as ada")
def withdraw(poll_id: Annotated[str, Parameter(metavar="ID")], /, *, participant: Participant) -> None:
    """Take a participant's ballot back. Where the poll takes one ballot for good, that one cannot vote again.

    Parameters
    ----------
    poll_id
        Its id, as `pollgate poll list` shows it.
    """
    call_polls(lambda polls: polls.withdraw_ballot(poll_id, participant))
    print(on_one_line(f"Withdrew the ballot of {participant}."))


async def _options(polls: PollsClient, poll_id: str) -> Sequence[Option]:
    """The options of the poll; none where the token may vote and not read, which then takes ids."""
    try:
        return (await polls.get_poll(poll_id)).options
    except Forbidden:
        return ()


def _chosen(word: str, options: Sequence[Option]) -> str:
    """The id of the option that is meant; what is none is for the service to refuse. Raises `CliError`."""
    if any(option.id == word for option in options):
        return word
    named = [option.id for option in options if option.title == word]
    if len(named) > 1:
        raise CliError(f"several options have the title '{word}'; give an id: {', '.join(named)}")
    return named[0] if named else word
