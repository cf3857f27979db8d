"""YAML text to plain values, and the place of each of them.

A subset of YAML: anchors, aliases, merge keys and tags are refused. Nobody needs them to write rules, and
without them every value stands in one place.
"""

# ruamel.yaml is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from io import StringIO
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from models.written import WrittenFloat, WrittenTime
from rules.language.diagnostics import RulesetError
from rules.language.source import SourceText

MAX_SOURCE_CHARS: Final = 1_000_000
# A rule file is seven levels deep: an attribute of a purchase of a case.
MAX_DEPTH: Final = 16


class _PlainComposer(Composer):
    """Refuses what makes one value stand in several places, or be something else than it looks like."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose the next node. Raises MarkedYAMLError."""
        event = self.parser.peek_event()
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refused(event, "anchors and aliases are not for rule files: write the value out")
        if getattr(event, "tag", None) is not None:
            raise _refused(event, "tags are not for rule files: leave it out")
        if any("\ud800" <= char <= "\udfff" for char in getattr(event, "value", "")):
            raise _refused(event, "this text holds half a character")
        if self.depth == MAX_DEPTH:
            raise _refused(event, "nested too deeply")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _PlacedConstructor(RoundTripConstructor):
    """Keeps numbers and times as they were written; tells where one is that is none."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Make the value of a node. Raises MarkedYAMLError."""
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, ArithmeticError) as error:
            raise _refused(node, str(error)) from None
        if isinstance(value, float):
            return WrittenFloat(value, node.value)
        return WrittenTime(node.value) if isinstance(value, date) else value


def _refused(event: Any, problem: str) -> MarkedYAMLError:
    return MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def load_yaml(source: SourceText) -> CommentedMap:
    """The mapping that a text holds, with places. Raises RulesetError."""
    if len(source.text) > MAX_SOURCE_CHARS:
        raise _wrong(source, f"a rule file has at most {MAX_SOURCE_CHARS} characters")
    root = _load(source)
    if not isinstance(root, CommentedMap):
        raise _wrong(source, "a rule file is a mapping", suggestion="begin with `ruleset: NAME`")
    return root


def _load(source: SourceText) -> Any:
    yaml = YAML(typ="rt", pure=True)
    yaml.Composer = _PlainComposer
    yaml.Constructor = _PlacedConstructor
    try:
        return yaml.load(StringIO(source.text))
    except DuplicateKeyError as error:
        raise _wrong(source, "this key is here twice", error) from None
    except MarkedYAMLError as error:
        raise _wrong(source, f"not YAML: {error.problem or error.context}", error) from None
    # Beside its own errors the library lets some of Python's out: for numbers and times that are none, mostly.
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise _wrong(source, f"not YAML: {lines[0]}") from None


def _wrong(
    source: SourceText, message: str, error: MarkedYAMLError | None = None, suggestion: str | None = None
) -> RulesetError:
    mark: Any = (error.problem_mark or error.context_mark) if error is not None else None
    offset = source.offset(mark.line, mark.column) if mark is not None else 0
    return RulesetError([source.diagnostic("error", message, offset, 1, suggestion)])


def plain(node: Any) -> Any:
    """Plain Python values of what the YAML library read."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    if isinstance(node, bool | WrittenFloat) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    # A time: where none is wanted it is refused.
    return node


def as_list(node: Any) -> list[Any]:
    """The items of a plain value that should be a list; none where it is not."""
    return node if isinstance(node, list) else []


def as_mapping(node: Any) -> dict[str, Any]:
    """The entries of a plain value that should be a mapping; none where it is not."""
    return node if isinstance(node, dict) else {}


def place_of(source: SourceText, root: Any, path: Sequence[str | int], *, at_key: bool) -> tuple[int, int]:
    """Offset and length of the value (or the key) that a path leads to; of the nearest parent that is there."""
    node, offset, length = root, 0, 1
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(node, CommentedMap) and part in node:
            # A value that was left out stands nowhere.
            beside = (last and at_key) or node[part] is None
            line, column = node.lc.key(part) if beside else node.lc.value(part)
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line, column = node.lc.item(part)
        else:
            break
        offset, node = source.offset(line, column), node[part]
        shown = part if last and at_key else node
        length = len(_text_of(shown))
    return offset, length


def _text_of(shown: Any) -> str:
    """What a caret goes along under: of a list or a mapping the first character only."""
    if isinstance(shown, WrittenFloat | WrittenTime):
        return shown.text
    return str(shown) if isinstance(shown, str | int | float) else "-"


def extent_of(source: SourceText, path: Sequence[str | int]) -> tuple[int, int]:
    """Where the value that a path leads to begins and ends in a text that `load_yaml` has read, quotes included.

    Raises LookupError where the path leads nowhere.
    """
    yaml = YAML(typ="rt", pure=True)
    node: Node = yaml.compose(StringIO(source.text))
    for part in path:
        if isinstance(node, MappingNode):
            node = next((value for key, value in node.value if key.value == part), None) or _nowhere(path)
        else:
            node = node.value[part] if isinstance(node, SequenceNode) and isinstance(part, int) else _nowhere(path)
    start: int = node.start_mark.index
    # What a block scalar ends with is the layout of what follows.
    return start, start + len(source.text[start : node.end_mark.index].rstrip())


def _nowhere(path: Sequence[str | int]) -> Any:
    raise LookupError(f"no {path} in this file")
