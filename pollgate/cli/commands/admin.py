"""`pollgate admin`: who manages a running authority."""

from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import Parameter

from pollgate.cli.output import print_json, print_table
from pollgate.cli.session import Json, Many, call, management
from pollgate.cli.times import Duration, told
from pollgate.cli.token_fields import scope_options, written_scopes
from pollgate.client import AdminKey, CreatedAdminKey

Role = Literal["admin", "issuer", "auditor"]

app = management("admin", "Make, list, rotate and revoke admin keys.")


@app.command(
    help_epilogue="Example:\n\n"
    "  pollgate admin create --name 'Team payments' --role issuer \\\n"
    "    --scope 'polls:*:PAY'"
)
def create(
    *, name: str, role: Role, site: Many | None = None, scope: Many | None = None, as_json: Json = False
) -> None:
    """Make an admin key and show its secret, this once.

    Parameters
    ----------
    name
        Who or what it is for, 1 to 255 characters.
    role
        An admin may do everything, an issuer manages tokens within its sites and scopes, an auditor looks.
    site
        The id of a site that it is limited to. Repeatable.
    scope
        What the tokens that it makes may do at most, as polls:*:PAY. Repeatable.
    """
    scopes = None if scope is None else written_scopes(scope)
    options = {"/name": "--name", "/sites": "--site", **scope_options(scope or ())}
    key = call(lambda authority: authority.create_admin_key(name, role, sites=site, scopes=scopes), options)
    print_json(key) if as_json else _show_made(key)


@app.command(name="list", help_epilogue="Example:\n\n  pollgate admin list")
def list_(*, as_json: Json = False) -> None:
    """List every admin key by name, revoked ones too."""
    keys = call(lambda authority: authority.list_admin_keys())
    print_json(keys) if as_json else _print_table(keys)


@app.command(help_epilogue="Example:\n\n  pollgate admin rotate adm_3JDxtsz4ic3g56zQ --overlap 10m")
def rotate(
    key_id: Annotated[str, Parameter(metavar="ID")], /, *, overlap: Duration | None = None, as_json: Json = False
) -> None:
    """Make a new secret for an admin key and show it, this once.

    Parameters
    ----------
    key_id
        Its id, adm_…, as `pollgate admin list` shows it.
    overlap
        For how long the secrets before it go on working; 1h where this is left out, and 0 ends them at once.
    """
    overlap_s = None if overlap is None else int(overlap.total_seconds())
    key = call(lambda authority: authority.rotate_admin_key(key_id, overlap_s), {"/overlap_s": "--overlap"})
    print_json(key) if as_json else _show_made(key)


@app.command(help_epilogue="Example:\n\n  pollgate admin revoke adm_3JDxtsz4ic3g56zQ")
def revoke(key_id: Annotated[str, Parameter(metavar="ID")], /) -> None:
    """End an admin key for good and at once. The last one in the role admin cannot be revoked.

    Parameters
    ----------
    key_id
        Its id, adm_…, as `pollgate admin list` shows it.
    """
    call(lambda authority: authority.revoke_admin_key(key_id))
    print(f"Revoked {key_id}; it works no more.")


@app.command(help_epilogue="Example:\n\n  pollgate admin whoami")
def whoami(*, as_json: Json = False) -> None:
    """Show the admin key that you use."""
    key = call(lambda authority: authority.get_own_admin_key())
    print_json(key) if as_json else _print_table([key])


def _show_made(key: CreatedAdminKey) -> None:
    _print_table([key])
    print(f"\n{key.key}\n\nStore this admin key now: it is not shown again.")


def _print_table(keys: Sequence[AdminKey]) -> None:
    columns = ("Name", "Id", "Role", "Sites", "Scopes", "Key", "Made (UTC)", "Revoked")
    print_table(columns, (_row(key) for key in keys), broken=("Name", "Scopes"))


def _row(key: AdminKey) -> tuple[str, ...]:
    sites, scopes = ("all" if limit is None else "\n".join(limit) for limit in (key.sites, key.scopes))
    return (key.name, key.id, key.role, sites, scopes, key.hint, told(key.created_at), told(key.revoked_at, ""))
