"""Each metric and label that the alerts and the dashboard read is shown by a running service."""

import asyncio
from typing import Final

from tests.support.monitoring import alerts, dashboard_expressions, selectors_of
from tests.support.scrape import scrape
from tests.support.stack import Authority, Polls

OF_PROMETHEUS: Final = {"job", "instance", "alertname", "alertstate"}
"""The labels that Prometheus adds."""


async def test_metrics_and_labels_of_alerts_and_dashboard_exist(polls: Polls, authority: Authority) -> None:
    assert (await polls.v1("GET", "/polls")).status == 200
    await authority.revoke((await authority.issue())["id"])
    wrong = {"Authorization": f"Bearer pga_{'0' * 38}"}
    assert (await authority("GET", "/v1/tokens", headers=wrong)).status == 401
    async with asyncio.timeout(20):
        while "pollgate_tokens_expiring" not in (await scrape(authority)).labels_by_name:
            await asyncio.sleep(0.1)
    shown: dict[str, set[str]] = {}
    for service in (polls, authority):
        for name, labels in (await scrape(service)).labels_by_name.items():
            shown.setdefault(name, set()).update(labels)

    expressions = [alert["expr"] for alert in alerts()] + list(dashboard_expressions())
    read = [selector for expression in expressions for selector in selectors_of(expression)]

    assert len(read) > 60
    own = [selector for selector in read if selector.name not in ("up", "ALERTS")]
    assert {selector.name for selector in own} - shown.keys() == set()
    unknown = {(s.name, label) for s in own for label in s.labels - shown[s.name] - OF_PROMETHEUS}
    assert unknown == set()
