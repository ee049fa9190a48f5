"""`pollgate site`: the sites that a token authority issues tokens for."""

from pollgate.cli.authority_session import authority_group, run_with_authority
from pollgate.cli.options import Json
from pollgate.cli.output import print_json, print_table
from pollgate.cli.times import format_time

app = authority_group("site", "List sites: the installations of the polls app that tokens are issued for.")


@app.command(name="list", help_epilogue="Example:\n\n  pollgate site list")
def list_(*, as_json: Json = False) -> None:
    """List the sites, the default one first, with the ids for --site and the endpoints of /x1/ENDPOINT."""
    sites = run_with_authority(lambda authority: authority.list_sites())
    if as_json:
        print_json(sites)
        return
    rows = ((site.name, site.id, site.endpoint_id, format_time(site.created_at)) for site in sites)
    print_table(("Name", "Id", "Endpoint", "Created (UTC)"), rows)
