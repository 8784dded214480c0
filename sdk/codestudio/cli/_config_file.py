"""Instances described in YAML: read strictly, every complaint with its line."""

import difflib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
import yaml
from google.protobuf.descriptor import FieldDescriptor

import codestudio
from codestudio.cli import _values
from codestudio.instance.v1 import instance_pb2

_CONFIG = instance_pb2.InstanceConfig.DESCRIPTOR
_INT32 = range(-(2**31), 2**31)


class ConfigError(typer.BadParameter):
    """The file does not describe instances; the message names the line."""


def load(path: str) -> list[codestudio.InstanceConfig]:
    """Read the instances a file describes; "-" reads standard input.

    It holds an InstanceConfig, a list of them, a mapping with such a list as `configs` (the
    body of instances:batchCreate), or several such documents. Fields are those of the contract
    and no others. Raises ConfigError.
    """
    return [_config(fields) for fields in _Reader(path).instances()]


def _config(fields: Mapping[str, Any]) -> codestudio.InstanceConfig:
    values = dict(fields)
    ports = values.pop("ports", {})
    return codestudio.InstanceConfig(**values, **ports)


class _Reader:
    def __init__(self, path: str) -> None:
        self._name = "standard input" if path == "-" else path
        try:
            text = sys.stdin.read() if path == "-" else Path(path).read_text()
            self._documents = [each for each in yaml.compose_all(text, yaml.SafeLoader) if each]
        except OSError as error:
            raise ConfigError(f"{self._name}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{self._name}: is not text in UTF-8") from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            where = f"{self._name}:{mark.line + 1}" if mark else self._name
            raise ConfigError(f"{where}: {error.problem}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{self._name}: {error}") from None

    def instances(self) -> Iterator[dict[str, Any]]:
        """Give the fields of each instance."""
        for document in self._documents:
            for node in self._items(document):
                yield self._message(node, _CONFIG, "")

    def _items(self, document: yaml.Node) -> list[yaml.Node]:
        if isinstance(document, yaml.MappingNode):
            entries = [(key.value, value) for key, value in document.value]
            if [key for key, _ in entries] == ["configs"]:
                document = entries[0][1]
        return document.value if isinstance(document, yaml.SequenceNode) else [document]

    def _message(self, node: yaml.Node, descriptor: Any, path: str) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, name, value in self._entries(node, path):
            field = descriptor.fields_by_name.get(name)
            if field is None:
                known = [each.name for each in descriptor.fields]
                raise self._error(key, f"unknown field {path}{name}{_suggest(name, known)}")
            if not _is_null(value):
                fields[name] = self._value(value, field, f"{path}{name}")
        return fields

    def _entries(self, node: yaml.Node, path: str) -> Iterator[tuple[yaml.Node, str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            what = path.rstrip(".") or "an instance"
            raise self._error(node, f"{what} is written as a mapping: name: value")
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                raise self._error(key, "a field's name is plain text")
            if key.value in seen:
                raise self._error(key, f"{path}{key.value} is given twice")
            seen.add(key.value)
            yield key, key.value, value

    def _value(self, node: yaml.Node, field: FieldDescriptor, path: str) -> Any:
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            return {
                name: self._text(value, f"{path}.{name}")
                for _, name, value in self._entries(node, f"{path}.")
            }
        if message is not None and message.full_name == "google.protobuf.Duration":
            try:
                return _values.duration(self._text(node, path))
            except ValueError as error:
                raise self._error(node, f"{path}: {error}") from None
        if message is not None:
            return self._message(node, message, f"{path}.")
        text = self._text(node, path)
        if field.enum_type is not None:
            return self._enum(node, text, path)
        if field.type == FieldDescriptor.TYPE_INT32:
            if not text.removeprefix("-").isdecimal() or int(text) not in _INT32:
                raise self._error(node, f"{path} is a whole number, not {text!r}")
            return int(text)
        return text

    def _enum(self, node: yaml.Node, text: str, path: str) -> codestudio.DesiredState:
        name = text.upper().removeprefix("DESIRED_STATE_")
        allowed = ["RUNNING", "STOPPED"]
        if name not in allowed:
            raise self._error(node, f"{path} is {' or '.join(allowed)}, not {text!r}")
        return codestudio.DesiredState(name)

    def _text(self, node: yaml.Node, path: str) -> str:
        """Take a scalar as it is written: `cpu: 2` and `DEBUG: true` mean the text."""
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, f"{path} is a single value")
        return "" if _is_null(node) else str(node.value)

    def _error(self, node: yaml.Node, message: str) -> ConfigError:
        return ConfigError(f"{self._name}:{node.start_mark.line + 1}: {message}")


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _suggest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; the fields are {', '.join(known)}"
