"""`pollgate token find`: find a token by its secret."""

from pollgate.cli.authority_session import authority_group, run_with_authority
from pollgate.cli.options import Json
from pollgate.cli.output import print_fields, print_json
from pollgate.cli.secret_input import read_token_secret
from pollgate.cli.times import format_exact_time
from pollgate.client import FoundToken, Secret

app = authority_group("token", "Find access tokens.")


@app.command(help_epilogue="Examples:\n\n  pollgate token find\n  pollgate token find < leaked.txt")
def find(*, as_json: Json = False) -> None:
    """Find the token of a secret (pgt_…), and print whether the secret still works.

    The secret is read from a prompt, or from standard input in a pipe, never from
    the arguments. This is no use of the token.
    """
    secret = read_token_secret()
    found = run_with_authority(lambda authority: authority.find_token(secret), {"/token": "the access token"})
    if as_json:
        print_json(found)
        return
    print_fields(_fields(found))


def _fields(token: FoundToken) -> list[tuple[str, str]]:
    fields = [
        ("Name", token.name),
        ("Id", token.id),
        ("Status", token.status),
        ("Owner", token.owner or ""),
        ("Site", token.site),
        ("Secret", f"{token.secret.hint}, created {format_exact_time(token.secret.created_at)}"),
        ("Works", _describe_validity(token.secret, token.status)),
        ("Last used", format_exact_time(token.last_used_at)),
    ]
    return [(name, value) for name, value in fields if value]


def _describe_validity(secret: Secret, status: str) -> str:
    if secret.works:
        return f"until {format_exact_time(secret.ends_at)}" if secret.ends_at else "yes"
    return "no: another secret has replaced it" if status == "active" else f"no: the token is {status}"
