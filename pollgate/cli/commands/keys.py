"""`pollgate keys`: the signing keys of a token authority."""

from collections.abc import Sequence

from pollgate.cli.authority_session import authority_group, run_with_authority
from pollgate.cli.options import Json
from pollgate.cli.output import print_json, print_table
from pollgate.cli.times import format_exact_time, format_time
from pollgate.client import SigningKey

app = authority_group("keys", "List and rotate the signing keys of the authority.")


@app.command(name="list", help_epilogue="Example:\n\n  pollgate keys list")
def list_(*, as_json: Json = False) -> None:
    """List the published signing keys: the current one, the next one, and earlier ones."""
    keys = run_with_authority(lambda authority: authority.list_signing_keys())
    print_json(keys) if as_json else _print_table(keys)


@app.command(help_epilogue="Example:\n\n  pollgate keys rotate")
def rotate(*, as_json: Json = False) -> None:
    """Publish a new signing key, which signs a few seconds later. Signatures of the current key can be verified for
    another hour.
    """
    key = run_with_authority(lambda authority: authority.rotate_signing_key())
    if as_json:
        print_json(key)
        return
    print(f"Published the key {key.kid}, which signs from {format_exact_time(key.signs_from)} on.")


def _print_table(keys: Sequence[SigningKey]) -> None:
    columns = ("Key", "State", "Created (UTC)", "Signs from", "Published until")
    print_table(columns, (_row(key) for key in keys))


def _row(key: SigningKey) -> tuple[str, ...]:
    times = (format_time(key.created_at), format_exact_time(key.signs_from), format_exact_time(key.published_until, ""))
    return (key.kid, key.state, *times)
