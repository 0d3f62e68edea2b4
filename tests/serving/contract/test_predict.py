"""Contract, groups 3, 4 and 12: every way to ask gives the one right answer."""

import pytest

from tests.serving.bundles import ITEMS, TOP, empty_row, index_of, random_row
from tests.serving.stubs import columns

pytestmark = pytest.mark.wire
ROWS = [random_row(seed, unknown=seed % 3 == 0) for seed in range(6)] + [empty_row()]
BY_INDEX = ("history", "frequent_items")


def by_index(row):
    """The row in the world of indices, every event a view (2)."""
    types = [2 if event else 0 for event in row["history_event_type"]]
    indices = {name: [index_of(item) for item in row[name]] for name in BY_INDEX}
    return row | indices | {"history_event_type": types}


def assert_answers(outputs, expected):
    """Ids equal, scores within what float32 and the engines' tolerance leave."""
    assert outputs["item_ids"] == [answer["item_ids"] for answer in expected]
    assert outputs["known_items"] == [answer["known_items"] for answer in expected]
    for scores, answer in zip(outputs["scores"], expected, strict=True):
        assert scores == pytest.approx(answer["scores"], rel=1e-4, abs=1e-3)


def values(answer):
    return {name: tensor["values"] for name, tensor in answer["outputs"].items()}


def test_grpc_rest_rows_and_rest_columns_answer_as_computed(server, stubs, first):
    expected = [first.expected(row) for row in ROWS]
    assert_answers(values(stubs.predict(server.grpc_address, ROWS)), expected)
    body = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    by_column = server.post("/v1/models/next_item:predict", {"inputs": body}).json()
    assert_answers(by_column["outputs"], expected)
    rows = server.post("/v1/models/next_item:predict", {"instances": ROWS}).json()["predictions"]
    assert_answers({name: [row[name] for row in rows] for name in rows[0]}, expected)


def test_server_equals_the_saved_model_in_process(server, stubs, first):
    inside = values(stubs.call("in_process", str(first.folder), inputs=columns(ROWS)))
    served = values(stubs.predict(server.grpc_address, ROWS))
    assert served["item_ids"] == inside["item_ids"]
    for row, same in zip(served["scores"], inside["scores"], strict=True):
        assert row == pytest.approx(same, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("path", ["/versions/1:predict", ":predict"])
def test_rest_and_grpc_say_which_signature(server, stubs, path):
    body = {"signature_name": "recommend", "instances": ROWS}
    named = server.post(f"/v1/models/next_item{path}", body).json()
    assert named == server.post("/v1/models/next_item:predict", {"instances": ROWS}).json()
    answer = stubs.predict(server.grpc_address, ROWS, spec={"signature": "recommend"})
    assert (answer["version"], answer["signature"]) == (1, "recommend")
    answer = stubs.predict(server.grpc_address, ROWS, spec={"version": 1})
    assert (answer["version"], answer["signature"]) == (1, "serving_default")


def test_the_world_of_indices_agrees_with_the_world_of_ids(server, stubs):
    views = [row | {"history_event_type": ["view" if e else "" for e in row["history_event_type"]]}
             for row in ROWS]  # fmt: skip
    by_id = values(stubs.predict(server.grpc_address, views))
    inputs = columns([by_index(row) for row in views])
    for name in (*BY_INDEX, "history_event_type"):
        inputs[name]["dtype"] = "int32"
    answer = stubs.call(
        "predict", server.grpc_address, spec={"signature": "recommend_by_index"}, inputs=inputs
    )
    indices = values(answer)["item_ids"]
    assert [[f"item{index}" for index in row] for row in indices] == by_id["item_ids"]
    assert answer["outputs"]["item_ids"]["dtype"] == "int32"


def test_typed_fields_and_tensor_content_are_the_same_tensor(server, stubs):
    typed = stubs.predict(server.grpc_address, ROWS, inputs=columns(ROWS, "typed"))
    packed = stubs.predict(server.grpc_address, ROWS, inputs=columns(ROWS, "content"))
    assert typed == packed
    dtypes = {name: tensor["dtype"] for name, tensor in typed["outputs"].items()}
    assert dtypes == {"item_ids": "string", "scores": "float32", "known_items": "int32"}


def test_answers_carry_typed_fields(server, stubs):
    outputs = stubs.predict(server.grpc_address, ROWS)["outputs"]
    assert not any(tensor["tensor_content"] for tensor in outputs.values())


def test_a_value_stands_for_all_that_follow(server, stubs):
    """TensorFlow's short form: fewer values than elements repeat the last one."""
    row = random_row(3)
    full = columns([row | {"frequent_counts": [2.0] * 4}])
    short = columns([row])
    short["frequent_counts"] = {"dtype": "float32", "values": 2.0, "shape": [1, 4]}
    assert stubs.predict(server.grpc_address, [row], inputs=short) == stubs.predict(
        server.grpc_address, [row], inputs=full
    )


def test_the_filter_names_the_outputs(server, stubs):
    answer = stubs.predict(server.grpc_address, ROWS, filter=["scores"])
    assert list(answer["outputs"]) == ["scores"]
    for wrong in (["nothing"], ["scores", "scores"]):
        refused = stubs.predict(server.grpc_address, ROWS, filter=wrong)
        assert refused["error"] == "INVALID_ARGUMENT"


def test_strings_by_base64(server):
    row = random_row(1)
    encoded = row | {"history": [{"b64": "aXRlbTM="} if item else "" for item in row["history"]]}
    plain = row | {"history": ["item3" if item else "" for item in row["history"]]}
    answers = [
        server.post("/v1/models/next_item:predict", {"instances": [each]}).json()
        for each in (encoded, plain)
    ]
    assert answers[0] == answers[1]
    assert "predictions" in answers[0]


def test_scores_are_sorted_and_padding_is_never_recommended(server, stubs):
    outputs = values(stubs.predict(server.grpc_address, ROWS))
    for ids, scores in zip(outputs["item_ids"], outputs["scores"], strict=True):
        assert scores == sorted(scores, reverse=True)
        assert len(set(ids)) == TOP
        assert all(1 <= index_of(item) <= ITEMS for item in ids)


def test_an_unknown_item_counts_for_nothing(server, stubs):
    row = random_row(4)
    known = row | {"history": [*row["history"][:-1], ""]}
    unknown = row | {"history": [*row["history"][:-1], "never-heard-of"]}
    answers = [values(stubs.predict(server.grpc_address, [each])) for each in (known, unknown)]
    assert answers[0] == answers[1]


def test_a_shopper_of_whom_nothing_is_known_gets_a_finite_answer(server):
    answer = server.post("/v1/models/next_item:predict", {"instances": [empty_row()]}).json()
    row = answer["predictions"][0]
    assert row["known_items"] == 0
    assert all(-1e6 < score <= 0 for score in row["scores"])
