"""Write the bill of materials of the image, as CycloneDX 1.6 in JSON. What is installed has to be what is locked.

`python tools/sbom.py requirements/services.lock sbom.cdx.json`. A package that is missing, or has another version than
in the lock, ends it with status 1, and nothing is written. With `--image`, so does a package that is not in the lock,
and the packages of Debian are listed too.
"""

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DEBIAN_STATUS: Final = Path("/var/lib/dpkg/status")
LOCKED: Final = re.compile(r"^([A-Za-z0-9][^\\\n]*?) *\\?\n((?: +--hash=sha256:[0-9a-f]{64}.*\n)+)", re.MULTILINE)
HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")

Component = dict[str, Any]


class WrongInstallation(Exception):
    """What is installed is not what is locked. The message lists the differences."""


def read_lock(text: str) -> dict[str, tuple[str, list[str]]]:
    """Return the version and the SHA-256 of every archive of each package that this Python and platform need."""
    locked = {}
    for line, hashes in LOCKED.findall(text):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            (specifier,) = requirement.specifier
            locked[str(canonicalize_name(requirement.name))] = specifier.version, HASH.findall(hashes)
    return locked


def find_differences(locked: Mapping[str, str], installed: Mapping[str, str], *, is_image: bool) -> Iterator[str]:
    """Yield what is missing, has another version, or, in an image, is not in the lock."""
    for name, version in locked.items():
        if name not in installed:
            yield f"{name} {version} is locked, and not installed"
        elif installed[name] != version:
            yield f"{name} {version} is locked, and {installed[name]} installed"
    if is_image:
        yield from (f"{name} is installed, and not locked" for name in sorted(installed.keys() - locked.keys()))


def make_sbom(lock: str, version: str, *, is_image: bool) -> dict[str, Any]:
    """Return the document for what the lock names and this interpreter finds. Raise `WrongInstallation`."""
    locked = read_lock(lock)
    found = {str(canonicalize_name(each.metadata["Name"])): each for each in metadata.distributions()}
    versions = {name: version for name, (version, _) in locked.items()}
    installed = {name: each.version for name, each in found.items()}
    differences = list(find_differences(versions, installed, is_image=is_image))
    if differences:
        raise WrongInstallation("; ".join(differences))
    components = [_python_component(found[name], name, hashes) for name, (_, hashes) in sorted(locked.items())]
    if is_image:
        components += list(debian_components(DEBIAN_STATUS.read_text(encoding="utf-8")))
    reference = f"pkg:pypi/pollgate@{version}"
    root = {
        "type": "application",
        "bom-ref": reference,
        "name": "pollgate",
        "version": version,
        "purl": reference,
        "licenses": [{"expression": "Apache-2.0"}],
    }
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": list(_dependencies(reference, found, components)),
    }


def _python_component(distribution: metadata.Distribution, name: str, hashes: list[str]) -> Component:
    purl = f"pkg:pypi/{name}@{distribution.version}"
    # One of these archives was installed; pip has checked that, and does not say which.
    archives = [{"alg": "SHA-256", "content": content} for content in hashes]
    reference = {"type": "distribution", "url": f"https://pypi.org/project/{name}/{distribution.version}/"}
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": distribution.version,
        "purl": purl,
        **_licenses(distribution),
        "externalReferences": [{**reference, "hashes": archives}],
    }


def _licenses(distribution: metadata.Distribution) -> Component:
    """Return the license as the package states it: an expression (PEP 639), or else a short text or classifiers."""
    fields = distribution.metadata
    if "License-Expression" in fields:
        return {"licenses": [{"expression": fields["License-Expression"]}]}
    classifiers = [each for each in fields.get_all("Classifier") or [] if each.startswith("License ::")]
    texts = [each for each in fields.get_all("License") or [] if each and "\n" not in each]
    names = [each.rpartition(" :: ")[2] for each in classifiers or texts]
    return {"licenses": [{"license": {"name": name}} for name in names]} if names else {}


def debian_components(status: str) -> Iterator[Component]:
    """Yield the installed packages of Debian, from the text of its `status` file."""
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status") == "install ok installed":
            version, architecture = fields["Version"], fields["Architecture"]
            purl = f"pkg:deb/debian/{fields['Package']}@{quote(version, safe='')}?arch={architecture}"
            yield {"type": "library", "bom-ref": purl, "name": fields["Package"], "version": version, "purl": purl}


def _dependencies(
    root: str, found: Mapping[str, metadata.Distribution], components: list[Component]
) -> Iterator[dict[str, Any]]:
    """Yield what each package of Python requires, of those that are listed; the application requires all of them."""
    references = {each["name"]: each["bom-ref"] for each in components if each["purl"].startswith("pkg:pypi/")}
    yield {"ref": root, "dependsOn": sorted(references.values())}
    for name, reference in references.items():
        required = {str(canonicalize_name(Requirement(line).name)) for line in found[name].requires or []}
        yield {"ref": reference, "dependsOn": sorted(references[other] for other in required & references.keys())}


def main() -> int:
    """Write the document. Return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--version", default="")
    parser.add_argument(
        "--image", action="store_true", help="nothing else may be installed; list Debian's packages too"
    )
    options = parser.parse_args()
    version = options.version or str(tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"])
    try:
        sbom = make_sbom(options.lock.read_text(encoding="utf-8"), version, is_image=options.image)
    except WrongInstallation as error:
        print(f"no bill of materials: {error}", file=sys.stderr)
        return 1
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(sbom, indent=1) + "\n", encoding="utf-8")
    print(f"{options.output}: {len(sbom['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
