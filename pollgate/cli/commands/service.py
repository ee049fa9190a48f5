"""`pollgate service`: who may introspect at a running authority."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from pollgate.cli.errors import CliError
from pollgate.cli.output import print_fields, print_json, print_table
from pollgate.cli.secrets_table import print_secrets
from pollgate.cli.session import Json, Many, call, management
from pollgate.cli.times import Duration, told, told_exactly
from pollgate.client import CreatedService, Service

_OPTIONS: Final = {
    "/client_id": "CLIENT_ID",
    "/name": "--name",
    "/sites": "--site",
    "/public_key": "--public-key-file",
}

ClientId = Annotated[str, Parameter(metavar="CLIENT_ID")]

app = management("service", "Make, list, change, rotate, disable and enable the services that introspect.")


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
    site: Many | None = None,
    public_key_file: Path | None = None,
    as_json: Json = False,
) -> None:
    """Make a service that may introspect, and show its secret, this once, if it has one.

    Parameters
    ----------
    client_id
        What it names itself: 1 to 64 of A-Z a-z 0-9 . _ -
    name
        What it is.
    site
        The id of a site whose tokens exist for it; those of all sites where this is left out. Repeatable.
    public_key_file
        A file with its public key (PEM: Ed25519, P-256 or RSA), for private_key_jwt in the place of a secret.
    """
    public_key = None if public_key_file is None else _read(public_key_file)
    made = call(
        lambda authority: authority.create_service(client_id, name=name, sites=site, public_key=public_key), _OPTIONS
    )
    print_json(made) if as_json else _show_made(made)


@app.command(name="list", help_epilogue="Example:\n\n  pollgate service list")
def list_(*, as_json: Json = False) -> None:
    """List every service by client id, disabled ones too."""
    found = call(lambda authority: authority.list_services())
    print_json(found) if as_json else _print_table(found)


@app.command(help_epilogue="Example:\n\n  pollgate service show reports")
def show(client_id: ClientId, /, *, as_json: Json = False) -> None:
    """Show one service, with what is kept of its secrets.

    Parameters
    ----------
    client_id
        As `pollgate service list` shows it.
    """
    service = call(lambda authority: authority.get_service(client_id))
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
    site: Many | None = None,
    all_sites: Annotated[bool, Parameter(negative="")] = False,
    public_key_file: Path | None = None,
    no_public_key: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> None:
    """Give some fields of a service other values; those that are left out stay.

    Parameters
    ----------
    client_id
        As `pollgate service list` shows it.
    name
        What it is.
    site
        The id of a site whose tokens exist for it from now on, in the place of all before. Repeatable.
    all_sites
        The tokens of every site exist for it.
    public_key_file
        A file with its public key from now on (PEM: Ed25519, P-256 or RSA).
    no_public_key
        Take its public key away; `pollgate service rotate` gives it a secret.
    """
    if (site and all_sites) or (public_key_file and no_public_key):
        raise CliError("give either --site or --all-sites, and either --public-key-file or --no-public-key")
    fields: dict[str, Any] = {} if name is None else {"name": name}
    if site or all_sites:
        fields["sites"] = site
    if public_key_file or no_public_key:
        fields["public_key"] = _read(public_key_file) if public_key_file else None
    if not fields:
        raise CliError("say what to change; `pollgate service change --help` lists it")
    changed = call(lambda authority: authority.change_service(client_id, fields), _OPTIONS)
    print_json(changed) if as_json else _print_table([changed])


@app.command(help_epilogue="Example:\n\n  pollgate service rotate reports --overlap 12h")
def rotate(client_id: ClientId, /, *, overlap: Duration | None = None, as_json: Json = False) -> None:
    """Make a new secret for a service and show it, this once.

    Parameters
    ----------
    client_id
        As `pollgate service list` shows it.
    overlap
        For how long the secrets before it go on working; 1h where this is left out, and 0 ends them at once.
    """
    overlap_s = None if overlap is None else int(overlap.total_seconds())
    made = call(lambda authority: authority.rotate_service(client_id, overlap_s), {"/overlap_s": "--overlap"})
    print_json(made) if as_json else _show_made(made)


@app.command(help_epilogue="Example:\n\n  pollgate service disable reports")
def disable(client_id: ClientId, /, *, as_json: Json = False) -> None:
    """Have a service refused until it is enabled again. Its guards go on for as long as their leases.

    Parameters
    ----------
    client_id
        As `pollgate service list` shows it.
    """
    changed = call(lambda authority: authority.disable_service(client_id))
    print_json(changed) if as_json else print(f"Disabled {changed.client_id}; it may neither introspect nor sync.")


@app.command(help_epilogue="Example:\n\n  pollgate service enable reports")
def enable(client_id: ClientId, /, *, as_json: Json = False) -> None:
    """Let a disabled service introspect again.

    Parameters
    ----------
    client_id
        As `pollgate service list` shows it.
    """
    changed = call(lambda authority: authority.enable_service(client_id))
    print_json(changed) if as_json else print(f"Enabled {changed.client_id}; it may introspect.")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise CliError(f"cannot read the public key: {error.strerror}: {file}") from None
    except UnicodeDecodeError:
        raise CliError(f"{file} does not hold a public key as PEM") from None


def _show_made(service: CreatedService) -> None:
    _print_table([service])
    if service.secret:
        print(f"\n{service.secret}\n\nStore this secret now: it is not shown again.")


def _print_table(services: Sequence[Service]) -> None:
    columns = ("Client id", "Name", "Sites", "Shows itself by", "Made (UTC)", "Status")
    print_table(columns, (_row(service) for service in services), broken=("Client id", "Name"))


def _row(service: Service) -> tuple[str, ...]:
    status = f"disabled {told(service.disabled_at)}" if service.disabled_at else "enabled"
    shown_by = "public key" if service.public_key else "secret"
    return (service.client_id, service.name, _sites(service), shown_by, told(service.created_at), status)


def _fields(service: Service) -> list[tuple[str, str]]:
    disabled = f"{told_exactly(service.disabled_at)} by {service.disabled_by or 'somebody'}"
    fields = [
        ("Client id", service.client_id),
        ("Name", service.name),
        ("Sites", _sites(service)),
        ("Created", f"{told_exactly(service.created_at)} by {service.created_by}"),
        ("Disabled", disabled if service.disabled_at else ""),
        ("Public key", service.public_key or ""),
    ]
    return [(name, value) for name, value in fields if value]


def _sites(service: Service) -> str:
    return "all" if service.sites is None else "\n".join(service.sites)
