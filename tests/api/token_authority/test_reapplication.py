"""What ended or narrowed after a backup ends or narrows again in the restored database, by the journal."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pollgate.stack.restore import (
    ChoiceRequired,
    FinishReport,
    begin,
    create_admin_key,
    finish_restoration,
    show_status,
)
from services.token_authority.domain.actor import Actor
from services.token_authority.domain.audit import AuditEntry, records
from services.token_authority.domain.audit_chain import EMPTY
from services.token_authority.domain.journal import journal_record, write_line
from services.token_authority.domain.restoration import Decision
from services.token_authority.tasks.journal_file import read_journals
from shared.contract.token import CLIENT_SECRET, mint
from tests.support.client_keys import ClientKey
from tests.support.databases import ClonedDatabase
from tests.support.dumps import Backups, create_backups
from tests.support.guards import FakeGuard
from tests.support.processes import authority_settings
from tests.support.stack import Authority, run_token_authority

pytestmark = pytest.mark.own_database

OPERATOR = Actor("operator", "a test")
BY_JOURNAL = Decision("journal", OPERATOR, "the journal has everything")


class Restored(NamedTuple):
    """A database as of an earlier time, and the journal with what happened later."""

    database: ClonedDatabase
    journal: Path


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "journal.jsonl"


@pytest.fixture
def authority_settings_with_journal(journal: Path) -> dict[str, Any]:
    return {"journal_file": str(journal), "revocation_lease": 0.5}


@pytest.fixture
async def backups(postgres_url: str, tmp_path: Path) -> Backups:
    return await create_backups(postgres_url, tmp_path)


class Drill:
    """Runs the authority, backs its database up, changes tokens, and restores the backup."""

    def __init__(
        self,
        database: ClonedDatabase,
        redis_url: str,
        folder: Path,
        backups: Backups,
        settings: dict[str, Any],
        patch: pytest.MonkeyPatch,
    ) -> None:
        self.database = database
        self.journal = Path(settings["journal_file"])
        self._redis_url = redis_url
        self._folder = folder
        self._backups = backups
        self._settings = settings
        self._patch = patch

    def run(self, database: ClonedDatabase, **settings: Any) -> Any:
        """Run the authority on a database during the block."""
        return run_token_authority(database, self._redis_url, self._folder, **self._settings, **settings)

    async def back_up(self) -> Path:
        """Back the database up."""
        return await self._backups.dump(self.database)

    def restore(self, dump: Path) -> Any:
        """Restore a backup during the block."""
        return self._backups.restore(dump)

    async def finish(
        self, database: ClonedDatabase, decision: Decision = BY_JOURNAL, *journals: Path, own_journal: bool = True
    ) -> FinishReport:
        """Finish the restoration of a database as `pollgate restore finish` does."""
        self.use_settings(database, own_journal=own_journal)
        report = await finish_restoration(journals, decision)
        assert report is not None
        return report

    def use_settings(self, database: ClonedDatabase, *, own_journal: bool = True) -> None:
        """Let commands use the settings of the authority."""
        settings = {
            **authority_settings(database, self._redis_url, self._folder),
            "REVOCATION_LEASE": "0.5",
            "JOURNAL_FILE": str(self.journal) if own_journal else "",
        }
        for name, value in settings.items():
            self._patch.setenv(name, value)


@pytest.fixture
def drill(
    database: ClonedDatabase,
    redis_url: str,
    tmp_path: Path,
    backups: Backups,
    authority_settings_with_journal: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Drill:
    return Drill(database, redis_url, tmp_path, backups, authority_settings_with_journal, monkeypatch)


async def change(authority: Authority, method: str, path: str, body: Any = None) -> Any:
    """Send a request that changes something, and return the body of its success."""
    answer = await authority.manage(method, path, body)
    assert answer.status in (200, 201, 204), answer.body
    return answer.json if answer.body else None


async def show(authority: Authority, token: Any) -> Any:
    """Return a token as the authority shows it."""
    return (await authority.manage("GET", f"/v1/tokens/{token['id']}")).json


async def is_active(authority: Authority, secret: str) -> bool:
    """Return whether a secret of a token works."""
    return bool((await authority.introspect(secret)).json["active"])


async def test_tokens_that_ended_or_narrowed_after_the_backup_do_so_again(
    drill: Drill, subtests: pytest.Subtests
) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    async with drill.run(drill.database) as authority:
        names = (
            "kept",
            "revoked",
            "narrowed",
            "disabled",
            "enabled_again",
            "rotated",
            "overlapping",
            "used",
            "renamed",
        )
        tokens = {name: await authority.issue("polls:*:*", name=name) for name in names}
        for token in tokens.values():
            await is_active(authority, token["token"])
        dump = await drill.back_up()
        paths = {name: f"/v1/tokens/{token['id']}" for name, token in tokens.items()}
        await change(authority, "POST", f"{paths['revoked']}/revoke", {"reason": "leaked", "text": "in a log"})
        narrower = {
            "scopes": ["polls:read:PLAT"],
            "expires_at": tomorrow.isoformat(),
            "allow_query": False,
            "allowed_ips": ["10.0.0.0/8"],
            "rate_limit": 7,
        }
        await change(authority, "PATCH", paths["narrowed"], narrower)
        await change(authority, "POST", f"{paths['disabled']}/disable", {"reason": "on leave"})
        await change(authority, "POST", f"{paths['enabled_again']}/disable", {})
        await change(authority, "POST", f"{paths['enabled_again']}/enable")
        await change(authority, "POST", f"{paths['rotated']}/rotate", {"overlap_s": 0})
        await change(authority, "POST", f"{paths['overlapping']}/rotate", {"overlap_s": 3600})
        new = await change(authority, "POST", f"{paths['used']}/rotate", {"overlap_s": 3600, "end_on_use": True})
        await is_active(authority, new["token"])
        await change(authority, "PATCH", paths["renamed"], {"name": "another name"})
        later = await authority.issue(name="later")

    async with drill.restore(dump) as restored:
        report = await drill.finish(restored)
        async with drill.run(restored) as authority:
            shown = {name: await show(authority, token) for name, token in tokens.items()}
            active = {name: await is_active(authority, token["token"]) for name, token in tokens.items()}

    works = {"kept", "narrowed", "enabled_again", "overlapping", "renamed"}
    assert active == {name: name in works for name in names}
    with subtests.test("revoked"):
        assert (shown["revoked"]["status"], shown["revoked"]["revoked_reason"]) == ("revoked", "leaked")
    with subtests.test("narrowed"):
        assert {name: shown["narrowed"][name] for name in narrower if name != "expires_at"} == {
            name: value for name, value in narrower.items() if name != "expires_at"
        }
        assert datetime.fromisoformat(shown["narrowed"]["expires_at"]) == tomorrow
    with subtests.test("disabled"):
        assert (shown["disabled"]["status"], shown["disabled"]["disabled_reason"]) == ("disabled", "on leave")
    with subtests.test("report"):
        ids = {name: token["id"] for name, token in tokens.items()}
        assert report.reapplied.applied["tokens revoked"] == [ids["revoked"]]
        assert report.reapplied.applied["tokens narrowed"] == [ids["narrowed"]]
        assert report.reapplied.applied["tokens disabled"] == [ids["disabled"]]
        assert report.reapplied.counts["secrets ended"] == 3
        assert report.reapplied.lost == [f"token:{later['id']}"]
        assert {*report.reapplied.lost_secrets} == {f"token:{ids[each]}" for each in ("rotated", "overlapping", "used")}
        assert report.reapplied.not_applied == {"token.change": [f"token:{ids['renamed']}"]}


async def test_admin_keys_and_services_that_ended_or_narrowed_do_so_again(drill: Drill) -> None:
    async with drill.run(drill.database) as authority:
        keys = {
            name: await change(authority, "POST", "/v1/admin-keys", {"name": name, "role": "admin"})
            for name in ("revoked", "narrowed", "rotated")
        }
        key = ClientKey()
        for client_id in ("disabled", "narrowed", "rotated"):
            await change(authority, "POST", "/v1/services", {"client_id": client_id})
        await change(authority, "POST", "/v1/services", {"client_id": "signing", "public_key": key.public_pem})
        secrets = {
            client_id: (await change(authority, "POST", f"/v1/services/{client_id}/rotate", {}))["secret"]
            for client_id in ("disabled", "narrowed", "rotated")
        }
        site = (await authority.manage("GET", "/v1/sites")).json["items"][0]["id"]
        dump = await drill.back_up()
        await change(authority, "DELETE", f"/v1/admin-keys/{keys['revoked']['id']}")
        await change(authority, "PATCH", f"/v1/admin-keys/{keys['narrowed']['id']}", {"role": "auditor"})
        await change(authority, "POST", f"/v1/admin-keys/{keys['rotated']['id']}/rotate", {"overlap_s": 0})
        await change(authority, "POST", "/v1/services/disabled/disable")
        await change(authority, "PATCH", "/v1/services/narrowed", {"sites": [site]})
        await change(authority, "POST", "/v1/services/rotated/rotate", {"overlap_s": 0})
        await change(authority, "PATCH", "/v1/services/signing", {"public_key": ClientKey().public_pem})

    async with drill.restore(dump) as restored:
        report = await drill.finish(restored)
        async with drill.run(restored) as authority:
            listed = (await authority.manage("GET", "/v1/services")).json["items"]
            statuses = {
                name: (
                    await authority("GET", "/v1/admin-keys/own", headers={"Authorization": f"Bearer {each['key']}"})
                ).json.get("role", "none")
                for name, each in keys.items()
            }
            accepted = {
                client_id: (await authority.introspect("x", client_id, secret)).status
                for client_id, secret in secrets.items()
            }
    services = {service["client_id"]: service for service in listed}
    assert statuses == {"revoked": "none", "narrowed": "auditor", "rotated": "none"}
    assert accepted == {"disabled": 401, "narrowed": 200, "rotated": 401}
    assert services["narrowed"]["sites"] == [site]
    assert services["signing"]["public_key"] is None
    assert report.reapplied.applied["public keys removed"] == ["signing"]
    assert {*report.reapplied.lost_secrets} == {f"admin_key:{keys['rotated']['id']}", "service:rotated"}


async def test_service_that_its_setting_creates_again_is_disabled_again(drill: Drill) -> None:
    secret = mint(CLIENT_SECRET)
    with_service = {"service_credentials": f"added:{secret}"}
    async with drill.run(drill.database) as authority:
        dump = await drill.back_up()
    async with drill.run(drill.database, **with_service) as authority:
        await change(authority, "POST", "/v1/services/added/disable")

    async with drill.restore(dump) as restored:
        async with drill.run(restored, **with_service):
            report = await drill.finish(restored)
        async with drill.run(restored, **with_service) as authority:
            answer = await authority.introspect("x", "added", secret)

    assert report.reapplied.applied["services disabled"] == ["added"]
    assert report.reapplied.lost == []
    assert answer.status == 401


async def test_last_admin_key_that_was_rotated_is_replaced_by_one_in_a_new_file(drill: Drill, tmp_path: Path) -> None:
    async with drill.run(drill.database) as authority:
        (own,) = (await authority.manage("GET", "/v1/admin-keys")).json["items"]
        dump = await drill.back_up()
        await change(authority, "POST", f"/v1/admin-keys/{own['id']}/rotate", {"overlap_s": 0})
    file = tmp_path / "new" / "admin.key"

    async with drill.restore(dump) as restored:
        report = await drill.finish(restored)
        key_id = await create_admin_key(file, "a test")
        again = await create_admin_key(tmp_path / "new" / "another.key", "a test")
        async with drill.run(restored) as authority:
            with_old = (await authority.manage("GET", "/v1/admin-keys/own")).status
            authority.admin_key = file.read_text().strip()
            with_new = (await authority.manage("GET", "/v1/admin-keys/own")).json

    assert not report.has_admin_key
    assert with_old == 401
    assert with_new["id"] == key_id
    assert again is None
    assert file.stat().st_mode & 0o777 == 0o600


async def test_journal_goes_on_after_a_restoration_and_serves_the_next_one(drill: Drill) -> None:
    async with drill.run(drill.database) as authority:
        first, second = await authority.issue(), await authority.issue()
        dump = await drill.back_up()
        await authority.revoke(first["id"])

    async with drill.restore(dump) as restored:
        await drill.finish(restored)
        async with drill.run(restored) as authority:
            await authority.revoke(second["id"])
            status = await show_status([])
        actions = [record.action for record in read_journals([drill.journal]).records]
    async with drill.restore(dump) as again:
        await drill.finish(again)
        async with drill.run(again) as authority:
            shown = [(await show(authority, token))["status"] for token in (first, second)]

    assert not status.is_open
    assert status.journal.lacking == 0
    assert actions[-1] == "token.revoke"
    assert "restore.finish" in actions
    assert shown == ["revoked", "revoked"]


async def test_audit_export_is_re_applied_like_a_journal(drill: Drill, tmp_path: Path) -> None:
    export = tmp_path / "export.jsonl"
    async with drill.run(drill.database) as authority:
        token = await authority.issue()
        dump = await drill.back_up()
        await authority.revoke(token["id"])
        export.write_bytes((await authority("GET", "/v1/audit/export", headers=authority.admin)).body)

    async with drill.restore(dump) as restored:
        report = await drill.finish(restored, BY_JOURNAL, export, own_journal=False)
        async with drill.run(restored) as authority:
            shown = await show(authority, token)

    assert report.reapplied.applied == {"tokens revoked": [token["id"]]}
    assert shown["status"] == "revoked"


async def test_journal_with_a_gap_requires_a_choice(drill: Drill) -> None:
    async with drill.run(drill.database) as authority:
        token = await authority.issue()
        dump = await drill.back_up()
        await authority.issue()
        await authority.revoke(token["id"])
    lines = drill.journal.read_bytes().splitlines(keepends=True)
    drill.journal.write_bytes(b"".join([*lines[:-2], lines[-1]]))

    async with drill.restore(dump) as restored:
        with pytest.raises(ChoiceRequired, match="the audit records before record"):
            await drill.finish(restored)
        report = await drill.finish(restored, Decision("revoke-working-tokens", OPERATOR, "revoked"))

    assert report.reapplied.applied == {"tokens revoked": [token["id"]]}


async def test_journal_that_began_after_the_restore_requires_a_choice(drill: Drill) -> None:
    async with drill.run(drill.database) as authority:
        token = await authority.issue()
        dump = await drill.back_up()
        await authority.revoke(token["id"])
    drill.journal.unlink()

    async with drill.restore(dump) as restored:
        async with drill.run(restored) as authority:
            await authority.issue()
        drill.use_settings(restored)
        await begin("restored on another server", "a test")
        with pytest.raises(ChoiceRequired, match="the journals have no audit record that the database lacks"):
            await drill.finish(restored)


async def test_changes_that_were_made_after_the_restore_explain_none_from_before(drill: Drill) -> None:
    async with drill.run(drill.database) as authority:
        lost, other = await authority.issue(), await authority.issue()
        dump = await drill.back_up()
        await authority.revoke(lost["id"])
        guard = FakeGuard(authority)
        await guard.follow()
    drill.journal.unlink()

    async with drill.restore(dump) as restored:
        async with drill.run(restored) as authority:
            await authority.revoke(other["id"])
            late = FakeGuard(authority)
            late.applied, late.last = guard.applied, guard.last
            assert (await late.sync()).status == 503
            assert (await late.report(late.last)).status == 204
        with pytest.raises(ChoiceRequired, match="there were changes up to number 1"):
            await drill.finish(restored)
        report = await drill.finish(restored, Decision("accept-risk", OPERATOR, "as a test does"))

    assert list(report.ended_secrets) == [lost["id"]]


async def test_journal_of_another_database_requires_a_choice(drill: Drill, tmp_path: Path) -> None:
    async with drill.run(drill.database) as authority:
        token = await authority.issue()
        dump = await drill.back_up()
        await authority.revoke(token["id"])
    another = tmp_path / "another.jsonl"
    entries = [AuditEntry(OPERATOR, "token.revoke", f"token:tok_{number}") for number in range(3)]
    made = [journal_record(each) for each in records(entries, EMPTY, datetime.now(UTC))]
    another.write_bytes(b"".join(map(write_line, made)))

    async with drill.restore(dump) as restored:
        drill.use_settings(restored, own_journal=False)
        await begin("restored", "a test")
        with pytest.raises(ChoiceRequired, match="of another database"):
            await drill.finish(restored, BY_JOURNAL, another, own_journal=False)


async def test_journal_whose_end_cannot_be_read_requires_a_choice(drill: Drill) -> None:
    async with drill.run(drill.database) as authority:
        tokens = [await authority.issue() for _ in range(2)]
        dump = await drill.back_up()
        for token in tokens:
            await authority.revoke(token["id"])
    lines = drill.journal.read_bytes().splitlines(keepends=True)
    drill.journal.write_bytes(b"".join([*lines[:-1], b"\0" * 100 + b"\n"]))

    async with drill.restore(dump) as restored:
        with pytest.raises(ChoiceRequired, match="the end of a journal cannot be read"):
            await drill.finish(restored)


async def test_line_that_a_crash_has_cut_off_requires_no_choice(drill: Drill) -> None:
    async with drill.run(drill.database) as authority:
        token = await authority.issue()
        dump = await drill.back_up()
        await authority.revoke(token["id"])
    with drill.journal.open("ab") as file:
        file.write(b'{"seq":')

    async with drill.restore(dump) as restored:
        report = await drill.finish(restored)

    assert report.reapplied.applied == {"tokens revoked": [token["id"]]}
    assert report.reapplied.unreadable_lines == 1


async def test_forged_journal_widens_nothing(drill: Drill) -> None:
    async with drill.run(drill.database) as authority:
        token = await authority.issue("polls:read:PLAT", allow_query=False, rate_limit=5, allowed_ips=["10.0.0.0/8"])
        revoked, disabled = await authority.issue(), await authority.issue()
        await authority.revoke(revoked["id"])
        await change(authority, "POST", f"/v1/tokens/{disabled['id']}/disable", {})
        auditor = await change(authority, "POST", "/v1/admin-keys", {"name": "a", "role": "auditor"})
        await change(authority, "POST", "/v1/services", {"client_id": "s", "sites": None})
        await change(authority, "POST", "/v1/services/s/disable")
        dump = await drill.back_up()
        before = [await show(authority, each) for each in (token, revoked, disabled)]
    last = read_journals([drill.journal]).records[-1]
    subject = f"token:{token['id']}"
    wider = {
        "scopes": ["polls:*:*"],
        "expires_at": None,
        "allow_query": True,
        "allowed_ips": [],
        "rate_limit": 10**6,
        "self_rotation": True,
        "site_id": "another",
        "revoked_at": None,
    }
    entries = [
        AuditEntry(OPERATOR, "token.change", subject, after=wider),
        AuditEntry(OPERATOR, "token.change", subject, after={"scopes": 7, "rate_limit": "x", "allowed_ips": [None]}),
        AuditEntry(OPERATOR, "token.enable", f"token:{disabled['id']}"),
        AuditEntry(OPERATOR, "token.enable", f"token:{revoked['id']}"),
        AuditEntry(OPERATOR, "token.issue", "token:tok_forged", after=wider),
        AuditEntry(OPERATOR, "admin_key.change", f"admin_key:{auditor['id']}", after={"role": "admin", "sites": None}),
        AuditEntry(OPERATOR, "admin_key.make", "admin_key:adm_forged", after={"role": "admin"}),
        AuditEntry(OPERATOR, "service.enable", "service:s"),
        AuditEntry(OPERATOR, "service.change", "service:s", after={"public_key": ClientKey().public_pem}),
        AuditEntry(OPERATOR, "token.rotate", "token:tok_unknown", after={"overlap_s": "long", "secret": 3}),
        AuditEntry(OPERATOR, "token.end_old_secret", subject, after={"ended": ["sec_of_another", 1, None]}),
    ]
    forged = [journal_record(each) for each in records(entries, last.head, datetime.now(UTC))]
    with drill.journal.open("ab") as file:
        file.writelines(map(write_line, forged))

    async with drill.restore(dump) as restored:
        await drill.finish(restored)
        async with drill.run(restored) as authority:
            after = [await show(authority, each) for each in (token, revoked, disabled)]
            keys = {each["id"]: each for each in (await authority.manage("GET", "/v1/admin-keys")).json["items"]}
            (service,) = [
                each
                for each in (await authority.manage("GET", "/v1/services")).json["items"]
                if each["client_id"] == "s"
            ]

    assert after == before
    assert keys[auditor["id"]]["role"] == "auditor"
    assert "adm_forged" not in keys
    assert (service["public_key"], service["disabled_at"] is not None) == (None, True)


async def test_sessions_and_signing_keys_of_the_backup_do_not_return(drill: Drill) -> None:
    async with drill.run(drill.database) as authority:
        dump = await drill.back_up()
        await change(authority, "POST", "/v1/keys/rotate")
        old = [each["kid"] for each in (await authority.manage("GET", "/v1/keys")).json["items"]]

    async with drill.restore(dump) as restored:
        report = await drill.finish(restored)
        async with drill.run(restored) as authority:
            new = [each["kid"] for each in (await authority.manage("GET", "/v1/keys")).json["items"]]

    assert len(report.reapplied.applied["signing keys removed"]) == 1
    assert not {*new} & {*old}
