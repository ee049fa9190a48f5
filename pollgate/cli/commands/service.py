"""`pollgate service`: the services that may introspect tokens at a token authority."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from pollgate.cli.authority_session import authority_group, run_with_authority
from pollgate.cli.errors import CliError, UsageError
from pollgate.cli.field_options import repeated_option
from pollgate.cli.options import Json, Repeatable
from pollgate.cli.output import print_fields, print_json, print_table
from pollgate.cli.repetition import Key, send_with_key
from pollgate.cli.secrets_table import describe_old_secrets, print_secrets
from pollgate.cli.times import Duration, format_exact_time, format_time
from pollgate.client import CreatedService, Service

ClientId = Annotated[str, Parameter(metavar="CLIENT_ID")]

app = authority_group("service", "Create, list, change, rotate, disable and enable services that introspect tokens.")


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate service create reports --name 'Nightly reports'\n"
    "  pollgate service create gateway --public-key-file gateway.pem"
)
def create(
    client_id: ClientId,
    /,
    *,
    name: str | None = None,
    site: Repeatable | None = None,
    public_key_file: Path | None = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Create a service that may introspect tokens, and print its secret, if it has one. It is not shown again.

    Parameters
    ----------
    client_id
        Client id: 1 to 64 of A-Z a-z 0-9 . _ -
    name
        Name for people.
    site
        Id of a site whose tokens the service may introspect; all sites by default. Repeatable.
    public_key_file
        File with a public key (PEM: Ed25519, P-256 or RSA), for private_key_jwt instead of a secret.
    """
    public_key = None if public_key_file is None else _read(public_key_file)
    created = run_with_authority(
        lambda authority: send_with_key(
            lambda sent: authority.create_service(
                client_id, name=name, sites=site, public_key=public_key, idempotency_key=sent
            ),
            key,
        ),
        repeated_option("/sites", "--site", site or ()),
    )
    print_json(created) if as_json else _print_created(created)


@app.command(name="list", help_epilogue="Example:\n\n  pollgate service list")
def list_(*, as_json: Json = False) -> None:
    """List all services by client id, including disabled ones."""
    found = run_with_authority(lambda authority: authority.list_services())
    print_json(found) if as_json else _print_table(found)


@app.command(help_epilogue="Example:\n\n  pollgate service show reports")
def show(client_id: ClientId, /, *, as_json: Json = False) -> None:
    """Show a service with the state of its secrets.

    Parameters
    ----------
    client_id
        Client id; see `pollgate service list`.
    """
    service = run_with_authority(lambda authority: authority.get_service(client_id))
    if as_json:
        print_json(service)
        return
    print_fields(_fields(service))
    if service.secrets:
        print()
        print_secrets(service.secrets, with_use=False)


