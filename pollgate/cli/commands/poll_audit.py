"""`pollgate poll audit`: who has created, changed and deleted a poll."""

from typing import Annotated

from cyclopts import Parameter

from pollgate.cli.audit_verification import AuditVerification, read_head
from pollgate.cli.commands.audit import print_records
from pollgate.cli.options import Json
from pollgate.cli.output import pluralize, print_json
from pollgate.cli.polls_session import collect_from_polls, polls_group

app = polls_group("poll", "Read the audit trail of a poll.")


@app.command(
    help_epilogue="Examples:\n\n"
    "  pollgate poll audit ID\n"
    "  pollgate poll audit ID --verify --head 12:5f0c…\n\n"
    "Exit status: 1 if the trail is not intact, or cannot be read."
)
def audit(
    poll_id: Annotated[str, Parameter(metavar="ID")],
    /,
    *,
    verify: Annotated[bool, Parameter(negative="")] = False,
    head: Annotated[str | None, Parameter(metavar="SEQ:HASH")] = None,
    as_json: Json = False,
) -> None:
    """List who has created, changed, closed, reopened and deleted a poll.

    The oldest record is first, and times are in UTC. The trail stays after the
    poll is deleted. The token must have the action update.

    Parameters
    ----------
    poll_id
        Id of the poll; see `pollgate poll list`.
    verify
        Verify that no record was changed, inserted or removed, and print the head, SEQ:HASH of the last record.
    head
        Head that was printed earlier, to verify that its record is unchanged; implies --verify.
    """
    records = collect_from_polls(lambda polls: polls.list_audit_records(poll_id))
    if verify or head is not None:
        verification = AuditVerification(None if head is None else read_head(head), "audit trail")
        for record in records:
            verification.verify_record(record)
        verification.finish()
        if as_json:
            print_json({"records": len(records), "head": str(verification.head)})
        else:
            print(f"The audit trail is intact: {pluralize(len(records), 'record')}. Head: {verification.head}")
    elif as_json:
        print_json(records)
    elif records:
        print_records(records)
    else:
        print("The poll has no records: it was created before they were kept, and not changed since.")
