"""`pollgate admin`: the admin keys of a token authority."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pollgate.cli.authority_session import authority_group, run_with_authority
from pollgate.cli.errors import UsageError
from pollgate.cli.field_options import repeated_option
from pollgate.cli.options import Json, Repeatable
from pollgate.cli.output import print_json, print_table
from pollgate.cli.repetition import Key, send_with_key
from pollgate.cli.secrets_table import describe_old_secrets
from pollgate.cli.times import Duration, format_time
from pollgate.cli.token_fields import parse_scopes
from pollgate.client import AdminKey, CreatedAdminKey

Role = Literal["admin", "issuer", "auditor"]

app = authority_group("admin", "Create, list, change, rotate and revoke admin keys.")


@app.command(
    help_epilogue="Example:\n\n"
    "  pollgate admin create --name 'Team payments' --role issuer \\\n"
    "    --scope 'polls:*:PAY'"
)
def create(
    *,
    name: str,
    role: Role,
    site: Repeatable | None = None,
    scope: Repeatable | None = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Create an admin key and print its secret, which is not shown again.

    Parameters
    ----------
    name
        Purpose or owner, 1 to 255 characters.
    role
        An admin may do everything, an issuer manages tokens within its sites and scopes, an auditor only reads.
    site
        Id of a site that the key is limited to. Repeatable.
    scope
        Limit for the scopes of tokens that the key creates, such as polls:*:PAY. Repeatable.
    """
    scopes = None if scope is None else parse_scopes(scope)
    options = {
        **repeated_option("/scopes", "--scope", scope or ()),
        **repeated_option("/sites", "--site", site or ()),
    }
    created = run_with_authority(
        lambda authority: send_with_key(
            lambda sent: authority.create_admin_key(name, role, sites=site, scopes=scopes, idempotency_key=sent), key
        ),
        options,
    )
    print_json(created) if as_json else _print_created(created)


@app.command(name="list", help_epilogue="Example:\n\n  pollgate admin list")
def list_(*, as_json: Json = False) -> None:
    """List all admin keys by name, including revoked ones."""
    keys = run_with_authority(lambda authority: authority.list_admin_keys())
    print_json(keys) if as_json else _print_table(keys)


@app.command(help_epilogue="Example:\n\n  pollgate admin change adm_3JDxtsz4ic3g56zQ --role auditor")
def change(
    key_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    name: str | None = None,
    role: Role | None = None,
    site: Repeatable | None = None,
    scope: Repeatable | None = None,
    as_json: Json = False,
) -> None:
    """Change some fields of an admin key. Fields that are not given stay the same.

    Its rights can only be reduced; for more, create a new admin key.

    Parameters
    ----------
    key_id
        Id of the key (adm_…); see `pollgate admin list`.
    name
        Purpose or owner, 1 to 255 characters.
    role
        issuer or auditor instead of admin, or auditor instead of issuer. The last admin stays one.
    site
        Id of a site that the key is limited to, instead of all earlier ones. Repeatable.
    scope
        Limit for the scopes of tokens, instead of all earlier ones. Repeatable.
    """
    scopes = None if scope is None else parse_scopes(scope)
    given: dict[str, Any] = {"name": name, "role": role, "sites": site, "scopes": scopes}
    fields = {field: value for field, value in given.items() if value is not None}
    if not fields:
        raise UsageError("nothing to change; see `pollgate admin change --help`")
    options = {
        **repeated_option("/scopes", "--scope", scope or ()),
        **repeated_option("/sites", "--site", site or ()),
    }
    changed = run_with_authority(lambda authority: authority.change_admin_key(key_id, fields), options)
    print_json(changed) if as_json else _print_table([changed])


@app.command(help_epilogue="Example:\n\n  pollgate admin rotate adm_3JDxtsz4ic3g56zQ --overlap 10m")
def rotate(
    key_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    overlap: Duration | None = None,
    end_on_use: Annotated[bool, Parameter(negative="")] = False,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Create a new secret for an admin key and print it. It is not shown again.

    Parameters
    ----------
    key_id
        Id of the key (adm_…); see `pollgate admin list`.
    overlap
        How long earlier secrets continue to work; 1h by default, 0 ends them at once.
    end_on_use
        End earlier secrets as soon as the new one is used.
    """
    overlap_s = None if overlap is None else int(overlap.total_seconds())
    rotated = run_with_authority(
        lambda authority: send_with_key(
            lambda sent: authority.rotate_admin_key(key_id, overlap_s, end_on_use=end_on_use, idempotency_key=sent), key
        )
    )
    if as_json:
        print_json(rotated)
        return
    _print_created(rotated)
    print("Replace it where it is stored, such as in .pollgate/admin.key.")
    end = describe_old_secrets(rotated.old_secrets_end_at, at_once=overlap == timedelta(), end_on_use=end_on_use)
    print(f"{end}.")


@app.command(help_epilogue="Example:\n\n  pollgate admin revoke adm_3JDxtsz4ic3g56zQ")
def revoke(key_id: Annotated[str, Parameter(metavar="ID")], /) -> None:
    """Revoke an admin key permanently and immediately. The last one in the role admin cannot be revoked.

    Parameters
    ----------
    key_id
        Id of the key (adm_…); see `pollgate admin list`.
    """
    run_with_authority(lambda authority: authority.revoke_admin_key(key_id))
    print(f"Revoked {key_id}; it no longer works.")


@app.command(help_epilogue="Example:\n\n  pollgate admin whoami")
def whoami(*, as_json: Json = False) -> None:
    """Show the admin key that you use."""
    key = run_with_authority(lambda authority: authority.get_own_admin_key())
    print_json(key) if as_json else _print_table([key])


def _print_created(key: CreatedAdminKey) -> None:
    _print_table([key])
    print(f"\n{key.key}\n\nStore this admin key now: it is not shown again.")


def _print_table(keys: Sequence[AdminKey]) -> None:
    columns = ("Name", "Id", "Role", "Sites", "Scopes", "Key", "Created (UTC)", "Revoked")
    print_table(columns, (_row(key) for key in keys), foldable=("Name", "Scopes"))


def _row(key: AdminKey) -> tuple[str, ...]:
    sites, scopes = ("all" if limit is None else "\n".join(limit) for limit in (key.sites, key.scopes))
    return (
        key.name,
        key.id,
        key.role,
        sites,
        scopes,
        key.hint,
        format_time(key.created_at),
        format_time(key.revoked_at, ""),
    )
