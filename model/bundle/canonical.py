"""Makes a written SavedModel depend on its content alone, so that equal models have equal files.

TensorFlow numbers functions by a counter of the process, keeps the function library in hash order,
names a table after the temporary path of its file, and signs each export with a random number.
None of them changes an answer.
"""

import copy
import re
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from tensorflow.core.protobuf import saved_model_pb2

_COUNTER = re.compile(r"(__(?:inference|forward|backward)_\w+?_|PartitionedCall-)(\d+)")


def canonicalise(folder: Path, vocabulary: Path) -> None:
    """Rewrite `saved_model.pb` in its canonical form and remove the fingerprint.

    Args:
        folder: A SavedModel just written.
        vocabulary: The file its tables were read from.
    """
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    numbers = sorted({int(m[2]) for text in _texts(saved) for m in _COUNTER.finditer(text)})
    rank = {number: place for place, number in enumerate(numbers)}

    def rename(text: str) -> str:
        text = text.replace(str(vocabulary), vocabulary.name)
        return _COUNTER.sub(lambda match: f"{match[1]}{rank[int(match[2])]}", text)

    _rewrite(saved, rename)
    for graph in saved.meta_graphs:
        library = graph.graph_def.library
        functions = sorted(library.function, key=lambda function: function.signature.name)
        del library.function[:]
        library.function.extend(functions)
    path.write_bytes(saved.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink(missing_ok=True)


def _texts(message: Message) -> Iterator[str]:
    """Every text in a message, bytes fields and map keys included, where it is valid UTF-8."""
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    _rewrite(message, note)
    return iter(found)


def _rewrite(message: Message, change: Callable[[str], str]) -> None:
    for field, value in message.ListFields():
        if _is_map(field):
            _rewrite_map(field, value, change)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in value if field.is_repeated else (value,):
                _rewrite(inner, change)
        elif field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            if field.is_repeated:
                value[:] = [_changed(inner, change) for inner in value]
            else:
                setattr(message, field.name, _changed(value, change))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _rewrite_map(
    field: FieldDescriptor, entries: MutableMapping[Any, Any], change: Callable[[str], str]
) -> None:
    holds_messages = field.message_type.fields_by_name["value"].message_type is not None
    # Emptied before it is filled: a new name may be the old name of another entry.
    former = {key: copy.deepcopy(entries[key]) for key in entries}
    entries.clear()
    captured = former.get("_user_specified_name")
    if captured is not None and captured.s.isdigit():
        del former["_user_specified_name"]  # a captured tensor, named by a counter: for debugging
    for key, value in former.items():
        if holds_messages:
            _rewrite(value, change)
            entries[_changed(key, change)].CopyFrom(value)
        else:
            entries[_changed(key, change)] = _changed(value, change)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, bytes):
        try:
            return change(value.decode("utf-8")).encode()
        except UnicodeDecodeError:  # weights and other numbers, not text
            return value
    return value
