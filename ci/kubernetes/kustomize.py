"""Builds an overlay: that part of kustomize which the rendered manifests use, and no other.

What `bin/ci` prints and checks must not depend on a program that few machines have; a test holds
that `kubectl kustomize` makes the same of the same files where it is at hand.
"""

import copy
import io
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

Object = dict[str, Any]
FILE = "kustomization.yaml"
KEYS = {"apiVersion", "kind", "namespace", "resources", "patches", "images"}
WITHOUT_NAMESPACE = ("Namespace",)


class KustomizeError(ValueError):
    """An overlay that cannot be built, or that uses more of kustomize than is known here."""


def build(
    files: Mapping[str, str], folder: str, digests: Mapping[str, str] | None = None
) -> list[Object]:
    """The objects of an overlay, each patched, named into its namespace and with its images.

    Args:
        files: Text of every file by its path.
        folder: The overlay's folder.
        digests: Digest of an image by its name in the base, in the place of the overlay's.

    Raises:
        KustomizeError: A file is missing, a patch has no target, or a key is unknown.
    """
    (kustomization,) = _documents(files, posixpath.join(folder, FILE))
    if unknown := sorted(kustomization.keys() - KEYS):
        raise KustomizeError(f"{folder}/{FILE} uses {', '.join(unknown)}, which is not known here")
    objects = []
    for name in kustomization.get("resources", []):
        path = posixpath.normpath(posixpath.join(folder, name))
        is_folder = posixpath.join(path, FILE) in files
        objects += build(files, path) if is_folder else list(_documents(files, path))
    for patch in kustomization.get("patches", []):
        for change in _documents(files, posixpath.join(folder, patch["path"])):
            _patch(objects, change, patch["path"])
    if namespace := kustomization.get("namespace"):
        _put_into(objects, namespace)
    for image in kustomization.get("images", []):
        digest = (digests or {}).get(image["name"], image["digest"])
        _set_image(objects, image["name"], f"{image['newName']}@{digest}")
    return objects


def image_names(files: Mapping[str, str], folder: str) -> dict[str, str]:
    """Where the images of an overlay come from: name in the base → name in a registry."""
    (kustomization,) = _documents(files, posixpath.join(folder, FILE))
    return {image["name"]: image["newName"] for image in kustomization["images"]}


def as_text(objects: list[Object]) -> str:
    """One YAML stream, as `kubectl apply --filename=-` takes it."""
    stream = io.StringIO()
    yaml.safe_dump_all(objects, stream, sort_keys=False, explicit_start=True, allow_unicode=True)
    return stream.getvalue()


def identity(item: Object) -> tuple[str, str]:
    """Kind and name of an object."""
    return str(item["kind"]), str(item["metadata"]["name"])


def pod_spec(item: Object) -> Object | None:
    """The pods that an object makes; None where it makes none."""
    spec: Object | None = item.get("spec", {}).get("template", {}).get("spec")
    return spec


def _documents(files: Mapping[str, str], path: str) -> Iterator[Object]:
    if path not in files:
        raise KustomizeError(f"{path} is named but not there")
    yield from (copy.deepcopy(one) for one in yaml.safe_load_all(files[path]) if one)


def _patch(objects: list[Object], change: Object, path: str) -> None:
    target = next((one for one in objects if identity(one) == identity(change)), None)
    if target is None:
        raise KustomizeError(f"{path} patches {'/'.join(identity(change))}, which is not there")
    _merge(target, change, path)


def _merge(target: Object, change: Object, path: str) -> None:
    """Maps only: what a strategic merge makes of a list depends on its type."""
    for key, value in change.items():
        if isinstance(value, list):
            raise KustomizeError(f"{path} patches the list `{key}`, which is not known here")
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value, path)
        else:
            target[key] = value


def _put_into(objects: list[Object], namespace: str) -> None:
    for one in objects:
        if one["kind"] not in WITHOUT_NAMESPACE:
            one["metadata"]["namespace"] = namespace


def _set_image(objects: list[Object], name: str, reference: str) -> None:
    pods = [spec for spec in map(pod_spec, objects) if spec]
    used = [one for spec in pods for one in spec["containers"] if one["image"] == name]
    if not used:
        raise KustomizeError(f"no container has the image {name}")
    for container in used:
        container["image"] = reference
