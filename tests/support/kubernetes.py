"""Render the manifests in `deploy/kubernetes` by kubectl, with secrets of the test, and find things in them."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from pollgate.stack.secrets import write_secret_files

MANIFESTS: Final = Path(__file__).parents[2] / "deploy" / "kubernetes"

Document = dict[str, Any]


class Container(NamedTuple):
    """A container with the workload and the pod that it belongs to."""

    workload: Document
    pod: Document
    container: Document
    starts_first: bool

    @property
    def name(self) -> str:
        """The name of the workload and of the container."""
        return f"{self.workload['kind']} {name_of(self.workload)}: {self.container['name']}"


class Rendered(NamedTuple):
    """What `kubectl kustomize` has made of one overlay, and the folder of the secrets that it was made with."""

    name: str
    text: str
    documents: list[Document]
    secrets: Path

    def __repr__(self) -> str:
        """Return the name only: a failed test prints its arguments, and these have secrets."""
        return f"Rendered({self.name})"

    def find(self, *kinds: str) -> list[Document]:
        """Return the documents of these kinds."""
        return [document for document in self.documents if document["kind"] in kinds]

    def get(self, kind: str, name: str) -> Document:
        """Return the one document of this kind and name."""
        (found,) = [document for document in self.find(kind) if name_of(document) == name]
        return found

    def workloads(self) -> list[Document]:
        """Return the documents with a template of pods."""
        return self.find("Deployment", "StatefulSet", "Job")

    def containers(self) -> Iterator[Container]:
        """Yield every container, also those that run before the others."""
        for workload in self.workloads():
            pod = workload["spec"]["template"]["spec"]
            for field in ("initContainers", "containers"):
                for container in pod.get(field, []):
                    yield Container(workload, pod, container, starts_first=field == "initContainers")

    def environment_of(self, container: Document) -> dict[str, str]:
        """Return the variables of a container, also those from ConfigMaps."""
        variables: dict[str, str] = {}
        for source in container.get("envFrom", []):
            variables |= self.get("ConfigMap", source["configMapRef"]["name"]).get("data", {})
        return variables | {entry["name"]: entry["value"] for entry in container.get("env", [])}


def name_of(document: Document) -> str:
    return str(document["metadata"]["name"])


def labels_of(workload: Document) -> dict[str, str]:
    """Return the labels of the pods of a workload."""
    return dict(workload["spec"]["template"]["metadata"]["labels"])


def render(folder: Path, overlay: str, components: Sequence[str] = (), *, name: str = "") -> Rendered:
    """Render an overlay in a copy of the manifests in `folder`. Components replace those of the overlay, if given."""
    copy = folder / (name or overlay)
    shutil.copytree(MANIFESTS, copy, ignore=shutil.ignore_patterns("secrets"))
    root = copy / "overlays" / overlay
    write_secret_files(
        root / "secrets", postgres="postgres:5432", redis="redis:6379", database="d", with_admin_key=True
    )
    if components:
        file = root / "kustomization.yaml"
        kustomization = yaml.safe_load(file.read_text())
        kustomization["components"] = [f"../../components/{component}" for component in components]
        file.write_text(yaml.safe_dump(kustomization))
    made = subprocess.run(["kubectl", "kustomize", root], capture_output=True, text=True, check=False, timeout=60)  # noqa: S607
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    return Rendered(name or overlay, made.stdout, list(yaml.safe_load_all(made.stdout)), root / "secrets")


def selects(selector: Document, labels: dict[str, str]) -> bool:
    """Return whether a selector matches labels; an empty one matches all."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True
