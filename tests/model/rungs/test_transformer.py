"""The transformer: its formulas by NumPy, its causality, its gradient of padding, its training."""

import numpy as np
import pytest
import tensorflow as tf

from model.rungs.attention import MASKED, SelfAttention, attention_mask, scaled_dot_product
from model.rungs.interest import InterestSettings
from model.rungs.linear import Linear, LinearSettings
from model.rungs.recommender import FitContext, as_model, load, save, score
from model.rungs.sequences import LABEL_PLACE, PAIR_ITEM, PAIR_LABEL, PAIR_WEIGHT, SessionSequences
from model.rungs.sessions import Sessions
from model.rungs.transformer import Transformer, TransformerSettings, spectral_embeddings
from model.rungs.validation import Window
from model.schema import PURCHASE, VIEW, Input, Output
from tests.model.rungs.shops import DAY, START, Row, dataset_of, tasteful_shop
from tests.services import NOT_RUN_HERE

LENGTH, FREQUENT, ITEMS = 8, 4, 60
SMALL = TransformerSettings(
    embedding_dim=16, num_blocks=2, num_heads=2, batch_size=32, features=1, most_epochs=6
)
SHOP = tasteful_shop(users=120)


def context(**changes):
    # So long a budget that steps alone end a training: equal seeds then learn equally.
    values = {"until": SHOP.start_of("validation"), "choosing": True, "cpu_seconds": 1e6}
    lengths = {"history_length": LENGTH, "frequent_length": FREQUENT}
    return FitContext(**{**values, **lengths, **changes})


def untrained(settings: TransformerSettings = SMALL) -> Transformer:
    transformer = Transformer(ITEMS, settings, name="transformer")
    as_model(transformer, LENGTH, FREQUENT)
    return transformer


def states(at: int = START + 60 * DAY) -> dict[str, np.ndarray]:
    return SHOP.states(at, length=LENGTH, frequent=FREQUENT)


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def test_scaled_dot_product_equals_numpy():
    random = np.random.default_rng(0)
    query, key, value = (random.normal(size=(2, 3, 5, 4)).astype(np.float32) for _ in range(3))
    mask = np.where(np.tril(np.ones((5, 5))), 0.0, MASKED).astype(np.float32)
    expected = softmax(query @ key.swapaxes(2, 3) / np.sqrt(4) + mask) @ value
    assert np.asarray(scaled_dot_product(query, key, value, mask)) == pytest.approx(
        expected, abs=1e-5
    )


def test_the_attention_layer_equals_numpy_head_by_head():
    random = np.random.default_rng(1)
    sequence = random.normal(size=(2, 5, 6)).astype(np.float32)
    layer = SelfAttention(num_heads=2)
    mask = attention_mask(tf.constant([[False, True, True, True, True]] * 2))
    answer = np.asarray(layer(sequence, mask))
    kernels = {
        name: [value.numpy() for value in getattr(layer, f"{name}_projection").weights]
        for name in ("query", "key", "value", "output")
    }
    q, k, v = (sequence @ kernels[n][0] + kernels[n][1] for n in ("query", "key", "value"))
    allowed = np.tril(np.ones((5, 5), bool))
    allowed[:, 0] = False
    allowed |= np.eye(5, dtype=bool)
    heads = []
    for part in (slice(0, 3), slice(3, 6)):
        logits = q[..., part] @ k[..., part].swapaxes(1, 2) / np.sqrt(3)
        heads.append(softmax(np.where(allowed, logits, -np.inf)) @ v[..., part])
    expected = np.concatenate(heads, axis=-1) @ kernels["output"][0] + kernels["output"][1]
    assert answer == pytest.approx(expected, abs=1e-5)
    assert np.asarray(layer(sequence, mask, last=1)) == pytest.approx(expected[:, -1:], abs=1e-5)


