"""Log an outage once when it begins and once when it ends, however many calls fail in between."""

import structlog

_log = structlog.get_logger()


class Unavailable(Exception):
    """Something that this process depends on cannot be used.

    The message is one sentence for the operator, without secrets: which address, what is wrong, and what to do.
    """


class Outage:
    """The state of one thing that this process depends on.

    `lost` is logged at level error when it begins to fail: the consequence, and what to do. `restored` is logged at
    level info when it works again. Both lines have the `address`. `reason` is the latest failure of an ongoing outage.
    """

    def __init__(self, lost: str, restored: str, *, address: str) -> None:
        self._lost = lost
        self._restored = restored
        self._address = address
        self.reason: str | None = None

    @property
    def is_ongoing(self) -> bool:
        """Whether it fails at the moment."""
        return self.reason is not None

    def begin(self, error: Exception) -> None:
        """Record a failure. Log it unless the outage has been logged already."""
        reason = str(error) if isinstance(error, Unavailable) else type(error).__name__
        if not self.is_ongoing:
            _log.error(self._lost, address=self._address, error=reason)
        self.reason = reason

    def end(self) -> None:
        """Record a success. Log it if it ends an outage."""
        if self.is_ongoing:
            self.reason = None
            _log.info(self._restored, address=self._address)
