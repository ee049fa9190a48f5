"""`pollgate site`: the installations that tokens are for, at a running authority."""

from pollgate.cli.output import print_json, print_table
from pollgate.cli.session import Json, call, management
from pollgate.cli.times import told

app = management("site", "List the installations of the polls app that tokens are for.")


@app.command(name="list", help_epilogue="Example:\n\n  pollgate site list")
def list_(*, as_json: Json = False) -> None:
    """List the sites, the default one first: their ids, which --site takes, and where their polls are, /x1/ENDPOINT."""
    sites = call(lambda authority: authority.list_sites())
    if as_json:
        print_json(sites)
        return
    rows = ((site.name, site.id, site.endpoint_id, told(site.created_at)) for site in sites)
    print_table(("Name", "Id", "Endpoint", "Made (UTC)"), rows)