def test_heads_that_do_not_divide_the_embedding_are_refused():
    with pytest.raises(ValueError, match="multiple of `num_heads`, received 6 and 4"):
        SelfAttention(num_heads=4).build((None, 5, 6))


def test_a_position_sees_only_its_past():
    transformer, inputs = untrained(), states()
    full = dict(inputs)
    before = np.asarray(transformer.encode(full, last=None))
    changed = full | {Input.HISTORY: full[Input.HISTORY].copy()}
    changed[Input.HISTORY][:, -1] = 1 + changed[Input.HISTORY][:, -1] % ITEMS
    after = np.asarray(transformer.encode(changed, last=None))
    assert np.array_equal(before[:, :-1], after[:, :-1])
    assert np.abs(before[:, -1] - after[:, -1]).max() > 1e-3


def test_padding_on_the_left_is_not_seen():
    transformer = untrained()
    inputs = {name: value[:1].copy() for name, value in states().items()}
    inputs[Input.HISTORY][:, :4] = 0
    before = np.asarray(transformer(inputs)[Output.SCORES])
    inputs[Input.HISTORY_EVENT_TYPE][:, :4] = 3
    assert np.array_equal(before, np.asarray(transformer(inputs)[Output.SCORES]))


def test_all_padding_is_popularity():
    transformer = untrained()
    transformer.renew(SHOP, context())
    nothing = {name: np.zeros_like(value[:2]) for name, value in states().items()}
    answer = transformer(nothing)
    assert np.isfinite(answer[Output.SCORES]).all()
    assert np.isfinite(answer[Output.USER_VECTOR]).all()
    popularity = transformer.popularity.numpy()[1:]
    assert np.asarray(answer[Output.SCORES])[0, 1:] == pytest.approx(popularity, abs=1e-5)


def test_item_features_are_read():
    transformer = untrained()
    transformer.renew(SHOP, context())
    before = score(as_model(transformer, LENGTH, FREQUENT), states())
    transformer.features.assign(SHOP.item_features * 2.0)
    assert np.abs(score(as_model(transformer, LENGTH, FREQUENT), states()) - before).max() > 1e-4


def test_labels_are_the_next_sessions_items():
    rows = [Row(0, 1, 1.0), Row(0, 2, 1.01, VIEW), Row(0, 3, 4.0), Row(0, 2, 9.0), Row(0, 4, 9.01)]
    shop = dataset_of([*rows, Row(1, 1, 2.0)], items=4, validation_day=20, test_day=30)
    sessions = Sessions.of(shop, START + 20 * DAY, 1800)
    sequences = SessionSequences.of(sessions, InterestSettings().type_weights(), 4, 4, 8)
    assert sequences.count == 1  # shopper 1 has one session: nothing follows it
    batch = sequences.batch(np.array([0]))
    assert batch[Input.HISTORY].tolist() == [[0, 1, 2, 3]]
    assert batch[LABEL_PLACE].tolist() == [2, 3]  # the sessions of day 1 and day 4 end there
    assert batch[PAIR_LABEL].tolist() == [0, 1, 1]
    assert batch[PAIR_ITEM].tolist() == [3, 2, 4]
    assert batch[PAIR_WEIGHT].tolist() == [1.0, 1.0, 1.0]


def test_sequences_hold_every_event_once_but_the_last_sessions():
    sessions = Sessions.of(SHOP, SHOP.start_of("validation"), 1800)
    table = InterestSettings().type_weights()
    sequences = SessionSequences.of(sessions, table, ITEMS, LENGTH, 16)
    taken = sum(
        (batch[Input.HISTORY] > 0).sum() for batch in sequences.batches(np.random.default_rng(0))
    )
    last = np.r_[
        sessions.user_start[sessions.start][1:] != sessions.user_start[sessions.start][:-1], True
    ]
    sizes = np.diff(np.r_[sessions.start, len(sessions.item_index)])
    assert taken == len(sessions.item_index) - sizes[last].sum()


