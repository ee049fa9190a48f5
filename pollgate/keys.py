"""`pollgate keys`: list and rotate the keys that a running authority signs with."""

import sys

from cyclopts import App
from rich.console import Console
from rich.table import Table

from pollgate.call import WHERE_AND_AS_WHOM, Json, call, print_json
from pollgate.client import SigningKey

app = App(name="keys", help=f"List and rotate the keys that the authority signs with.\n\n{WHERE_AND_AS_WHOM}")


@app.command(name="list")
def list_(*, as_json: Json = False) -> None:
    """List the keys that are published: the one that signs, the next one, and those that signed a while ago."""
    keys = call(lambda authority: authority.signing_keys())
    print_json(keys) if as_json else _print_table(keys)


@app.command
def rotate(*, as_json: Json = False) -> None:
    """Publish a new key, which signs a few seconds later; what the one before has signed can be verified for an hour
    more.
    """
    key = call(lambda authority: authority.rotate_signing_key())
    if as_json:
        print_json(key)
        return
    print(f"The key {key.kid} is published, and signs from {key.signs_from:%Y-%m-%d %H:%M:%S} UTC on.")


def _print_table(keys: list[SigningKey]) -> None:
    table = Table("Key", "State", "Made (UTC)", "Signs from", "Published until")
    for key in keys:
        until = f"{key.published_until:%Y-%m-%d %H:%M:%S}" if key.published_until else ""
        table.add_row(
            key.kid, key.state, f"{key.created_at:%Y-%m-%d %H:%M}", f"{key.signs_from:%Y-%m-%d %H:%M:%S}", until
        )
    # A pipe has no width: nothing is cut off there.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
