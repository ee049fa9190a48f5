"""The text that `pollgate up` prints when the stack is up, with commands to paste."""

from pathlib import Path
from typing import Final

_POLL: Final = '{"title": "Lunch?", "options": [{"id": "1", "title": "Yes", "order": 0}, {"id": "2", "title": "No"}]}'


def welcome(*, endpoint: str, authority: str, folder: Path, demo_token: str | None) -> str:
    """Return the text, with the new demo token, or with the command that creates a token."""
    query = f"token={demo_token or 'YOUR_TOKEN'}&type=polls&workspace=PLAT&content=PLAT-1"
    token = (
        f"Demo token, for the workspace PLAT, valid for 30 days. It is not shown again:\n\n  {demo_token}"
        if demo_token
        else "Create a token, and replace YOUR_TOKEN below with it:\n\n"
        f"  {_pollgate(folder, authority, endpoint)} token create --name 'My automation' --scope 'polls:*:PLAT'"
    )
    return f"""
Pollgate is up. Ctrl-C stops it; the data stays in {folder}.

Endpoint: {endpoint}

{token}

Create a poll, list the polls, list the tokens, revoke one by its id:

  curl -X POST '{endpoint}?{query}' \\
    -d '{_POLL}'
  {_pollgate(folder, authority, endpoint)} poll list      # prompts for the token, or reads POLLGATE_TOKEN
  {_pollgate(folder, authority, endpoint)} token list
  {_pollgate(folder, authority, endpoint)} token revoke TOKEN_ID --reason unneeded

Every route, with an example: {endpoint.partition("/x1/")[0]}/docs and {authority}/docs

The admin key is in {folder / "admin.key"}, the logs are in {folder / "logs"}.
"""


def _pollgate(folder: Path, authority: str, endpoint: str) -> str:
    command = Path(".venv/bin/pollgate")
    words = [] if authority.endswith(":8081") else [f"TOKEN_AUTHORITY_URL={authority}"]
    words += [] if ":8080/" in endpoint else [f"POLLS_URL={endpoint.partition('/x1/')[0]}"]
    words += [] if folder == Path(".pollgate").resolve() else [f"POLLGATE_DIR='{folder}'"]
    return " ".join([*words, str(command) if command.exists() else "pollgate"])
