"""What a row of the event log must be: every rule once, compiled to one query."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ibis

from model.data.engines import ROW
from model.schema import EVENT_TYPES, SEARCH, EventColumn

EARLIEST = 788_918_400  # 1995-01-01, before the first web shop
LATEST = 4_102_444_800  # 2100-01-01
MAX_ID_LENGTH = 200
EMAIL = r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"
# International (+44 20 …), written with separators (555-123-4567), or a Chinese mobile number.
PHONE = r"^(\+\d[\d ().-]{6,17}\d|\(?\d{3}\)?[-. ]\d{3}[-. ]\d{4}|1[3-9]\d{9})$"
SHORTEST_PHONE = 9  # letters of the shortest text that PHONE matches: +1 234567
DIGITS = r"^\d{9,13}(\.\d+)?$"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
MOMENT = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}(:?\d{2})?)?$"
MILLISECONDS_FROM = 1e11  # as seconds this is the year 5138


@dataclass(frozen=True)
class Meaning:
    """What the values of a shop's log mean.

    Attributes:
        event_type: The type of every row, when the log has no such column.
        event_types: Our words → the shop's, one or several.
        item_pattern: Regular expression that a real item's id matches; "" accepts all.
    """

    event_type: str = ""
    event_types: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    item_pattern: str = ""


@dataclass(frozen=True)
class Rule:
    """One way for a row to be wrong.

    Attributes:
        reason: As written to the quarantine.
        broken: Landed row and typed row → whether the rule is broken; null counts as not.
    """

    reason: str
    broken: Callable[[ibis.Table], Any]


def typed(landed: ibis.Table, meaning: Meaning) -> ibis.Table:
    """Add our types beside the landed values (`seen_*`), null where a value has none.

    Every rule and every later step reads these columns: ids and event type as text, `timestamp` in
    whole seconds UTC (int64), `quantity`, `price` and `position` as float64.
    """
    seen = landed.rename({f"seen_{name}": name for name in landed.columns if name != ROW})
    columns = set(landed.columns)

    def text(name: str) -> Any:
        return text_of(seen[f"seen_{name}"]) if name in columns else ibis.null("string")

    def number(name: str) -> Any:
        return _number(seen[f"seen_{name}"]) if name in columns else ibis.null("float64")

    kind = text(EventColumn.EVENT_TYPE)
    for ours, theirs in meaning.event_types.items():
        words = [theirs] if isinstance(theirs, str) else list(theirs)
        kind = text(EventColumn.EVENT_TYPE).isin(words).ifelse(ibis.literal(ours), kind)
    if meaning.event_type:
        kind = ibis.literal(meaning.event_type)
    return seen.mutate(
        event_id=text(EventColumn.EVENT_ID),
        user_id=text(EventColumn.USER_ID),
        item_id=text(EventColumn.ITEM_ID),
        event_type=kind,
        query=text(EventColumn.QUERY),
        timestamp=seconds_of(seen[f"seen_{EventColumn.TIMESTAMP}"]),
        quantity=number(EventColumn.QUANTITY),
        price=number(EventColumn.PRICE),
        position=number(EventColumn.POSITION),
    )


def rules(landed: ibis.Table, meaning: Meaning) -> list[Rule]:
    """The contract of one row, as far as the log has the columns."""
    columns = set(landed.columns)
    required = [
        Rule("user_id is missing", lambda row: row.user_id.isnull()),
        Rule(
            "item_id is missing",
            lambda row: row.item_id.isnull() & (row.event_type.fill_null("") != SEARCH),
        ),
        Rule("event_type is missing", lambda row: row.event_type.isnull()),
        Rule("event_type is unknown", lambda row: row.event_type.notin(EVENT_TYPES)),
        Rule("timestamp is missing", lambda row: row.seen_timestamp.isnull()),
        Rule(
            "timestamp is no time",
            lambda row: row.timestamp.isnull() & row.seen_timestamp.notnull(),
        ),
        Rule(
            "timestamp is outside 1995 to 2100",
            lambda row: (row.timestamp < EARLIEST) | (row.timestamp >= LATEST),
        ),
        *_id_rules("user_id"),
        *_id_rules("item_id"),
    ]
    by_column = _optional_rules().items()
    optional = [rule for name, found in by_column if name in columns for rule in found]
    if meaning.item_pattern:
        required.append(
            Rule(
                f"item_id does not match {meaning.item_pattern}",
                lambda row: ~row.item_id.re_search(meaning.item_pattern),
            )
        )
    return required + optional


def _id_rules(name: str) -> list[Rule]:
    return [
        Rule(f"{name} is too long", lambda row: row[name].length() > MAX_ID_LENGTH),
        Rule(f"{name} holds an e-mail address", lambda row: _holds_email(row[name])),
        Rule(f"{name} is a phone number", lambda row: _is_phone(row[name])),
    ]


def _optional_rules() -> dict[str, list[Rule]]:
    return {
        EventColumn.EVENT_ID: [Rule("event_id is missing", lambda row: row.event_id.isnull())],
        EventColumn.QUERY: [
            Rule("query holds an e-mail address", lambda row: _holds_email(row.query)),
            Rule("query is a phone number", lambda row: _is_phone(row.query)),
        ],
        EventColumn.QUANTITY: [
            Rule(
                "quantity is no number",
                lambda row: row.quantity.isnull() & row.seen_quantity.notnull(),
            ),
            Rule("quantity is zero", lambda row: row.quantity == 0),
        ],
        EventColumn.PRICE: [
            Rule("price is no number", lambda row: row.price.isnull() & row.seen_price.notnull()),
            Rule("price is negative", lambda row: row.price < 0),
        ],
        EventColumn.POSITION: [Rule("position is negative", lambda row: row.position < 0)],
    }


# A pattern takes a hundred times as long as a look at a letter or the length, so that comes first.
def _holds_email(text: Any) -> Any:
    return text.contains("@").ifelse(text.re_search(EMAIL), False)


def _is_phone(text: Any) -> Any:
    return (text.length() >= SHORTEST_PHONE).ifelse(text.re_search(PHONE), False)


def broken(row: ibis.Table, contract: list[Rule]) -> Any:
    """Whether any rule is broken."""
    whole = contract[0].broken(row).fill_null(False)
    for rule in contract[1:]:
        whole = whole | rule.broken(row).fill_null(False)
    return whole


def reasons(row: ibis.Table, contract: list[Rule]) -> Any:
    """Every broken rule of a row, `; ` between them."""
    whole = None
    for rule in contract:
        one = rule.broken(row).fill_null(False).ifelse(f"; {rule.reason}", "")
        whole = one if whole is None else whole + one
    return whole.substr(2)  # type: ignore[union-attr]


def text_of(column: Any) -> Any:
    """Text of an id: trimmed, `17850` rather than `17850.0`, null when empty or NaN."""
    kind = column.type()
    if kind.is_floating() or kind.is_decimal():
        number = _finite(column.cast("float64"))
        whole = (number == number.floor()).ifelse(number, None).cast("int64").cast("string")
        return whole.fill_null(number.cast("string"))
    text = column.cast("string")
    # Trimming every row takes longer than all rules together; looking at the ends does not.
    padded = text.startswith(" ") | text.endswith(" ")
    return padded.ifelse(text.strip(), text).nullif("")


def _number(column: Any) -> Any:
    if not column.type().is_string():
        return _finite(column.cast("float64"))
    trimmed = column.strip()
    return _finite(trimmed.re_search(NUMBER).ifelse(trimmed, None).cast("float64"))


def _finite(number: Any) -> Any:
    """Null for NaN and for what no price, quantity or id can be."""
    return (number.abs() < 1e15).ifelse(number, None)


def seconds_of(column: Any) -> Any:
    """Whole seconds UTC of a time, a date, a number of seconds or milliseconds, or their text."""
    kind = column.type()
    if kind.is_timestamp() or kind.is_date():
        return column.cast("timestamp('UTC')").truncate("s").epoch_seconds().cast("int64")
    if not kind.is_string():
        return _whole_seconds(_finite(column.cast("float64")))
    trimmed = column.strip()
    digits = trimmed.re_search(DIGITS).ifelse(trimmed, None).cast("float64")
    # TRY_CAST on DuckDB; PostgreSQL has none, and the pattern keeps all but days like 02-31 away.
    shaped = trimmed.re_search(MOMENT).ifelse(trimmed, None).try_cast("timestamp('UTC')")
    return _whole_seconds(digits).fill_null(shaped.truncate("s").epoch_seconds().cast("int64"))


def _whole_seconds(number: Any) -> Any:
    return (number >= MILLISECONDS_FROM).ifelse(number / 1000, number).floor().cast("int64")
