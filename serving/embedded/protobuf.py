"""Builds message classes from .proto text in a pool of their own, beside any genuine stubs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_TOKEN: Final = re.compile(r"//[^\n]*|\"[^\"]*\"|[\w.]+|[{}<>=;,]")
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    name: getattr(_FIELD, f"TYPE_{name.upper()}")
    for name in ("double", "float", "int64", "uint64", "int32", "uint32", "bool", "string", "bytes")
}


class MessagePool:
    """Message classes by full name, compiled at import from the subset of proto3 that we use.

    A pool apart from protobuf's default one lets `tensorflow.TensorProto` of this server and of
    TensorFlow live in one process; the stubs of protoc would refuse the second definition.

    Args:
        paths: The .proto files, each after the files that it imports.
    """

    def __init__(self, *paths: Path) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        for module in (any_pb2, wrappers_pb2):
            self._pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        for path in paths:
            file = _Compiler(path.read_text(encoding="utf-8")).file(path.name)
            self._pool.AddSerializedFile(file.SerializeToString())

    def message(self, full_name: str) -> Any:
        """Returns the message class of a full name such as `tensorflow.TensorProto`."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(full_name))

    def enum(self, full_name: str) -> dict[str, int]:
        """Returns the values of an enumeration by name."""
        values = self._pool.FindEnumTypeByName(full_name).values
        return {value.name: value.number for value in values}


class _Compiler:
    """Reads message, enum, oneof, map, repeated and nesting; no options, services or defaults."""

    def __init__(self, text: str) -> None:
        tokens = (token for token in _TOKEN.findall(text) if not token.startswith("//"))
        self._tokens: Iterator[str] = iter(list(tokens))
        self._package = ""

    def file(self, name: str) -> Any:
        file = descriptor_pb2.FileDescriptorProto(name=name, syntax="proto3")
        for keyword in self._tokens:
            if keyword == "message":
                self._message(file.message_type.add(), "")
            elif keyword == "enum":
                self._enum(file.enum_type.add())
            else:
                self._statement(file, keyword)
        return file

    def _statement(self, file: Any, keyword: str) -> None:
        words = list(iter(self._tokens.__next__, ";"))
        if keyword == "package":
            file.package = self._package = words[0]
        elif keyword == "import":
            file.dependency.append(words[0].strip('"'))
        elif keyword != "syntax":
            raise ValueError(f"{file.name}: {keyword!r} is outside the subset of proto3 read here.")

    def _message(self, message: Any, scope: str) -> None:
        message.name = next(self._tokens)
        inner = f"{scope}{message.name}."
        next(self._tokens)
        for word in iter(self._tokens.__next__, "}"):
            if word == "message":
                self._message(message.nested_type.add(), inner)
            elif word == "enum":
                self._enum(message.enum_type.add())
            elif word == "oneof":
                message.oneof_decl.add(name=next(self._tokens))
                next(self._tokens)
                for inner_word in iter(self._tokens.__next__, "}"):
                    self._field(message, inner_word, inner)
                    message.field[-1].oneof_index = len(message.oneof_decl) - 1
            else:
                self._field(message, word, inner)

    def _field(self, message: Any, word: str, scope: str) -> None:
        repeated = word == "repeated"
        kind = next(self._tokens) if repeated else word
        if kind == "map":
            _, key, _, value, _ = (next(self._tokens) for _ in range(5))
        name, _, number, _ = (next(self._tokens) for _ in range(4))
        field = message.field.add(name=name, number=int(number))
        field.label = _FIELD.LABEL_REPEATED if repeated or kind == "map" else _FIELD.LABEL_OPTIONAL
        if kind == "map":
            entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
            entry.options.map_entry = True
            for place, (label, type_name) in enumerate((("key", key), ("value", value)), start=1):
                part = entry.field.add(name=label, number=place, label=_FIELD.LABEL_OPTIONAL)
                _set_type(part, type_name)
            kind = f".{self._package}.{scope}{entry.name}"
        _set_type(field, kind)

    def _enum(self, enum: Any) -> None:
        enum.name = next(self._tokens)
        next(self._tokens)
        for name in iter(self._tokens.__next__, "}"):
            _, number, _ = (next(self._tokens) for _ in range(3))
            enum.value.add(name=name, number=int(number))


def _set_type(field: Any, name: str) -> None:
    if name in _SCALARS:
        field.type = _SCALARS[name]
    else:  # the pool resolves the name and finds out whether it is a message or an enum
        field.type_name = name
