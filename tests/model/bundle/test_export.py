"""The exported folder: whole, equal, immutable, and the same answers from every engine."""

import hashlib
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ci.evaluating.parity import check_engine
from model.bundle.card import BATCH_SIZES, golden_answers, golden_requests, read_card
from model.bundle.export import EDGE, VOCABULARY, WARMUP, export_bundle, load_bundle
from model.bundle.reference import index_inputs, reference_answers, string_inputs
from model.schema import INPUTS, Input, Output
from tests import tiny
from tests.tiny import LENGTHS, LINEAGE, copy_bundle, export_tiny, requests, tiny_model


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_files_of_a_bundle(tiny_bundle):
    assert sorted(digests(tiny_bundle)) == [
        str(WARMUP),
        str(VOCABULARY),
        "card.json",
        str(EDGE),
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    ]
    writable = [
        path for path in tiny_bundle.rglob("*") if path.is_file() and path.stat().st_mode & 0o222
    ]
    assert not writable


def test_weights_are_stored_once(tiny_bundle):
    weights = sum(weight.nbytes for weight in tiny_model().get_weights())
    assert (tiny_bundle / "variables/variables.data-00000-of-00001").stat().st_size < 1.5 * weights
    assert (tiny_bundle / EDGE).stat().st_size > weights


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' saving
def test_equal_weights_give_equal_files(tiny_bundle, tmp_path):
    """In this process, and in another that loads the saved model."""
    tiny_model().save(tmp_path / "model.keras")
    script = (
        "import sys, pathlib, keras\n"
        "from tests.tiny import export_tiny\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "export_tiny(pathlib.Path(sys.argv[2]), model)\n"
        "export_tiny(pathlib.Path(sys.argv[3]), model)\n"
    )
    folders = [tmp_path / "a", tmp_path / "b"]
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "model.keras", *folders],
        check=True,
        capture_output=True,
        cwd=Path(tiny.__file__).parent.parent,
    )
    assert digests(folders[0]) == digests(folders[1])
    import keras

    export_tiny(tmp_path / "c", keras.models.load_model(tmp_path / "model.keras"))
    assert digests(tmp_path / "c") == digests(folders[0])


def test_other_weights_give_other_files(tiny_bundle, tmp_path):
    export_tiny(tmp_path / "1", tiny_model(seed=4))
    here, there = digests(tiny_bundle), digests(tmp_path / "1")
    assert {name for name in here if here[name] != there[name]} >= {
        "card.json",
        str(EDGE),
        "variables/variables.data-00000-of-00001",
    }


def test_an_existing_bundle_is_never_changed(tiny_bundle):
    before = digests(tiny_bundle)
    with pytest.raises(FileExistsError, match="never changed"):
        export_tiny(tiny_bundle)
    assert digests(tiny_bundle) == before


