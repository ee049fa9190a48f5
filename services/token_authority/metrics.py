"""Metrics of revocations, of tokens and of what the database stores."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_WAIT_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class AuthorityMetrics:
    """The metrics of the authority. Create one instance per process, in the registry that `/metrics` shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.revocation_wait_s = Histogram(
            "pollgate_revocation_wait_seconds",
            "Time from the commit of a revocation until it was effective everywhere",
            buckets=_WAIT_S,
            registry=registry,
        )
        self.purged = Counter(
            "pollgate_purged_tokens", "Ended tokens that were removed after their retention", registry=registry
        )
        self.guards = Gauge(
            "pollgate_guards", "Stored leases of guards", registry=registry, multiprocess_mode="mostrecent"
        )
        self.restored = Gauge(
            "pollgate_restored",
            "1 while the database is restored and no token is accepted, else 0",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.journal_failures = Counter(
            "pollgate_journal_failures", "Failed attempts to append to the journal", registry=registry
        )
        self.journal_outage = Gauge(
            "pollgate_journal_outage",
            "1 while the journal cannot be written, else 0",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.tokens_expiring = Gauge(
            "pollgate_tokens_expiring",
            "Active tokens that expire within 7 and within 30 days, the same from every process: take the maximum",
            ["within"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.audit_head = Gauge(
            "pollgate_audit_log_head",
            "Number of the last record of the audit log, the same from every process: take the maximum",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.unpublished = Gauge(
            "pollgate_changes_unpublished",
            "1 while changes wait to be published on Redis, else 0",
            registry=registry,
            multiprocess_mode="livemax",
        )
