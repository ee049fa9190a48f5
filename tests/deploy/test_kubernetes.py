"""The Kubernetes manifests, rendered by kubectl and read as someone reads who has to approve them."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import kubernetes_validate
import msgspec
import pytest
import yaml
from kubernetes_validate.utils import all_versions

from pollgate.stack.migrate import MigrateSettings, PollsDatabase, TokenAuthorityDatabase
from services.polls.settings import PollsSettings
from services.token_authority.settings import TokenAuthoritySettings
from shared.contract.token import SECRET_PATTERN
from shared.runtime.process.connections import DRAIN_LIMIT_S
from shared.runtime.process.environment import read_settings
from shared.runtime.process.stop import SHUTDOWN_GRACE_S
from tests.support.kubernetes import MANIFESTS, Container, Document, Rendered, labels_of, name_of, render, selects

pytestmark = pytest.mark.skipif(
    shutil.which("kubectl") is None,
    reason="kubectl is not found; install it, such as by `apt install kubernetes-client`",
)

ROOT: Final = MANIFESTS.parents[1]
OLDEST: Final = "1.30"
"""The oldest release with `preStop.sleep`, and in docs/kubernetes.md."""
RELEASES: Final = [f"{OLDEST}.0", *list(dict.fromkeys(all_versions()))[-3:]]
COMPONENTS: Final = ("gateway", "service-monitor", "identity-provider")
SETTINGS: Final[dict[tuple[str, str], type[msgspec.Struct]]] = {
    ("migrate", "migrate"): MigrateSettings,
    ("token-authority", "wait-for-schema"): TokenAuthorityDatabase,
    ("token-authority", "token-authority"): TokenAuthoritySettings,
    ("polls", "wait-for-schema"): PollsDatabase,
    ("polls", "polls"): PollsSettings,
}
FILES: Final = {"ADMIN_KEY_FILE", "JOURNAL_FILE"}
"""Settings that are names of files, not files with settings."""
COMMAND_LINE: Final = {"POLLGATE_ADMIN_KEY_FILE", "POLLS_API_URL"}
"""Variables of the command line, for `kubectl exec`."""


@pytest.fixture(scope="module")
def overlays(tmp_path_factory: pytest.TempPathFactory) -> list[Rendered]:
    """Return both overlays, and production with the other components."""
    folder = tmp_path_factory.mktemp("kubernetes")
    return [
        render(folder, "small"),
        render(folder, "production"),
        render(folder, "production", COMPONENTS, name="production with other components"),
    ]


@pytest.fixture(scope="module")
def small(overlays: list[Rendered]) -> Rendered:
    return overlays[0]


@pytest.fixture(scope="module")
def production(overlays: list[Rendered]) -> Rendered:
    return overlays[1]


def all_containers(overlays: list[Rendered]) -> Iterator[tuple[Rendered, Container]]:
    for rendered in overlays:
        for container in rendered.containers():
            yield rendered, container


def is_ours(container: Container) -> bool:
    return str(container.container["image"]).startswith("registry.example.com/pollgate")


@pytest.mark.parametrize("release", RELEASES)
def test_documents_match_the_schema_of_each_release(
    overlays: list[Rendered], release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It reads all definitions again for each document.
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
    ours = {"ServiceMonitor", "HTTPRoute"}
    documents = {yaml.safe_dump(each): each for rendered in overlays for each in rendered.documents}
    checked = 0
    for document in documents.values():
        if document["kind"] not in ours:
            kubernetes_validate.validate(document, release, strict=True)
            checked += 1
    assert checked > 30


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    namespace: Literal["pollgate"]
    labels: dict[str, str] = {}


class Expression(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    operator: Literal["In"]
    values: list[str]


class Selector(msgspec.Struct, forbid_unknown_fields=True):
    matchExpressions: list[Expression]  # noqa: N815


class Endpoint(msgspec.Struct, forbid_unknown_fields=True):
    port: str
    path: str
    interval: str
    scrapeTimeout: str  # noqa: N815


class ServiceMonitorSpec(msgspec.Struct, forbid_unknown_fields=True):
    selector: Selector
    jobLabel: str  # noqa: N815
    endpoints: list[Endpoint]


class ServiceMonitor(msgspec.Struct, forbid_unknown_fields=True):
    """The part of monitoring.coreos.com/v1 that the manifests use."""

    apiVersion: Literal["monitoring.coreos.com/v1"]  # noqa: N815
    kind: Literal["ServiceMonitor"]
    metadata: Metadata
    spec: ServiceMonitorSpec


class ParentRef(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    namespace: str
    sectionName: str  # noqa: N815


class PathValue(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["PathPrefix"]
    value: str


class Match(msgspec.Struct, forbid_unknown_fields=True):
    path: PathValue


class Timeouts(msgspec.Struct, forbid_unknown_fields=True):
    request: str


class BackendRef(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    port: int


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    matches: list[Match]
    backendRefs: list[BackendRef]  # noqa: N815
    timeouts: Timeouts | None = None


class RouteSpec(msgspec.Struct, forbid_unknown_fields=True):
    parentRefs: list[ParentRef]  # noqa: N815
    hostnames: list[str]
    rules: list[Rule]


class HTTPRoute(msgspec.Struct, forbid_unknown_fields=True):
    """The part of gateway.networking.k8s.io/v1 that the manifests use."""

    apiVersion: Literal["gateway.networking.k8s.io/v1"]  # noqa: N815
    kind: Literal["HTTPRoute"]
    metadata: Metadata
    spec: RouteSpec


def test_routes_and_monitors_have_known_fields_and_reach_services(overlays: list[Rendered]) -> None:
    rendered = overlays[2]
    (monitor,) = [msgspec.convert(each, ServiceMonitor) for each in rendered.find("ServiceMonitor")]
    routes = [msgspec.convert(each, HTTPRoute) for each in rendered.find("HTTPRoute")]
    services = {name_of(service): service for service in rendered.find("Service")}
    assert {(ref.name, ref.port) for route in routes for rule in route.spec.rules for ref in rule.backendRefs} == {
        (name, service["spec"]["ports"][0]["port"]) for name, service in services.items()
    }
    selected = {
        name
        for name, service in services.items()
        if selects(msgspec.to_builtins(monitor.spec.selector), service["metadata"]["labels"])
    }
    assert selected == {"token-authority", "polls"}
    assert {endpoint.port for endpoint in monitor.spec.endpoints} == {"http"}
    stream_limits = [
        rule.timeouts for route in routes for rule in route.spec.rules if rule.backendRefs[0].name == "polls"
    ]
    assert stream_limits == [Timeouts("0s")]


def test_pods_meet_the_restricted_profile_and_know_no_api_server(overlays: list[Rendered]) -> None:
    for rendered, each in all_containers(overlays):
        pod, container = each.pod, each.container
        assert pod["automountServiceAccountToken"] is False, each.name
        assert pod["enableServiceLinks"] is False, each.name
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys(), each.name
        assert pod["securityContext"]["runAsNonRoot"] is True, each.name
        assert pod["securityContext"]["runAsUser"] > 0, each.name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, each.name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, each.name
        assert not any("hostPort" in port for port in container.get("ports", [])), each.name
        kinds = {kind for volume in pod["volumes"] for kind in volume.keys() - {"name"}}
        assert kinds <= {"secret", "emptyDir"}, each.name
        assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume), each.name
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}, each.name  # noqa: S108
        (namespace,) = rendered.find("Namespace")
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_containers_have_requests_limits_and_a_fixed_image(overlays: list[Rendered]) -> None:
    for _, each in all_containers(overlays):
        resources = each.container["resources"]
        for field in ("requests", "limits"):
            assert resources[field].keys() == {"cpu", "memory", "ephemeral-storage"}, each.name
        _, _, tag = each.container["image"].rpartition(":")
        assert "/" not in tag, each.name
        assert tag[0].isdigit(), each.name


def test_memory_limits_are_those_of_compose(small: Rendered) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    spelled = {"256m": "256Mi", "512m": "512Mi", "1g": "1Gi", "1536m": "1536Mi"}
    limits = {
        each.container["name"]: each.container["resources"]["limits"]["memory"]
        for each in small.containers()
        if not each.starts_first
    }
    assert limits == {name: spelled[compose[name]["mem_limit"]] for name in limits}
    assert limits.keys() == {"migrate", "postgres", "redis", "token-authority", "polls"}


def test_servers_have_three_probes_of_which_liveness_asks_no_dependency(overlays: list[Rendered]) -> None:
    for _, each in all_containers(overlays):
        probes = {name for name in each.container if name.endswith("Probe")}
        if each.starts_first or each.workload["kind"] == "Job":
            assert probes == set(), each.name
            continue
        assert probes == {"startupProbe", "readinessProbe", "livenessProbe"}, each.name
        if is_ours(each):
            assert each.container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}, each.name
        else:
            assert "tcpSocket" in each.container["livenessProbe"], each.name


def test_services_drain_within_the_grace_period(overlays: list[Rendered]) -> None:
    for _, each in all_containers(overlays):
        if is_ours(each) and "ports" in each.container:
            assert "lifecycle" not in each.container, each.name
            assert each.pod["terminationGracePeriodSeconds"] >= SHUTDOWN_GRACE_S + DRAIN_LIMIT_S + 5, each.name


def test_services_select_pods_and_ports_that_exist(overlays: list[Rendered]) -> None:
    for rendered in overlays:
        for service in rendered.find("Service"):
            (workload,) = [
                each
                for each in rendered.workloads()
                if selects({"matchLabels": service["spec"]["selector"]}, labels_of(each))
            ]
            (container,) = workload["spec"]["template"]["spec"]["containers"]
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            assert [ports[port["targetPort"]] for port in service["spec"]["ports"]] == [
                port["port"] for port in service["spec"]["ports"]
            ]
        for workload in rendered.find("Deployment", "StatefulSet"):
            assert selects(workload["spec"]["selector"], labels_of(workload))
            assert rendered.get("Service", workload["spec"].get("serviceName", name_of(workload)))


def test_ingress_reaches_services_and_logs_no_request(production: Rendered) -> None:
    ingresses = production.find("Ingress")
    assert {name_of(each) for each in ingresses} == {"polls", "token-authority"}
    for ingress in ingresses:
        (rule,) = ingress["spec"]["rules"]
        backend = rule["http"]["paths"][0]["backend"]["service"]
        service = production.get("Service", backend["name"])
        assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
        assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
        annotations = ingress["metadata"]["annotations"]
        assert annotations["nginx.ingress.kubernetes.io/enable-access-log"] == "false"
        assert annotations["nginx.ingress.kubernetes.io/enable-opentelemetry"] == "false"
        urls = production.environment_of(
            production.get("StatefulSet", "token-authority")["spec"]["template"]["spec"]["containers"][0]
        )
        expected = urls["POLLS_URL" if name_of(ingress) == "polls" else "TOKEN_AUTHORITY_ISSUER"]
        assert expected == f"https://{rule['host']}"


def connections(rendered: Rendered) -> set[tuple[str, str]]:
    """Return which pods may connect to which others, or to a namespace or addresses outside.

    A connection between pods has to be allowed at both ends.
    """
    workloads = {name_of(each): labels_of(each) for each in rendered.workloads()}
    policies = [policy["spec"] for policy in rendered.find("NetworkPolicy")]
    assert any(spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} for spec in policies)
    allowed = set()
    for source, labels in workloads.items():
        for spec in policies:
            if not selects(spec["podSelector"], labels):
                continue
            for rule in spec.get("egress", []):
                allowed |= {("egress", source, peer) for peer in peers(rule["to"], workloads)}
            for rule in spec.get("ingress", []):
                allowed |= {("ingress", peer, source) for peer in peers(rule["from"], workloads)}
    ends = [allowed_end[1:] for allowed_end in allowed]
    inside = {pair for pair in ends if {*pair} <= workloads.keys() and ends.count(pair) == 2}
    half = {pair for pair in ends if {*pair} <= workloads.keys() and ends.count(pair) == 1}
    assert half == set(), "allowed at one end only"
    return inside | {pair for pair in ends if not {*pair} <= workloads.keys()}


def peers(entries: list[Document], workloads: dict[str, dict[str, str]]) -> Iterator[str]:
    for entry in entries:
        if "ipBlock" in entry:
            yield str(entry["ipBlock"]["cidr"])
        elif "namespaceSelector" in entry:
            yield str(entry["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"])
        else:
            found = [name for name, labels in workloads.items() if selects(entry["podSelector"], labels)]
            assert found, entry
            yield from found


DNS: Final = {
    (part, to) for part in ("migrate", "token-authority", "polls") for to in ("kube-system", "169.254.20.10/32")
}
BETWEEN_SERVICES: Final = {("polls", "token-authority"), ("token-authority", "polls")}


def test_pods_reach_only_what_they_need_and_what_compose_allows(small: Rendered) -> None:
    found = connections(small)
    assert found >= DNS
    assert found - DNS == {
        *BETWEEN_SERVICES,
        *((part, "postgres") for part in ("migrate", "token-authority", "polls")),
        *((part, "redis") for part in ("token-authority", "polls")),
    }
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for source, target in found - DNS:
        assert {*compose[source]["networks"]} & {*compose[target]["networks"]}, (source, target)


def test_production_is_reached_from_ingress_and_reaches_its_servers(production: Rendered) -> None:
    assert connections(production) == {
        *DNS,
        *BETWEEN_SERVICES,
        *((part, "192.0.2.10/32") for part in ("migrate", "token-authority", "polls")),
        *((part, "192.0.2.20/32") for part in ("token-authority", "polls")),
        *(("ingress-nginx", part) for part in ("token-authority", "polls")),
    }


def test_components_allow_gateway_prometheus_and_identity_provider(
    overlays: list[Rendered], production: Rendered
) -> None:
    assert connections(overlays[2]) - connections(production) == {
        *(("gateway-system", part) for part in ("token-authority", "polls")),
        *(("monitoring", part) for part in ("token-authority", "polls")),
        ("token-authority", "192.0.2.30/32"),
    }


def test_rules_of_the_network_name_ports_that_the_pods_have(overlays: list[Rendered]) -> None:
    for rendered in overlays:
        for policy in rendered.find("NetworkPolicy"):
            spec = policy["spec"]
            for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
                assert rule["ports"], name_of(policy)
                named = {port["port"] for port in rule["ports"] if isinstance(port["port"], str)}
                assert named <= {"http", "postgres", "redis"}, name_of(policy)


def test_settings_exist_and_are_complete_and_valid(overlays: list[Rendered]) -> None:
    for rendered, each in all_containers(overlays):
        if not is_ours(each):
            continue
        kind = SETTINGS[name_of(each.workload), each.container["name"]]
        environment = rendered.environment_of(each.container)
        fields = {field.name.upper() for field in msgspec.structs.fields(kind)}
        known = fields | {f"{field}_FILE" for field in fields}
        own = environment.keys() - COMMAND_LINE if each.container["name"] == "token-authority" else environment.keys()
        assert own <= known, each.name
        on_this_machine = {
            name: str(file_of(rendered, each, value)) if name.endswith("_FILE") and name not in FILES else value
            for name, value in environment.items()
        }
        read_settings(kind, on_this_machine)


def file_of(rendered: Rendered, each: Container, path: str) -> Path:
    """Return the file of the test in place of one in a mounted Secret."""
    secret, key = secret_key(each, path)
    file = rendered.secrets / secret / key
    if key == "oidc_client_secret":
        file.write_text("s3cret")
        file.chmod(0o600)
    return file


def secret_key(each: Container, path: str) -> tuple[str, str]:
    """Return the name of the Secret and the key that a container has at a path."""
    folder, _, key = path.rpartition("/")
    (volume,) = [mount["name"] for mount in each.container["volumeMounts"] if mount["mountPath"] == folder]
    (source,) = [entry["secret"] for entry in each.pod["volumes"] if entry["name"] == volume]
    assert source["defaultMode"] == 0o440
    return source["secretName"], key


def referenced_keys(rendered: Rendered) -> dict[str, set[str]]:
    """Return the keys that containers read, by Secret."""
    keys: dict[str, set[str]] = {}
    for each in rendered.containers():
        for name, value in rendered.environment_of(each.container).items():
            if name.endswith("_FILE") and name != "JOURNAL_FILE":
                secret, key = secret_key(each, value)
                keys.setdefault(secret, set()).add(key)
        for argument in each.container.get("args", []):
            if argument.startswith("/run/pollgate/"):
                secret, key = secret_key(each, argument)
                keys.setdefault(secret, set()).add(key)
    return keys


def test_each_part_gets_only_the_secrets_that_it_reads(small: Rendered) -> None:
    assert referenced_keys(small) == {name_of(secret): {*secret["data"]} for secret in small.find("Secret")}
    mounted = {
        (name_of(each.workload), volume["secret"]["secretName"])
        for each in small.containers()
        for volume in each.pod["volumes"]
        if "secret" in volume
    }
    assert mounted == {(name, name) for name in ("postgres", "redis", "migrate", "token-authority", "polls")}


def test_each_replica_of_the_token_authority_has_a_journal_on_a_volume_of_its_own(overlays: list[Rendered]) -> None:
    for rendered in overlays:
        authority = rendered.get("StatefulSet", "token-authority")
        (container,) = authority["spec"]["template"]["spec"]["containers"]
        journal = Path(rendered.environment_of(container)["JOURNAL_FILE"])
        (claim,) = authority["spec"]["volumeClaimTemplates"]
        (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == claim["metadata"]["name"]]
        # A group can write to the root of a volume, so the journal is in a folder that the service creates.
        assert journal.parent.parent == Path(mount["mountPath"])
        assert authority["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Retain"


def test_documented_commands_create_the_secrets_of_production(overlays: list[Rendered]) -> None:
    guide = (ROOT / "docs" / "kubernetes.md").read_text()
    documented: dict[str, set[str]] = {}
    for name, files in re.findall(r"create secret generic (\S+)((?: \\\n +--from-file=\S+)+)", guide):
        documented[name] = set(re.findall(rf"--from-file=secrets/{name}/(\w+)", files))
    assert documented == referenced_keys(overlays[1])
    assert referenced_keys(overlays[2])["token-authority"] - documented["token-authority"] == {"oidc_client_secret"}
    assert "oidc_client_secret" in guide


def test_no_manifest_has_a_secret_and_git_ignores_those_that_are_created(overlays: list[Rendered]) -> None:
    for rendered in overlays[1:]:
        assert rendered.find("Secret") == []
    for file in MANIFESTS.rglob("*"):
        if file.is_file() and "secrets" not in file.parts:
            text = file.read_text()
            assert not SECRET_PATTERN.search(text), file
            assert not re.search(r"\w+://[^/\s:]+:[^/\s@]+@", text), file
    secrets = MANIFESTS / "overlays" / "small" / "secrets"
    ignored = subprocess.run(["git", "check-ignore", "-q", secrets / "polls" / "x"], cwd=ROOT, check=False)  # noqa: S607
    assert ignored.returncode == 0
    tracked = subprocess.run(["git", "ls-files", secrets], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S607
    assert tracked.stdout == ""


def replicas_of(rendered: Rendered, workload: Document) -> int:
    """Return the smallest number of replicas of a workload."""
    scalers = [each["spec"] for each in rendered.find("HorizontalPodAutoscaler")]
    scaled = [spec for spec in scalers if spec["scaleTargetRef"]["name"] == name_of(workload)]
    return int(scaled[0]["minReplicas"] if scaled else workload["spec"].get("replicas", 1))


def test_disruption_budgets_leave_a_replica_and_let_nodes_drain(overlays: list[Rendered]) -> None:
    for rendered in overlays:
        for budget in rendered.find("PodDisruptionBudget"):
            spec = budget["spec"]
            (workload,) = [each for each in rendered.workloads() if selects(spec["selector"], labels_of(each))]
            assert spec["maxUnavailable"] == 1
            if rendered.name != "small":
                assert replicas_of(rendered, workload) > 1
        assert {name_of(each) for each in rendered.find("PodDisruptionBudget")} == {"polls", "token-authority"}


def test_autoscaler_owns_the_replicas_and_fits_the_connections_of_postgres(production: Rendered) -> None:
    (scaler,) = production.find("HorizontalPodAutoscaler")
    target = production.get("Deployment", scaler["spec"]["scaleTargetRef"]["name"])
    assert "replicas" not in target["spec"]
    assert scaler["spec"]["minReplicas"] == 3
    authority = production.get("StatefulSet", "token-authority")
    assert authority["spec"]["replicas"] == 2
    pool = {
        name_of(workload): int(
            production.environment_of(workload["spec"]["template"]["spec"]["containers"][0])["DATABASE_POOL_SIZE"]
        )
        for workload in (target, authority)
    }
    surge = target["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    most = (scaler["spec"]["maxReplicas"] + surge) * pool["polls"] + 2 * pool["token-authority"]
    assert most <= 97, "PostgreSQL has 100 connections by default, 3 of them for superusers"


def test_replicas_are_spread_over_zones_and_nodes(overlays: list[Rendered]) -> None:
    for rendered in overlays:
        for kind, name in (("Deployment", "polls"), ("StatefulSet", "token-authority")):
            pod = rendered.get(kind, name)["spec"]["template"]
            spread = pod["spec"]["topologySpreadConstraints"]
            assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
            assert all(selects(each["labelSelector"], pod["metadata"]["labels"]) for each in spread)


def test_everything_is_in_the_namespace_and_belongs_to_pollgate(overlays: list[Rendered]) -> None:
    for rendered in overlays:
        for document in rendered.documents:
            metadata: dict[str, Any] = document["metadata"]
            if document["kind"] != "Namespace":
                assert metadata["namespace"] == "pollgate", metadata["name"]
            assert metadata["labels"]["app.kubernetes.io/part-of"] == "pollgate", metadata["name"]
