"""Contract, groups 7, 9 and 10: a batching server that watches its file and has deadlines."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving.bundles import place, random_row
from tests.serving.lifecycles import Lifecycle
from tests.serving.servers import entry, launch, model_config, specific, wait_until
from tests.serving.stubs import columns

pytestmark = pytest.mark.lifecycle
ROWS = [random_row(seed) for seed in range(16)]
LARGEST = 8
TIMEOUT_SECONDS = 4  # of REST: long for an answer on a busy machine, short for a test
BATCHING = f"""
max_batch_size {{ value: {LARGEST} }}
batch_timeout_micros {{ value: 1000 }}
num_batch_threads {{ value: 1 }}
max_enqueued_batches {{ value: 2 }}
allowed_batch_sizes: 1
allowed_batch_sizes: 2
allowed_batch_sizes: 4
allowed_batch_sizes: {LARGEST}
"""
PREDICT = "/v1/models/next_item:predict"
A_SECOND = 200_000  # iterations of `busy` that take some 0.9 s of one core
FOREVER = 2**30


@pytest.fixture(scope="module")
def batching(batching_kind, first, stubs, tmp_path_factory):
    """A server that batches, with labels from the start and its file read every second."""
    folder = tmp_path_factory.mktemp(f"batching-{batching_kind}")
    (folder / "batching.txt").write_text(BATCHING)
    place(first, folder / "next_item", 1)
    server = launch(
        batching_kind,
        folder,
        model_config(entry(folder / "next_item", specific(1), {"stable": 1})),
        "--enable_batching=true",
        f"--batching_parameters_file={folder / 'batching.txt'}",
        f"--rest_api_timeout_in_ms={TIMEOUT_SECONDS * 1000}",
        "--rest_api_num_threads=16",
        "--grpc_max_threads=16",
        "--model_config_file_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models=true",
        "--max_num_load_retries=0",
    )
    try:
        server.wait_available(1)
        yield Lifecycle(server, stubs, folder)
    finally:
        assert server.stop() == 0, server.tail()


def busy(iterations, rows=LARGEST, **line):
    tensor = {"dtype": "int32", "values": [iterations] * rows}
    return {"spec": {"signature": "busy"}, "inputs": {"iterations": tensor}, **line}


def test_a_label_of_the_file_holds_from_the_start(batching):
    assert len(batching.scores("next_item/labels/stable", ROWS[0])) == 5


def test_concurrent_answers_equal_single_answers(batching, stubs, first):
    address = batching.server.grpc_address
    requests = [{"spec": {}, "inputs": columns([row])} for row in ROWS]
    together = stubs.call("predict_many", address, requests=requests)["answers"]
    for row, answer in zip(ROWS, together, strict=True):
        expected = first.expected(row)
        assert answer["outputs"]["item_ids"]["values"] == [expected["item_ids"]]
        scores = answer["outputs"]["scores"]["values"][0]
        assert scores == pytest.approx(expected["scores"], rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("rows", [1, 3, 5, LARGEST])
def test_every_size_is_padded_and_cut_again(batching, first, rows):
    body = {"instances": ROWS[:rows]}
    answer = batching.server.post(PREDICT, body).json()["predictions"]
    expected = [first.expected(row)["item_ids"] for row in ROWS[:rows]]
    assert [row["item_ids"] for row in answer] == expected


def test_more_rows_than_a_batch_may_have_are_refused(batching):
    refused = batching.server.post(PREDICT, {"instances": ROWS[: LARGEST + 1]})
    assert refused.status_code == 400


def test_a_full_queue_is_unavailable_by_grpc(batching, stubs):
    """One batch runs, two wait, three more find no place."""
    address = batching.server.grpc_address
    answers = stubs.call("predict_many", address, requests=[busy(A_SECOND)] * 6)["answers"]
    codes = Counter(answer.get("error", "OK") for answer in answers)
    assert codes.keys() == {"OK", "UNAVAILABLE"}
    assert codes["OK"] >= 2


def test_a_full_queue_is_503_by_rest(batching):
    body = {"signature_name": "busy", "instances": [A_SECOND // 2] * LARGEST}
    with ThreadPoolExecutor(6) as pool:
        codes = Counter(
            answer.status_code
            for answer in pool.map(lambda _: batching.server.post(PREDICT, body), range(6))
        )
    assert codes.keys() == {200, 503}


def test_the_deadline_of_a_call_ends_it(batching, stubs, first):
    refused = stubs.call("predict", batching.server.grpc_address, **busy(FOREVER, timeout=0.5))
    assert refused["error"] == "DEADLINE_EXCEEDED"
    # the only batch thread is free again: had the run gone on, this would wait for ever
    answer = batching.scores("next_item", ROWS[0])
    assert answer == pytest.approx(first.expected(ROWS[0])["scores"], rel=1e-4, abs=1e-3)


def test_the_timeout_of_rest_is_504(batching):
    body = {"signature_name": "busy", "instances": [FOREVER]}
    refused = batching.server.post(PREDICT, body)
    assert refused.status_code == 504
    assert set(refused.json()) == {"error"}
    assert len(batching.scores("next_item", ROWS[0])) == 5


def test_the_file_is_read_again(batching, second):
    """A second version, then the label: each change of the file takes effect by itself."""
    place(second, batching.base("next_item"), 2)
    file = batching.folder / "models.config"
    base = batching.base("next_item")
    file.write_text(model_config(entry(base, specific(1, 2), {"stable": 1})))
    batching.server.wait_available(1, 2)
    file.write_text(model_config(entry(base, specific(1, 2), {"stable": 2})))
    expected = pytest.approx(second.expected(ROWS[0])["scores"], rel=1e-4, abs=1e-3)
    wait_until(lambda: batching.scores("next_item/labels/stable", ROWS[0]) == expected, "the flip")


def test_a_broken_file_changes_nothing(batching):
    file = batching.folder / "models.config"
    good = file.read_text()
    file.write_text("model_config_list { nonsense")
    if batching.server.embedded:
        wait_until(lambda: "is not applied" in batching.server.tail(), "the log tells of the file")
    assert len(batching.scores("next_item", ROWS[0])) == 5
    file.write_text(good)
