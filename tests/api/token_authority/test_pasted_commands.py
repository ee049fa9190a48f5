"""Every command of the token authority's documentation page works as it is pasted into a shell."""

import secrets

import pytest

from services.token_authority.routes import ROUTES
from tests.support.pasted_commands import commands_of, paste, read_documented_statuses
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services

CONFIGURED_URL = "http://127.0.0.1:8081"
"""The default of TOKEN_AUTHORITY_ISSUER. The service of the test has another port."""


async def create_variables(authority: Authority) -> dict[str, str]:
    """Create a token, an admin key and a service, and return the variables with their ids and secrets."""
    token = await authority.issue("polls:read:PLAT", self_rotation=True)
    key = (await authority.manage("POST", "/v1/admin-keys", {"name": "other", "role": "auditor"})).json
    client_id = f"reports-{secrets.token_hex(4)}"
    service = (await authority.manage("POST", "/v1/services", {"client_id": client_id})).json
    return {
        "POLLGATE_ADMIN_KEY": authority.admin_key,
        "POLLGATE_TOKEN": token["token"],
        "TOKEN_ID": token["id"],
        "ADMIN_KEY_ID": key["id"],
        "CLIENT_ID": client_id,
        "CLIENT_SECRET": service["secret"],
        "GUARD_ID": secrets.token_hex(16),
    }


async def test_every_command_of_docs_page_returns_documented_status(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    page = (await authority("GET", "/docs")).body.decode()
    commands, statuses = commands_of(page), await read_documented_statuses(authority)

    assert len(commands) == len(ROUTES)
    for name, command in commands.items():
        with subtests.test(name):
            variables = await create_variables(authority)

            printed = await paste(command.replace(CONFIGURED_URL, authority.base), variables)

            assert printed.status in statuses[name], printed.output


async def test_commands_of_docs_page_have_the_url_of_the_service(authority: Authority) -> None:
    page = (await authority("GET", "/docs")).body.decode()

    assert all(command.split('"')[1].startswith(CONFIGURED_URL) for command in commands_of(page).values())


async def test_docs_page_describes_every_variable_of_its_commands(authority: Authority) -> None:
    page = (await authority("GET", "/docs")).body.decode()

    for name in await create_variables(authority):
        assert f'<th scope="row"><code>{name}</code></th>' in page
