"""The bill of materials of a release in CycloneDX: model, images, their bases and packages."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from ci.config import TASK
from ci.locks.vendoring import pins

if TYPE_CHECKING:
    from ci.releasing.packing import Packed

# Which image holds the packages of a lock.
IMAGE_OF = {"gateway": "gateway", "server": "model"}


def bill_of_materials(shop: str, release: Mapping[str, Any], packed: "Packed", now: float) -> str:
    """The bill as JSON; equal releases have equal bills but for the time.

    Args:
        shop: Whose release it is.
        release: `release.json` as far as it is known.
        packed: What the images hold.
        now: Seconds since 1970.
    """
    number = str(release["release"])
    whole = Component(type=ComponentType.APPLICATION, name=shop, version=number, bom_ref="release")
    bundle = _bundle(shop, release)
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"urn:pushcart:{shop}:{bundle.bom_ref}"),
        metadata=BomMetaData(component=whole, timestamp=datetime.fromtimestamp(now, UTC)),
    )
    images = _images(packed)
    bases = {part: _base(part, *seen) for part, seen in packed.bases.items()}
    libraries = _libraries(packed.packages)
    for component in (bundle, *images.values(), *bases.values(), *_all(libraries)):
        bom.components.add(component)
    bom.register_dependency(whole, [bundle, *images.values()])
    for part, image in images.items():
        roles = [role for role in libraries if IMAGE_OF[role] == part]
        held = [library for role in roles for library in libraries[role].values()]
        bom.register_dependency(image, [bases[part], *([bundle] if part == "model" else []), *held])
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def _bundle(shop: str, release: Mapping[str, Any]) -> Component:
    digest = release["bundles"][TASK]["digest"]
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=f"{shop}-{TASK}",
        version=str(release["release"]),
        bom_ref=f"bundle/{digest}",
        hashes=[_hash(digest)],
        properties=[
            Property(name="pushcart:commit", value=release["commit"]),
            Property(name="pushcart:data_digest", value=release["data_digest"]),
        ],
    )


def _images(packed: "Packed") -> dict[str, Component]:
    return {
        part: Component(
            type=ComponentType.CONTAINER,
            name=image.name,
            version=image.tag,
            bom_ref=f"image/{part}",
            hashes=[_hash(image.digest or image.id)],
        )
        for part, image in packed.images.items()
    }


def _base(part: str, name: str, digest: str) -> Component:
    repository, _, tag = name.partition("@")[0].rpartition(":")
    return Component(
        type=ComponentType.CONTAINER,
        name=repository or name,
        version=tag if repository else None,
        bom_ref=f"base/{part}",
        hashes=[_hash(digest)],
    )


def _libraries(packages: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, Component]]:
    """Components by role and package; a package of two locks has one version, and is one."""
    known: dict[str, Component] = {}
    for role, versions in packages.items():
        hashes = pins(role)
        for name, version in versions.items():
            known.setdefault(name, _library(name, version, hashes[name, version]))
    return {role: {name: known[name] for name in versions} for role, versions in packages.items()}


def _library(name: str, version: str, hashes: Iterable[str]) -> Component:
    """A package with the hashes that its lock allows: one for each platform's wheel."""
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"pypi/{name}",
        purl=PackageURL("pypi", name=name, version=version),
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(f"https://pypi.org/simple/{name}/"),
                hashes=[_hash(one) for one in hashes],
            )
        ],
    )


def _all(libraries: Mapping[str, Mapping[str, Component]]) -> list[Component]:
    return list({name: one for held in libraries.values() for name, one in held.items()}.values())


def _hash(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest.rpartition(":")[2])
