"""What the ledger must hear of rollouts, kept on the host until somebody ships it."""

import json
import os
from pathlib import Path

from serving.host.record import Record, Release


def entry(known: Record, line: Release) -> dict[str, object]:
    """One line of the ledger: who did what, and how it ended."""
    return {
        "id": f"{known.shop}/{known.environment}/{line.number}/{line.started_at}",
        "environment": known.environment,
        "kind": line.kind,
        "model_version": line.model_version,
        "digest": line.digest,
        "colour": line.colour,
        "verdict": "live" if line.state in ("live", "previous", "withdrawn") else line.state,
        "reason": line.reason,
        "who": line.who,
        "approved_by": line.approved_by,
        "override_freeze": line.override_freeze,
        "commit": line.commit,
        "started_at": line.started_at,
        "seconds": line.seconds,
        "failed_requests": line.failed_requests,
    }


def report(known: Record, path: Path) -> bool:
    """Append every finished line of the history that was not reported yet.

    A crash between the outbox and the record repeats a line: the reader knows it by its id.

    Returns:
        Whether the record changed and must be saved.
    """
    news = [line for line in known.history if not line.reported and line.state != "starting"]
    if not news:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for line in news:
            file.write(json.dumps(entry(known, line), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    for line in news:
        line.reported = True
    return True