def test_spectral_embeddings_resemble_the_linear_weights():
    linear = Linear(ITEMS, LinearSettings(ridge=1.0))
    as_model(linear, LENGTH, FREQUENT)
    linear.fit(SHOP, context())
    table = spectral_embeddings(linear, 30)
    weight = linear.weight.numpy()
    products = (table @ table.T).ravel()
    assert np.corrcoef(products, ((weight + weight.T) / 2).ravel())[0, 1] > 0.9


def test_sampled_softmax_prefers_the_same_items_as_the_full_one():
    transformer = untrained(TransformerSettings(embedding_dim=16, negatives=4000, features=1))
    sessions = Sessions.of(SHOP, SHOP.start_of("validation"), 1800)
    table = InterestSettings().type_weights()
    batch = SessionSequences.of(sessions, table, ITEMS, LENGTH, 16).batch(np.arange(16))
    asked = np.asarray(transformer.encode(batch, last=None)).reshape(-1, 16)[batch[LABEL_PLACE]]
    full = np.asarray(transformer._full(asked, batch))
    sampled = np.asarray(transformer._sampled(asked, batch))
    # 4,000 draws of 60 items stand for each item 4000/60 times, the positive for once.
    corrected = np.log(1 / (np.exp(-sampled) - 1)) + np.log(4000 / ITEMS)
    odds = full - np.log1p(-np.exp(full))
    assert corrected == pytest.approx(odds, abs=0.25)


@pytest.fixture(scope="module")
def fitted():
    transformer = untrained()
    notes = transformer.fit(SHOP, context())
    return transformer, notes


def gain(transformer: Transformer) -> float:
    """How much better than an untrained one, by NDCG@10 on the validation window."""
    window = Window.of(SHOP, "validation", context())
    models = [as_model(one, LENGTH, FREQUENT) for one in (transformer, untrained())]
    after, before = (window.ndcg(model) for model in models)
    return after - before


def test_training_beats_the_start_and_is_recorded(fitted):
    transformer, notes = fitted
    assert gain(transformer) > 0.05
    assert notes["learning_curve"][-1]["validation_ndcg_at_10"] > 0
    assert notes["learning_curve"][0]["loss"] > notes["learning_curve"][-1]["loss"]
    assert notes["train_cpu_seconds"] > 0
    assert notes["examples_per_second"] > 0


def test_training_on_a_gpu_beats_the_start_too():
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip(f"{NOT_RUN_HERE} TensorFlow sees no GPU (trains the transformer on it)")
    transformer = untrained()
    transformer.fit(SHOP, context())
    assert {"GPU" in weight.value.device for weight in transformer.trainable_weights} == {True}
    assert gain(transformer) > 0.05


def test_a_file_keeps_the_network(fitted, tmp_path):
    model = as_model(fitted[0], LENGTH, FREQUENT)
    save(model, tmp_path / "transformer.keras")
    assert np.array_equal(
        score(model, states()), score(load(tmp_path / "transformer.keras"), states())
    )


def test_the_same_seed_gives_the_same_metrics(fitted):
    again = untrained()
    notes = again.fit(SHOP, context())
    curves = [
        [(point["loss"], point["validation_ndcg_at_10"]) for point in one["learning_curve"]]
        for one in (fitted[1], notes)
    ]
    assert curves[0] == curves[1]


def test_no_purchase_no_label():
    rows = [Row(0, 1, 1.0, PURCHASE), Row(1, 2, 1.0, VIEW)]
    shop = dataset_of(rows, items=2, validation_day=20, test_day=30)
    transformer = Transformer(2, TransformerSettings(embedding_dim=4, num_blocks=1), name="t")
    as_model(transformer, 4, 4)
    lengths = {"history_length": 4, "frequent_length": 4}
    notes = transformer.fit(shop, FitContext(until=START + 20 * DAY, cpu_seconds=1.0, **lengths))
    assert notes["steps"] == 0
