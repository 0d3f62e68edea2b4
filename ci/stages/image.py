"""Stage `image`: the release by digests, its images, its bill of materials, its signature."""

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from ci.config import TASK, Config, read_variable, user_name
from ci.errors import HeldError, InconclusiveError, RefusedError, UsageError
from ci.releasing.contexts import gateway_version
from ci.releasing.packing import needing_images, pack
from ci.workspace import Workspace, digest_of, remove

if TYPE_CHECKING:
    from ci.releasing.signing import Key

DECIDED_OTHERWISE = {"HOLD": HeldError, "INCONCLUSIVE": InconclusiveError}
STATEMENT = "../statement.json"


def run(config: Config, workspace: Workspace) -> str:
    """Write `release.json` and `sbom.json`; build, push and sign what an environment needs.

    Raises:
        HeldError: The gate holds the bundle.
        InconclusiveError: The gate could not decide.
        RefusedError: The bundle was altered, or the gate judged another one.
        UsageError: A registry or a key that the chosen environment needs is not named or not set.
        UnavailableError: The chosen environment needs images and no engine answers or builds; the
            registry does not answer.
    """
    exported = workspace.read_json("bundle.json", "export")
    bundle = workspace.require(exported["path"], "export")
    gate = workspace.read_json("gate.json", "gate")
    override = check_decision(gate, exported, config.options.override)
    if (seen := digest_of(bundle)) != exported["digest"]:
        raise RefusedError(
            f"{bundle} was altered after it was made: its digest is {seen}, not "
            f"{exported['digest']}. Run `bin/ci export --force`."
        )
    keys = find_keys(config, overriding=override is not None)  # before anything is built
    card = json.loads((bundle / "card.json").read_text("utf-8"))
    release = {**describe(config, exported, card, gate), "override": override}
    said = _complete(config, workspace, release, card)
    baseline = gate["baseline_environment"]
    signed = _sign(config, workspace, release, baseline, keys)
    decision = f"{gate['decision']}, overridden" if override else gate["decision"]
    line = f"release {release['release']} ({decision}), gateway {gateway_version()[:19]}…; {said}"
    return f"{line}; {signed}" if signed else line


def check_decision(
    gate: dict[str, Any], exported: dict[str, Any], reason: str = ""
) -> dict[str, str] | None:
    """Hold the release to the gate's word on this very bundle.

    Args:
        gate: `gate.json`.
        exported: `bundle.json`.
        reason: Why it goes out against that word; "" where it does not.

    Returns:
        The override, with reason and who; None where the gate promotes.

    Raises:
        HeldError: HOLD, and no override.
        InconclusiveError: INCONCLUSIVE, and no override.
        RefusedError: Another bundle was judged, or the word is unknown.
        UsageError: There is nothing to override.
    """
    decision, judged = str(gate["decision"]), gate["challenger"]["digest"]
    if decision in DECIDED_OTHERWISE and not reason.strip():
        raise DECIDED_OTHERWISE[decision](f"No release is made: {gate['reason']}")
    if decision not in (*DECIDED_OTHERWISE, "PROMOTE") or judged != exported["digest"]:
        raise RefusedError(
            f"The gate said {decision} of {judged}, but the bundle at hand is "
            f"{exported['digest']}. Run `bin/ci evaluate` and `bin/ci gate` again."
        )
    if not reason.strip():
        return None
    if decision == "PROMOTE":
        raise UsageError("The gate promotes this bundle: there is nothing to override.")
    return {"reason": reason.strip(), "who": user_name()}


def find_keys(config: Config, *, overriding: bool) -> "list[Key]":
    """The keys that will sign; none where the release key is not at hand.

    Raises:
        UsageError: A key is none, or hosts would refuse the release: an override is nothing
            without its signatures, and so is a release for an environment with target hosts.
    """
    names = [config.signing.key_env, *([config.signing.override_key_env] if overriding else [])]
    missing = [name for name in names if read_variable(name) is None]
    if missing and (overriding or config.environment.target == "hosts"):
        what = "An override" if overriding else f"A release for {config.options.environment}"
        raise UsageError(
            f"{what} must be signed, but the environment variable {missing[0]} is not set. Export "
            "the private key or its path; `bin/ci keys new` makes one."
        )
    if missing:
        return []
    from ci.releasing.signing import read_signers  # noqa: PLC0415  only who has a key needs it

    return read_signers(config, override=overriding)


def describe(
    config: Config, exported: dict[str, Any], card: dict[str, Any], gate: dict[str, Any]
) -> dict[str, Any]:
    """The release as it is deployed: every part by its digest.

    Args:
        config: All settings.
        exported: `bundle.json`.
        card: The bundle's card.
        gate: `gate.json`.
    """
    version, digest, beaten = exported["model_version"], exported["digest"], gate["baseline"]
    environment = gate["baseline_environment"]
    return {
        "release": version,
        "bundles": {TASK: {"model_version": version, "digest": digest}},
        # What the gateway knows of shoppers is packed from this dataset and nothing else.
        "gateway": {"version": gateway_version(), "data_digest": card["data_digest"]},
        "decision": gate["decision"],
        "data_digest": card["data_digest"],
        "commit": card["commit"],
        "engine": config.serving.engine,
        "base_image": config.serving.base_image,
        "baseline": {"digest": beaten["digest"], "environment": environment} if beaten else None,
    }


def _complete(
    config: Config, workspace: Workspace, release: dict[str, Any], card: dict[str, Any]
) -> str:
    """Pack the release and write it down; returns what to tell of its images."""
    from ci.releasing.materials import bill_of_materials  # noqa: PLC0415  after every refusal

    packed = pack(config, workspace, release, card)
    bill = bill_of_materials(config.shop.name, release, packed, time.time())
    if packed.bases:
        release["base_image"] = packed.bases["model"][0]
    release["example_user"] = packed.example_user
    release["images"] = packed.as_json()
    release["sbom"] = f"sha256:{hashlib.sha256(bill.encode()).hexdigest()}"
    workspace.write_text("../sbom.json", bill)
    workspace.write_json("../release.json", release)
    return packed.said


def _sign(
    config: Config,
    workspace: Workspace,
    release: dict[str, Any],
    baseline_environment: str,
    keys: "list[Key]",
) -> str:
    """Write the statement, or see that none of an earlier release lies beside this one."""
    if not keys:
        remove(workspace.path(STATEMENT))
        missing = f"not signed, so hosts will refuse it: {config.signing.key_env} is not set"
        return missing if needing_images(config) else ""
    from ci.releasing.signing import next_sequence, sign, statement_of  # noqa: PLC0415

    sequence = next_sequence(config, time.time())
    content = statement_of(release, config.shop.name, baseline_environment, sequence)
    workspace.write_json(STATEMENT, sign(content, keys))
    return f"signed by {', '.join(f'{key.keyid[:16]}…' for key in keys)}"
