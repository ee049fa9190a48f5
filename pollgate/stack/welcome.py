"""The text that `pollgate up` prints when the stack is up, with commands to paste."""

import shlex
from pathlib import Path
from typing import Final

_POLL: Final = '{"title": "Lunch?", "options": [{"id": "1", "title": "Yes", "order": 0}, {"id": "2", "title": "No"}]}'
_FIND_POLL_ID: Final = r"""sed -E 's/.*"id": ?"([0-9a-f-]{36})".*/\1/'"""
_FROM_JSON: Final = r"""sed -nE 's/.*"token": "(.*)".*/\1/p'"""


def welcome(
    *,
    endpoint: str,
    authority: str,
    folder: Path,
    sign_in_link: str,
    demo_token: str | None,
    voting_link: str | None,
) -> str:
    """Return the text, with a new sign-in link, and with the new demo token or the command that creates a token.

    `voting_link` is the new one of the sample poll.
    """
    pollgate = ".venv/bin/pollgate" if Path(".venv/bin/pollgate").exists() else "pollgate"
    polls = endpoint.partition("/x1/")[0]
    create = f"{pollgate} token create --name 'My automation' --scope 'polls:*:PLAT' --expires-in 30d --json"
    token = demo_token or f"$({create} \\\n    | {_FROM_JSON})"
    shown_once = (
        f"Demo token, for the workspace PLAT, valid for 30 days. It is not shown again:\n\n  {demo_token}\n\n"
        if demo_token
        else ""
    )
    sample = f"Vote in the sample poll: {voting_link}\n" if voting_link else ""
    return f"""
Pollgate is up. Ctrl-C stops it; the data stays in {folder}.

Settings page: {authority}/settings/
Sign in once, within 10 minutes: {sign_in_link}

Manage polls, with a token: {polls}/manage
{sample}
Endpoint: {endpoint}

{shown_once}Paste this into another shell to create a poll, vote in it, and see the results:

  ENDPOINT={endpoint} POLLS_URL={polls}
{_exports(folder, authority, polls)}  export POLLGATE_TOKEN={token}
  POLL_ID=$(curl -s "$ENDPOINT?token=$POLLGATE_TOKEN&type=polls&workspace=PLAT&content=PLAT-1" \\
    -d '{_POLL}' \\
    | {_FIND_POLL_ID})
  curl -X PUT "$POLLS_URL/v1/polls/$POLL_ID/votes/ada" -H "Authorization: Bearer $POLLGATE_TOKEN" \\
    -H 'Content-Type: application/json' -d '{{"optionIds": ["1"]}}'
  curl "$POLLS_URL/v1/polls/$POLL_ID/results" -H "Authorization: Bearer $POLLGATE_TOKEN"

List the polls and the tokens, and revoke this token:

  {pollgate} poll list
  {pollgate} token list
  echo "$POLLGATE_TOKEN" | {pollgate} token revoke - --reason unneeded

Every route, with an example: {polls}/docs and {authority}/docs

The admin key is in {folder / "admin.key"}, the logs are in {folder / "logs"}.
"""


def welcome_without_key(*, polls: str, authority: str, folder: Path) -> str:
    """Return the text for a stack whose file has an admin key that no longer works."""
    return f"""
Pollgate is up. Ctrl-C stops it; the data stays in {folder}.

The admin key is in {folder / "admin.key"}, but it does not work: it was rotated or revoked.
Write a working one into this file, and `pollgate up` shows a link to sign in, the endpoint and commands to paste.

Settings page: {authority}/settings/

Every route, with an example: {polls}/docs and {authority}/docs

The logs are in {folder / "logs"}.
"""


def _exports(folder: Path, authority: str, polls: str) -> str:
    """Return a line with the settings of the commands that differ from their defaults, if there are any."""
    settings = {
        "TOKEN_AUTHORITY_URL": "" if authority.endswith(":8081") else authority,
        "POLLS_URL": "" if polls.endswith(":8080") else polls,
        "POLLGATE_DIR": "" if folder == Path(".pollgate").resolve() else str(folder),
    }
    words = [f"{name}={shlex.quote(value)}" for name, value in settings.items() if value]
    return f"  export {' '.join(words)}\n" if words else ""