@app.command(help_epilogue="Example:\n\n  pollgate service change reports --site site_3JDxtsz4ic3g56zQ")
def change(
    client_id: ClientId,
    /,
    *,
    name: str | None = None,
    site: Repeatable | None = None,
    all_sites: Annotated[bool, Parameter(negative="")] = False,
    public_key_file: Path | None = None,
    no_public_key: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> None:
    """Change some fields of a service. Fields that are not given stay the same.

    Parameters
    ----------
    client_id
        Client id; see `pollgate service list`.
    name
        Name for people.
    site
        Id of a site whose tokens the service may introspect, instead of all earlier ones. Repeatable.
    all_sites
        Let the service introspect the tokens of all sites.
    public_key_file
        File with a new public key (PEM: Ed25519, P-256 or RSA).
    no_public_key
        Remove the public key; `pollgate service rotate` creates a secret.
    """
    if (site and all_sites) or (public_key_file and no_public_key):
        raise UsageError("give either --site or --all-sites, and either --public-key-file or --no-public-key")
    fields: dict[str, Any] = {} if name is None else {"name": name}
    if site or all_sites:
        fields["sites"] = site
    if public_key_file or no_public_key:
        fields["public_key"] = _read(public_key_file) if public_key_file else None
    if not fields:
        raise UsageError("nothing to change; see `pollgate service change --help`")
    options = repeated_option("/sites", "--site", site or ())
    changed = run_with_authority(lambda authority: authority.change_service(client_id, fields), options)
    print_json(changed) if as_json else _print_table([changed])


@app.command(help_epilogue="Example:\n\n  pollgate service rotate reports --overlap 12h")
def rotate(
    client_id: ClientId,
    /,
    *,
    overlap: Duration | None = None,
    end_on_use: Annotated[bool, Parameter(negative="")] = False,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Create a new secret for a service and print it. It is not shown again.

    Parameters
    ----------
    client_id
        Client id; see `pollgate service list`.
    overlap
        How long earlier secrets continue to work; 1h by default, 0 ends them at once.
    end_on_use
        End earlier secrets as soon as the new one is used.
    """
    overlap_s = None if overlap is None else int(overlap.total_seconds())
    rotated = run_with_authority(
        lambda authority: send_with_key(
            lambda sent: authority.rotate_service(client_id, overlap_s, end_on_use=end_on_use, idempotency_key=sent),
            key,
        )
    )
    if as_json:
        print_json(rotated)
        return
    _print_created(rotated)
    end = describe_old_secrets(rotated.old_secrets_end_at, at_once=overlap == timedelta(), end_on_use=end_on_use)
    print(f"{end}.")


@app.command(help_epilogue="Example:\n\n  pollgate service disable reports")
def disable(client_id: ClientId, /, *, as_json: Json = False) -> None:
    """Refuse a service until it is enabled again. Its guards continue until their leases expire.

    Parameters
    ----------
    client_id
        Client id; see `pollgate service list`.
    """
    changed = run_with_authority(lambda authority: authority.disable_service(client_id))
    print_json(changed) if as_json else print(f"Disabled {changed.client_id}; it may neither introspect nor sync.")


@app.command(help_epilogue="Example:\n\n  pollgate service enable reports")
def enable(client_id: ClientId, /, *, as_json: Json = False) -> None:
    """Let a disabled service introspect again.

    Parameters
    ----------
    client_id
        Client id; see `pollgate service list`.
    """
    changed = run_with_authority(lambda authority: authority.enable_service(client_id))
    print_json(changed) if as_json else print(f"Enabled {changed.client_id}; it may introspect.")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise CliError(f"cannot read the public key: {error.strerror}: {file}") from None
    except UnicodeDecodeError:
        raise CliError(f"{file} does not contain a public key as PEM") from None


def _print_created(service: CreatedService) -> None:
    _print_table([service])
    if service.secret:
        print(f"\n{service.secret}\n\nStore this secret now: it is not shown again.")


def _print_table(services: Sequence[Service]) -> None:
    columns = ("Client id", "Name", "Sites", "Authenticates with", "Created (UTC)", "Status")
    print_table(columns, (_row(service) for service in services), foldable=("Client id", "Name"))


def _row(service: Service) -> tuple[str, ...]:
    status = f"disabled {format_time(service.disabled_at)}" if service.disabled_at else "enabled"
    method = "public key" if service.public_key else "secret"
    return (service.client_id, service.name, _sites(service), method, format_time(service.created_at), status)


def _fields(service: Service) -> list[tuple[str, str]]:
    disabled = f"{format_exact_time(service.disabled_at)} by {service.disabled_by or 'unknown'}"
    fields = [
        ("Client id", service.client_id),
        ("Name", service.name),
        ("Sites", _sites(service)),
        ("Created", f"{format_exact_time(service.created_at)} by {service.created_by}"),
        ("Disabled", disabled if service.disabled_at else ""),
        ("Public key", service.public_key or ""),
    ]
    return [(name, value) for name, value in fields if value]


def _sites(service: Service) -> str:
    return "all" if service.sites is None else "\n".join(service.sites)