def test_a_failed_export_leaves_nothing(tmp_path):
    model = tiny_model()
    kernel, constant = model.get_layer("bias").get_weights()
    model.get_layer("bias").set_weights([kernel, constant * np.nan])
    with pytest.raises(ValueError, match="not a number for golden request 0"):
        export_tiny(tmp_path / "1", model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", ["savedmodel", "litert"])
def test_every_engine_repeats_the_golden_answers(tiny_bundle, engine):
    result = check_engine(tiny_bundle, engine, load_bundle(tiny_bundle, engine))
    assert result.passed, result.first_difference
    assert result.rows == 5


@pytest.mark.parametrize("engine", ["savedmodel", "litert"])
def test_every_engine_agrees_on_the_known_history(tiny_bundle, engine):
    assert load_bundle(tiny_bundle, engine)(requests())[Output.KNOWN_ITEMS].tolist() == [
        0,
        3,
        2,
        0,
        6,
    ]


def test_one_changed_byte_of_the_weights_does_not_load(tiny_bundle, tmp_path):
    """TensorFlow keeps a checksum a tensor: a bundle damaged on its way never serves."""
    bundle = copy_bundle(tiny_bundle, tmp_path / "1")
    _halve_largest_bias(bundle / "variables/variables.data-00000-of-00001")
    with pytest.raises(tf.errors.DataLossError, match="Checksum does not match"):
        load_bundle(bundle)


def test_one_changed_weight_fails_the_check(tiny_bundle, tmp_path):
    """A valid bundle of a model with one other weight does not repeat these answers."""
    model = tiny_model()
    kernel, constant = model.get_layer("bias").get_weights()
    constant[constant.argmax()] /= 2
    model.get_layer("bias").set_weights([kernel, constant])
    bundle = copy_bundle(export_tiny(tmp_path / "other", model), tmp_path / "1")
    shutil.copy(tiny_bundle / "card.json", bundle / "card.json")
    for engine in ("savedmodel", "litert"):
        result = check_engine(bundle, engine, load_bundle(bundle, engine))
        assert not result.passed
        assert "item" in result.first_difference


def test_one_changed_weight_of_the_edge_model_fails_the_check(tiny_bundle, tmp_path):
    bundle = copy_bundle(tiny_bundle, tmp_path / "1")
    _halve_largest_bias(bundle / EDGE)
    assert not check_engine(bundle, "litert", load_bundle(bundle, "litert")).passed


def _halve_largest_bias(path: Path) -> None:
    constant = tiny_model().get_layer("bias").get_weights()[1]
    wanted = struct.pack("<f", float(constant.max()))
    content = path.read_bytes()
    assert content.count(wanted) == 1
    changed = struct.pack("<f", float(constant.max()) / 2)
    assert sum(a != b for a, b in zip(wanted, changed, strict=True)) == 1
    path.write_bytes(content.replace(wanted, changed))


def test_the_card_says_what_was_exported(tiny_bundle):
    card = read_card(tiny_bundle)
    assert {key: card[key] for key in ("model", "task", "items", "top_k", "history_length")} == {
        "model": "tiny",
        "task": "next_item",
        "items": 20,
        "top_k": 10,
        "history_length": 6,
    }
    assert card["trained_until"] == "2025-01-01T00:00:00Z"
    assert card["tolerance"] == {"savedmodel": 1e-4, "litert": 1e-3}
    text, index = {"dtype": "string", "shape": [-1, 6]}, {"dtype": "int32", "shape": [-1, 6]}
    assert card["signatures"]["recommend"] == card["signatures"]["serving_default"]
    assert card["signatures"]["recommend"]["inputs"][Input.HISTORY] == text
    assert card["signatures"]["recommend_by_index"]["inputs"][Input.HISTORY_EVENT_TYPE] == index
    assert sorted(card["signatures"]) == [
        "embed_user",
        "recommend",
        "recommend_by_index",
        "score_candidates",
        "serving_default",
    ]
    for signature in card["signatures"].values():
        assert set(INPUTS) <= set(signature["inputs"])
        shapes = [*signature["inputs"].values(), *signature["outputs"].values()]
        assert all(tensor["shape"][0] == -1 for tensor in shapes)  # batch-major, or no batching


def test_the_goldens_come_from_the_keras_model(tiny_bundle):
    """By hand for the new shopper: the scores are the biases, best first."""
    card = read_card(tiny_bundle)
    constant = tiny_model().get_layer("bias").get_weights()[1][1:]
    best = sorted(range(20), key=lambda place: -constant[place])[:10]
    answers = golden_answers(card)
    assert answers[Output.ITEM_IDS][0].tolist() == [tiny.VOCABULARY[place] for place in best]
    np.testing.assert_allclose(answers[Output.SCORES][0], constant[best], rtol=1e-5)
    for name, values in golden_requests(card).items():
        assert values.tolist() == requests()[name].tolist()


def test_a_model_without_encoder_has_no_embed_user(tmp_path):
    bundle = export_tiny(tmp_path / "1", tiny_model(vector=False))
    assert "embed_user" not in read_card(bundle)["signatures"]


def test_a_small_shop_gets_all_its_items(tmp_path):
    five = [f"item-{index}" for index in range(1, 6)]
    export_bundle(
        tiny_model(items=5),
        five,
        tmp_path / "1",
        lineage=LINEAGE,
        golden_inputs=requests(),
        lengths=LENGTHS,
    )
    assert read_card(tmp_path / "1")["top_k"] == 5
    for engine in ("savedmodel", "litert"):
        answer = load_bundle(tmp_path / "1", engine)(requests())[Output.ITEM_IDS]
        assert [sorted(row) for row in answer.tolist()] == [five] * 5


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (["a\nb", *tiny.VOCABULARY[1:]], "line of their own, the first is 'a\\\\nb'"),
        (["", *tiny.VOCABULARY[1:]], "line of their own"),
        ([tiny.VOCABULARY[1], *tiny.VOCABULARY[1:]], "20 ids but only 19 different"),
        (tiny.VOCABULARY[1:], "scores 21 columns, but the vocabulary has 19 items"),
    ],
)
def test_a_vocabulary_that_cannot_be_served_is_refused(vocabulary, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_bundle(
            tiny_model(),
            vocabulary,
            tmp_path / "1",
            lineage=LINEAGE,
            golden_inputs=requests(),
            lengths=LENGTHS,
        )


def test_ids_keep_their_spaces_and_letters(tmp_path):
    odd = [" leading", "trailing ", "tab\there", "№ 5", "a,b", '"quoted"', *tiny.VOCABULARY[6:]]
    export_bundle(
        tiny_model(),
        odd,
        tmp_path / "1",
        lineage=LINEAGE,
        golden_inputs=requests(),
        lengths=LENGTHS,
    )
    row = {name: values[:1].copy() for name, values in requests().items()}
    row[Input.HISTORY][0] = odd[:6]
    assert load_bundle(tmp_path / "1")(row)[Output.KNOWN_ITEMS].tolist() == [6]


def test_string_and_index_inputs_are_inverse():
    indices = index_inputs(requests(), tiny.VOCABULARY)
    again = index_inputs(string_inputs(indices, tiny.VOCABULARY), tiny.VOCABULARY)
    for name in INPUTS:
        assert indices[name].tolist() == again[name].tolist()
    assert indices[Input.HISTORY][2].tolist() == [0, 0, 0, 0, 2, 20]
    assert indices[Input.FREQUENT_COUNTS][2].tolist() == [0.0, 0.0, 3.0, 1.0]


def test_reference_answers_rank_ties_by_index():
    model = tiny_model()
    kernel, constant = model.get_layer("bias").get_weights()
    model.get_layer("bias").set_weights([kernel * 0, np.round(constant)])
    answer = reference_answers(model, requests(), tiny.VOCABULARY, 20)
    best = sorted(range(1, 21), key=lambda index: (-np.round(constant)[index], index))
    assert answer[Output.ITEM_IDS][0].tolist() == [tiny.VOCABULARY[index - 1] for index in best]


def test_the_card_is_plain_json(tiny_bundle):
    text = (tiny_bundle / "card.json").read_text("utf-8")
    assert "奶酪" in text
    assert json.loads(text)["batch_sizes"] == list(BATCH_SIZES)
