"""The three formats of a job file: their content, and the line on which each field stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

if TYPE_CHECKING:
    import yaml

_MOST_NODES: Final = 50_000
"""More than a job that fits into an environment can have; YAML aliases multiply."""
_DEEPEST: Final = 100


class Malformed(ValueError):
    """The text is not what its format asks for."""

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        name: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.line = line
        self.name = name
        self.hint = hint


@frozen(kw_only=True)
class Spot:
    """Where a field stands; ``text`` is a scalar as it was written."""

    line: int
    text: str = field(default="", repr=False)
    scalar: bool = False


@frozen(kw_only=True)
class Document:
    """A parsed file.

    Attributes:
        content: What it holds.
        find: Returns the spots of all fields by dotted name; called for errors alone.
    """

    content: Any = field(repr=False)
    find: Callable[[], Mapping[str, Spot]] = field(repr=False)

    def spot(self, name: str) -> Spot | None:
        """Return where a field stands, or the nearest part around it."""
        spots = self.find()
        while name and name not in spots:
            name = name[: max(name.rfind("."), name.rfind("["), 0)]
        return spots.get(name)


def read_yaml(text: str) -> Document:
    """Parse YAML, safe tags only.

    Raises:
        Malformed: It is not YAML, or a key stands twice.
    """
    import yaml  # noqa: PLC0415 - costs at import

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        spots = dict(_spots(node)) if node is not None else {}
        content = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        msg = f"not valid YAML: {error.problem or error.context}"
        raise Malformed(msg, line=line) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        msg = f"not valid YAML: the character U+{int(error.character):04X} is not allowed"
        raise Malformed(msg, line=line) from None
    except RecursionError:
        msg_0 = "nested too deeply"
        raise Malformed(msg_0) from None
    except (ValueError, OverflowError) as error:
        if isinstance(error, Malformed):
            raise
        msg_0 = f"a value cannot be read: {error}"
        raise Malformed(msg_0, hint="quote it") from None
    return Document(content=content, find=lambda: spots)


def _spots(root: yaml.Node) -> Iterator[tuple[str, Spot]]:
    """Walk the nodes of a document.

    Raises:
        Malformed: A key stands twice, or aliases make the document huge or endless.
    """
    import yaml  # noqa: PLC0415 - costs at import

    waiting = [("", root, root.start_mark.line, 0)]
    count = 0
    while waiting:
        name, node, line, depth = waiting.pop()
        count += 1
        if count > _MOST_NODES or depth > _DEEPEST:
            what = "too many values" if count > _MOST_NODES else "nested too deeply"
            msg = f"{what} (an alias counts as what it stands for)"
            raise Malformed(msg, line=line + 1)
        scalar = isinstance(node, yaml.ScalarNode)
        yield name, Spot(line=line + 1, text=node.value if scalar else "", scalar=scalar)
        waiting += [(*part, depth + 1) for part in _parts(name, node)]


def _parts(name: str, node: yaml.Node) -> list[tuple[str, yaml.Node, int]]:
    """List what is directly inside a node: name, node, line."""
    import yaml  # noqa: PLC0415 - costs at import

    if isinstance(node, yaml.MappingNode):
        return _entries(name, node)
    if isinstance(node, yaml.SequenceNode):
        items = enumerate(node.value)
        return [(f"{name}[{index}]", item, item.start_mark.line) for index, item in items]
    return []


def _entries(name: str, node: yaml.MappingNode) -> list[tuple[str, yaml.Node, int]]:
    found: dict[str, tuple[str, yaml.Node, int]] = {}
    for key, value in node.value:
        whole = f"{name}.{key.value}".removeprefix(".")
        line = key.start_mark.line
        if whole in found:
            msg = f"{whole}: stands twice, first on line {found[whole][2] + 1}"
            raise Malformed(msg, line=line + 1, name=whole)
        found[whole] = (whole, value, line)
    return list(found.values())


def read_json(text: str) -> Document:
    """Parse JSON.

    Raises:
        Malformed: It is not JSON, or a key stands twice.
    """
    import json  # noqa: PLC0415 - not for YAML

    try:
        content = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        msg = f"not valid JSON: {error.msg}"
        raise Malformed(msg, line=error.lineno) from None
    except Malformed:
        read_yaml(_without_tabs(text))  # Says on which line.
        raise
    except RecursionError:
        msg = "nested too deeply"
        raise Malformed(msg) from None
    except ValueError as error:
        msg = f"a value cannot be read: {error}"
        raise Malformed(msg) from None
    return Document(content=content, find=lambda: _json_spots(text))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"{twice}: stands twice"
        raise Malformed(msg, name=twice)
    return found


def _no_constant(name: str) -> None:
    msg = f"not valid JSON: {name}"
    raise Malformed(msg)


def _json_spots(text: str) -> Mapping[str, Spot]:
    """Find lines with the YAML parser, of which JSON is a subset but for tabs."""
    try:
        spots = read_yaml(_without_tabs(text)).find()
    except Malformed:
        return {}
    # What is quoted in JSON is no scalar that quotes would help.
    return {name: Spot(line=spot.line) for name, spot in spots.items()}


def _without_tabs(text: str) -> str:
    return text.replace("\t", " ")


def read_toml(text: str) -> Document:
    """Parse TOML.

    Raises:
        Malformed: It is not TOML.
    """
    import tomllib  # noqa: PLC0415 - not for YAML

    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, where = str(error).partition(" (at ")
        number = re.match(r"line (\d+)", where)
        line = int(number.group(1)) if number else len(text.splitlines())
        msg = f"not valid TOML: {message}"
        raise Malformed(msg, line=line) from None
    except RecursionError:
        msg = "nested too deeply"
        raise Malformed(msg) from None
    except ValueError as error:
        msg = f"a value cannot be read: {error}"
        raise Malformed(msg) from None
    return Document(content=content, find=lambda: _toml_spots(text))


_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEY = rf"({_PART}(?:\s*\.\s*{_PART})*)"
_HEADER = re.compile(rf"\s*\[\s*{_KEY}\s*\]")
_ENTRY = re.compile(rf"(?:^|[{{,])\s*{_KEY}\s*=")


def _toml_spots(text: str) -> Mapping[str, Spot]:
    """Find the lines of keys: tomllib keeps none. The first part of a table is its header."""
    spots: dict[str, Spot] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header is not None:
            table = _joined(header.group(1)) + "."
            spots.setdefault(table[:-1], Spot(line=number))
            continue
        outer = table
        for index, entry in enumerate(_ENTRY.finditer(line)):
            name = outer + _joined(entry.group(1))
            spots.setdefault(name, Spot(line=number))
            if index == 0:
                outer = name + "."
    return spots


def _joined(key: str) -> str:
    return ".".join(part.strip("\"'") for part in re.findall(_PART, key))
