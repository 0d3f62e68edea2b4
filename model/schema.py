"""The words of the shop's data: columns, event types, model inputs. Standard library only."""

from typing import Final


class EventColumn:
    """Columns of one event (one row of the shop's log)."""

    EVENT_ID: Final = "event_id"
    USER_ID: Final = "user_id"
    ITEM_ID: Final = "item_id"
    EVENT_TYPE: Final = "event_type"
    QUERY: Final = "query"
    POSITION: Final = "position"
    QUANTITY: Final = "quantity"
    PRICE: Final = "price"
    TIMESTAMP: Final = "timestamp"
    MODEL_VERSION: Final = "model_version"


class ItemColumn:
    """Columns of one item of the catalogue."""

    ITEM_ID: Final = "item_id"
    TITLE: Final = "title"
    CATEGORY: Final = "category"
    BRAND: Final = "brand"
    PRICE: Final = "price"
    IN_STOCK: Final = "in_stock"
    CREATED_AT: Final = "created_at"


EVENT_COLUMNS: Final = (
    EventColumn.EVENT_ID,
    EventColumn.USER_ID,
    EventColumn.ITEM_ID,
    EventColumn.EVENT_TYPE,
    EventColumn.QUERY,
    EventColumn.POSITION,
    EventColumn.QUANTITY,
    EventColumn.PRICE,
    EventColumn.TIMESTAMP,
    EventColumn.MODEL_VERSION,
)
ITEM_COLUMNS: Final = (
    ItemColumn.ITEM_ID,
    ItemColumn.TITLE,
    ItemColumn.CATEGORY,
    ItemColumn.BRAND,
    ItemColumn.PRICE,
    ItemColumn.IN_STOCK,
    ItemColumn.CREATED_AT,
)

IMPRESSION: Final = "impression"
VIEW: Final = "view"
CLICK: Final = "click"
CART: Final = "cart"
PURCHASE: Final = "purchase"
SEARCH: Final = "search"
EVENT_TYPES: Final = (IMPRESSION, VIEW, CLICK, CART, PURCHASE, SEARCH)

# In a model, an event type is its place in EVENT_TYPES counted from 1; 0 is padding.
EVENT_TYPE_INDEX: Final = {name: index for index, name in enumerate(EVENT_TYPES, start=1)}
# What a shopper did on purpose: only these make a history (an impression is the shop's act,
# a search has no item).
HISTORY_EVENT_TYPES: Final = (VIEW, CLICK, CART, PURCHASE)

PADDING_ID: Final = ""
PADDING_INDEX: Final = 0


class Input:
    """Inputs of every signature of a bundle, batch-major, padded on the left."""

    HISTORY: Final = "history"  # string or int32 [B, L], oldest first
    HISTORY_EVENT_TYPE: Final = "history_event_type"  # string or int32 [B, L]
    HISTORY_AGE_SECONDS: Final = "history_age_seconds"  # float32 [B, L]
    FREQUENT_ITEMS: Final = "frequent_items"  # string or int32 [B, F], most frequent first
    FREQUENT_COUNTS: Final = "frequent_counts"  # float32 [B, F]
    CANDIDATES: Final = "candidates"  # string [B, C], only score_candidates


INPUTS: Final = (
    Input.HISTORY,
    Input.HISTORY_EVENT_TYPE,
    Input.HISTORY_AGE_SECONDS,
    Input.FREQUENT_ITEMS,
    Input.FREQUENT_COUNTS,
)


class Output:
    """Outputs of the signatures."""

    ITEM_IDS: Final = "item_ids"  # string (int32 by index) [B, K], best first
    SCORES: Final = "scores"  # float32 [B, K] or [B, C]
    KNOWN_ITEMS: Final = "known_items"  # int32 [B]: how many of the history the model knows
    USER_VECTOR: Final = "user_vector"  # float32 [B, D]


class DataError(Exception):
    """The data breaks its contract; the message names what was seen and what to do (exit 3)."""


class SourceUnavailableError(Exception):
    """A source of data cannot be reached or refuses the login (exit 4)."""
