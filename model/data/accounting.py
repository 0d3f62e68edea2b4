"""Where every row went: rows in = kept + quarantined + duplicates + filtered."""

from dataclasses import asdict, dataclass, field
from typing import Any

from model.schema import DataError


@dataclass(frozen=True)
class Accounting:
    """The balance of one preparation.

    Attributes:
        rows: Rows of the source.
        kept: Rows of the dataset.
        quarantined: Rows that broke a rule.
        duplicates: Rows that repeat an event id.
        filtered: Valid rows that were left out, by why.
        reasons: Quarantined rows by broken rule; a row with two reasons counts under both.
    """

    rows: int
    kept: int
    quarantined: int
    duplicates: int
    filtered: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        total = self.kept + self.quarantined + self.duplicates + sum(self.filtered.values())
        if total != self.rows:
            raise AssertionError(f"{self.rows} rows came in, {total} are accounted for")

    def __str__(self) -> str:
        why = ", ".join(f"{name} {count:,}" for name, count in sorted(self.filtered.items()))
        return (
            f"{self.rows:,} rows = {self.kept:,} kept + {self.quarantined:,} quarantined + "
            f"{self.duplicates:,} duplicates + {sum(self.filtered.values()):,} filtered"
            f"{f' ({why})' if why else ''}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For `meta.json`."""
        return asdict(self)


def refuse_too_bad(rows: int, bad: int, reasons: dict[str, int], max_bad_share: float) -> None:
    """Stop when too many rows break the contract.

    Raises:
        DataError: The share of bad rows is above `max_bad_share`, or every row is bad.
    """
    if bad <= max_bad_share * rows and bad < rows:
        return
    listing = "\n".join(
        f"  {count:>9,}  {reason}" for reason, count in sorted(reasons.items(), key=_by_count)
    )
    raise DataError(
        f"{bad:,} of {rows:,} rows ({bad / rows:.1%}) break the contract; max_bad_share allows "
        f"{max_bad_share:.1%}:\n{listing}\nCorrect the log or its mapping in [data], or, if these "
        "rows are known to be useless, raise [data] max_bad_share."
    )


def refuse_too_little(accounting: Accounting, min_events: int) -> None:
    """Stop when hardly a row is left.

    Raises:
        DataError: Fewer rows are kept than `min_events`.
    """
    if accounting.kept < min_events:
        raise DataError(
            f"Only {accounting.kept:,} rows are left of {accounting.rows:,}, min_events asks for "
            f"{min_events:,}: {accounting}. Look at the event types and limits in [data]."
        )


def _by_count(pair: tuple[str, int]) -> tuple[int, str]:
    return -pair[1], pair[0]
