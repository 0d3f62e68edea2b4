"""Answers a bundle's golden requests as the C++ server does: a session, a SignatureDef, feeds.

Run as a program by test_session.py, with the TensorFlow of whichever environment starts it:
`python session_answers.py BUNDLE` prints one JSON object.
"""

import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import tensorflow as tf  # noqa: E402
from tensorflow.python.framework import op_def_registry  # noqa: E402

from model.bundle.card import golden_requests, read_card  # noqa: E402


def answers(bundle: Path, signature: str, inputs: dict) -> dict[str, list]:
    """Load the bundle into a fresh graph and run one signature by the names in its SignatureDef."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(bundle))
        definition = meta.signature_def[signature]
        feeds = {definition.inputs[name].name: inputs[name] for name in definition.inputs}
        fetches = {name: info.name for name, info in definition.outputs.items()}
        return {name: value.tolist() for name, value in session.run(fetches, feeds).items()}


def main(bundle: Path) -> None:
    """Print the answers, the version, and the operations that this TensorFlow lacks."""
    card = read_card(bundle)
    answered = answers(bundle, "serving_default", golden_requests(card))
    answered["item_ids"] = [[item.decode() for item in row] for row in answered["item_ids"]]
    missing = [name for name in card["ops"] if op_def_registry.get(name) is None]
    version = tf.version
    print(
        json.dumps(
            {
                "answers": answered,
                "tensorflow": version.VERSION,
                "producer": version.GRAPH_DEF_VERSION,
                "missing": missing,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
