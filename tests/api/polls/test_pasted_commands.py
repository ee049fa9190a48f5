"""Every command of the polls service's documentation page works as it is pasted into a shell."""

import pytest

from services.polls.payloads.polls import CREATE_EXAMPLE
from services.polls.routes import ROUTES
from tests.support.pasted_commands import commands_of, paste, read_documented_statuses
from tests.support.stack import Polls

pytestmark = pytest.mark.shared_services

CONFIGURED_URL = "http://127.0.0.1:8080"
"""The default of RESOURCE_URL. The service of the test has another port."""


async def create_example_poll(polls: Polls) -> str:
    """Create a poll with the options of the examples and one ballot, and return its id."""
    created = await polls.v1("POST", "/polls", CREATE_EXAMPLE)
    assert (await polls.vote(created.json["id"], "ada", "mon")).status == 201
    return str(created.json["id"])


async def test_every_command_of_docs_page_returns_documented_status(polls: Polls, subtests: pytest.Subtests) -> None:
    page = (await polls("GET", "/docs")).body.decode()
    commands, statuses = commands_of(page), await read_documented_statuses(polls)

    assert len(commands) == len(ROUTES)
    for name, command in commands.items():
        with subtests.test(name):
            poll_id = await create_example_poll(polls)
            if name == "cast_ballot":
                await polls.v1("DELETE", f"/polls/{poll_id}/votes/ada")
            link = await polls.v1("POST", f"/polls/{poll_id}/links", {"kind": "shared"})
            variables = {
                "LINK_ID": link.json["id"],
                "POLLGATE_TOKEN": polls.token,
                "POLL_ID": poll_id,
                "ENDPOINT": f"{polls.base}/x1/{polls.endpoint}",
            }

            printed = await paste(command.replace(CONFIGURED_URL, polls.base), variables)

            assert printed.status == statuses[name][0], printed.output


async def test_commands_of_docs_page_have_the_url_of_the_service(polls: Polls) -> None:
    page = (await polls("GET", "/docs")).body.decode()

    urls = {command.split('"')[1] for command in commands_of(page).values()}
    assert all(url.startswith((f"{CONFIGURED_URL}/v1/", "$ENDPOINT?")) for url in urls)


async def test_docs_page_describes_every_variable_of_its_commands(polls: Polls) -> None:
    page = (await polls("GET", "/docs")).body.decode()

    for name in ("POLLGATE_TOKEN", "POLL_ID", "LINK_ID", "ENDPOINT"):
        assert f'<th scope="row"><code>{name}</code></th>' in page
