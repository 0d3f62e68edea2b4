"""Signatures: packing, the padding, unknown ids, candidates; checked by hand."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from model.bundle.export import export_bundle, load_bundle
from model.bundle.signatures import event_type_indices, pack_right
from model.rungs.recommender import PADDING_SCORE
from model.schema import EVENT_TYPES, INPUTS, Input, Output
from tests.tiny import DAY, ITEMS, LENGTHS, LINEAGE, VOCABULARY, requests, tiny_model


def test_pack_right_by_hand():
    kept = tf.constant([[True, False, True, False], [False] * 4, [True] * 4])
    ids = tf.constant([[5, 6, 7, 8], [1, 2, 3, 4], [4, 3, 2, 1]])
    ages = tf.constant([[50.0, 60.0, 70.0, 80.0], [1.0] * 4, [4.0, 3.0, 2.0, 1.0]])
    packed_ids, packed_ages = pack_right(kept, [ids, ages])
    assert packed_ids.numpy().tolist() == [[0, 0, 5, 7], [0, 0, 0, 0], [4, 3, 2, 1]]
    assert packed_ages.numpy().tolist() == [[0, 0, 50, 70], [0, 0, 0, 0], [4, 3, 2, 1]]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_pack_right_keeps_the_order(row):
    ids = tf.constant([row])
    (packed,) = pack_right(ids > 0, [ids])
    known = [value for value in row if value]
    assert packed.numpy().tolist() == [[0] * (len(row) - len(known)) + known]


def test_event_types_are_counted_from_one():
    names = tf.constant([[*EVENT_TYPES, "", "unheard of"]])
    assert event_type_indices(names).numpy().tolist() == [[1, 2, 3, 4, 5, 6, 0, 0]]


def test_unknown_ids_are_as_if_never_sent(tiny_bundle):
    """Row 2 with its unknown ids taken out and padded by hand gives the same answer."""
    predict = load_bundle(tiny_bundle)
    sent = {name: values[2:3] for name, values in requests().items()}
    cleaned = {
        Input.HISTORY: np.array([["", "", "", "", "item-2", "Käse 奶酪"]], dtype=object),
        Input.HISTORY_EVENT_TYPE: np.array([["", "", "", "", "click", "purchase"]], dtype=object),
        Input.HISTORY_AGE_SECONDS: np.array([[0, 0, 0, 0, 5 * DAY, DAY]], np.float32),
        Input.FREQUENT_ITEMS: np.array([["", "", "item-9", "item-2"]], dtype=object),
        Input.FREQUENT_COUNTS: np.array([[0, 0, 3, 1]], np.float32),
    }
    with_unknown, without = predict(sent), predict(cleaned)
    for name in without:
        assert with_unknown[name].tolist() == without[name].tolist()
    assert without[Output.KNOWN_ITEMS].tolist() == [2]


def test_known_items_counts_the_history(tiny_bundle):
    assert load_bundle(tiny_bundle)(requests())[Output.KNOWN_ITEMS].tolist() == [0, 3, 2, 0, 6]


def test_the_padding_is_never_recommended(tmp_path):
    """Even a model whose column 0 wins cannot recommend it; indices outside count as padding."""
    model = tiny_model()
    kernel, constant = model.get_layer("bias").get_weights()
    constant[0] = 1e9
    model.get_layer("bias").set_weights([kernel, constant])
    export_bundle(
        model,
        VOCABULARY,
        tmp_path / "1",
        lineage=LINEAGE,
        golden_inputs=requests(),
        lengths=LENGTHS,
    )
    inputs = {
        Input.HISTORY: np.array([[-5, 0, ITEMS + 1, 999, 3, 4]], np.int32),
        Input.HISTORY_EVENT_TYPE: np.array([[2, 2, 2, 2, 5, 5]], np.int32),
        Input.HISTORY_AGE_SECONDS: np.zeros((1, 6), np.float32),
        Input.FREQUENT_ITEMS: np.array([[0, 0, 999, 3]], np.int32),
        Input.FREQUENT_COUNTS: np.array([[0, 0, 9, 1]], np.float32),
    }
    answer = load_bundle(tmp_path / "1", signature="recommend_by_index")(inputs)
    ids = answer[Output.ITEM_IDS][0].tolist()
    assert len(set(ids)) == LENGTHS.top_k
    assert min(ids) >= 1
    assert max(ids) <= ITEMS
    assert answer[Output.KNOWN_ITEMS].tolist() == [2]


def test_every_input_reaches_the_model(tiny_bundle):
    """Changing any one input of a shopper changes the scores."""
    predict = load_bundle(tiny_bundle)
    row = {name: values[1:2] for name, values in requests().items()}
    before = predict(row)[Output.SCORES]
    changed = {
        Input.HISTORY: "item-9",
        Input.HISTORY_EVENT_TYPE: "view",
        Input.HISTORY_AGE_SECONDS: 9e6,
        Input.FREQUENT_ITEMS: "item-9",
        Input.FREQUENT_COUNTS: 7.0,
    }
    for name in INPUTS:
        other = {**row, name: row[name].copy()}
        other[name][0, -1] = changed[name]
        assert not np.allclose(predict(other)[Output.SCORES], before), name


def test_candidates_are_scored_in_their_own_order(tiny_bundle):
    wanted = ["item-4", "gone", "", "Käse 奶酪", "item-4", *[""] * (LENGTHS.top_k - 5)]
    row = {name: values[1:2] for name, values in requests().items()}
    request = {**row, Input.CANDIDATES: np.array([wanted], dtype=object)}
    scores = load_bundle(tiny_bundle, signature="score_candidates")(request)[Output.SCORES][0]
    full = load_bundle(tiny_bundle)(row)
    ranked = dict(zip(full[Output.ITEM_IDS][0], full[Output.SCORES][0], strict=True))
    assert scores[0] == scores[4]
    absent = scores[[1, 2, *range(5, LENGTHS.top_k)]]
    assert (absent == np.float32(PADDING_SCORE)).all()
    for place in (0, 3):
        if wanted[place] in ranked:
            assert scores[place] == pytest.approx(ranked[wanted[place]], rel=1e-6)
        else:
            assert scores[place] <= min(ranked.values())


def test_embed_user_is_the_models_vector(tiny_bundle):
    vector = load_bundle(tiny_bundle, signature="embed_user")(requests())[Output.USER_VECTOR]
    table = tiny_model().get_layer("rows").get_weights()[0]
    # Row 1: item-3 viewed 3 days ago, item-7 in the cart 1 day ago, item-3 bought a minute ago.
    by_hand = table[3] * 1 / (1 + 3) + table[7] * 2 / (1 + 1) + table[3] * 3 / (1 + 60 / DAY)
    assert vector.shape == (5, ITEMS + 1)
    np.testing.assert_allclose(vector[1], by_hand, rtol=1e-4)
    np.testing.assert_allclose(vector[0], 0.0)


def test_two_bundles_in_one_process_keep_their_vocabularies(tiny_bundle, tmp_path):
    """Their tables have one name in both files; each must still read its own."""
    other = [f"other-{index}" for index in range(ITEMS)]
    blank = {
        name: np.full_like(values[:1], "" if values.dtype == object else 0)
        for name, values in requests().items()
    }
    export_bundle(
        tiny_model(),
        other,
        tmp_path / "2",
        lineage=LINEAGE,
        golden_inputs=blank,
        lengths=LENGTHS,
    )
    first, second = load_bundle(tiny_bundle), load_bundle(tmp_path / "2")
    for predict, vocabulary in ((first, VOCABULARY), (second, other), (first, VOCABULARY)):
        assert set(predict(blank)[Output.ITEM_IDS][0]) <= set(vocabulary)
