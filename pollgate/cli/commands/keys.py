"""`pollgate keys`: list and rotate the keys that a running authority signs with."""

from collections.abc import Sequence

from pollgate.cli.output import print_json, print_table
from pollgate.cli.session import Json, call, management
from pollgate.cli.times import told, told_exactly
from pollgate.client import SigningKey

app = management("keys", "List and rotate the keys that the authority signs with.")


@app.command(name="list", help_epilogue="Example:\n\n  pollgate keys list")
def list_(*, as_json: Json = False) -> None:
    """List the keys that are published: the one that signs, the next one, and those that signed a while ago."""
    keys = call(lambda authority: authority.list_signing_keys())
    print_json(keys) if as_json else _print_table(keys)


@app.command(help_epilogue="Example:\n\n  pollgate keys rotate")
def rotate(*, as_json: Json = False) -> None:
    """Publish a new key, which signs a few seconds later; what the one before has signed can be verified for an hour
    more.
    """
    key = call(lambda authority: authority.rotate_signing_key())
    if as_json:
        print_json(key)
        return
    print(f"The key {key.kid} is published, and signs from {told_exactly(key.signs_from)} on.")


def _print_table(keys: Sequence[SigningKey]) -> None:
    columns = ("Key", "State", "Made (UTC)", "Signs from", "Published until")
    print_table(columns, (_row(key) for key in keys))


def _row(key: SigningKey) -> tuple[str, ...]:
    times = (told(key.created_at), told_exactly(key.signs_from), told_exactly(key.published_until, ""))
    return (key.kid, key.state, *times)
