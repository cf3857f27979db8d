"""From the text of an expression to its syntax tree."""

# lark is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from lark import Lark, Token, Transformer, Tree, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

from models.parameter import ParamValue, kind_of
from rules.language import syntax
from rules.language.diagnostics import ExpressionError, did_you_mean
from rules.language.syntax import Expression, Span

# Levels of an expression within another. Whatever walks its tree stays far inside Python's own limits: of
# parentheses in a text that is compiled (200), and of calls within calls.
MAX_DEPTH: Final = 64

UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

# What people write out of habit from other languages.
_HABITS: Final = {
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    "=": "write `==`",
    "$": "a parameter is `$name`",
}
_SHOWN: Final = {
    "NUMBER": "a number",
    "DURATION": "a duration like 10m",
    "TEXT": "a text in quotes",
    "NAME": "a name",
    "COMPARE": "a comparison like `>`",
    "RPAR": "`)`",
    "LPAR": "`(`",
    "AT": "a list like `@name`",
    "LSQB": "a list like `[1, 2]`",
}


@v_args(meta=True)
class _Builder(Transformer[Token, Any]):
    """Makes nodes of what the grammar matched; a parameter becomes the literal that it stands for."""

    def __init__(self, params: Mapping[str, ParamValue]) -> None:
        super().__init__()
        self._params = params

    def start(self, _: Any, children: list[Any]) -> Any:
        return children[0]

    def number(self, meta: Any, children: list[Token]) -> syntax.Number:
        return syntax.Number(Decimal(children[0].replace("_", "")), _span(meta))

    def negative_number(self, meta: Any, children: list[Token]) -> syntax.Number:
        return syntax.Number(-Decimal(children[-1].replace("_", "")), _span(meta))

    def duration(self, meta: Any, children: list[Token]) -> syntax.Duration:
        return syntax.Duration(duration_ms(children[0]), _span(meta))

    def text(self, meta: Any, children: list[Token]) -> syntax.Text:
        return syntax.Text(children[0][1:-1], _span(meta))

    def boolean(self, meta: Any, children: list[Token]) -> syntax.Boolean:
        return syntax.Boolean(children[0] == "true", _span(meta))

    def param(self, meta: Any, children: list[Token]) -> syntax.Literal:
        return _literal(self._params[children[0][1:]], _span(meta))

    def negative_param(self, meta: Any, children: list[Any]) -> syntax.Number:
        return syntax.Number(-children[-1].value, _span(meta))

    def name(self, meta: Any, children: list[Token]) -> syntax.Name:
        return syntax.Name(str(children[0]), _span(meta))

    def attribute(self, meta: Any, children: list[Token]) -> syntax.Attribute:
        return syntax.Attribute(str(children[0]), str(children[1]), _span(meta))

    def tuple(self, meta: Any, children: list[Any]) -> syntax.Tuple:
        return syntax.Tuple(tuple(children), _span(meta))

    def call(self, meta: Any, children: list[Any]) -> syntax.Call:
        name = children[0]
        arguments = tuple(child for child in children[1:] if child is not None)
        return syntax.Call(str(name), arguments, _span(meta), Span(name.start_pos, name.end_pos))

    def list_ref(self, meta: Any, children: list[Token]) -> syntax.ListName:
        return syntax.ListName(str(children[0]), _span(meta))

    def inline_list(self, meta: Any, children: list[Any]) -> syntax.InlineList:
        return syntax.InlineList(tuple(child for child in children if child is not None), _span(meta))

    def add(self, meta: Any, children: list[Any]) -> syntax.Arithmetic:
        return syntax.Arithmetic(str(children[1]), children[0], children[2], _span(meta))

    multiply = add

    def negative(self, meta: Any, children: list[Any]) -> syntax.Arithmetic | syntax.Number:
        if isinstance(children[0], syntax.Number):
            return syntax.Number(-children[0].value, _span(meta))
        # A factor, that is a number beside whatever kind of value.
        return syntax.Arithmetic("*", syntax.Number(Decimal(-1), _span(meta)), children[0], _span(meta))

    def comparison(self, meta: Any, children: list[Any]) -> syntax.Comparison:
        return syntax.Comparison(str(children[1]), children[0], children[2], _span(meta))

    def member(self, meta: Any, children: list[Any]) -> syntax.Membership:
        return syntax.Membership(children[0], children[1], False, _span(meta))

    def not_member(self, meta: Any, children: list[Any]) -> syntax.Membership:
        return syntax.Membership(children[0], children[1], True, _span(meta))

    def and_(self, meta: Any, children: list[Any]) -> syntax.Logic:
        return syntax.Logic("and", tuple(children), _span(meta))

    def or_(self, meta: Any, children: list[Any]) -> syntax.Logic:
        return syntax.Logic("or", tuple(children), _span(meta))

    def not_(self, meta: Any, children: list[Any]) -> syntax.Not:
        return syntax.Not(children[0], _span(meta))


def duration_ms(text: str) -> int:
    """`10m` in milliseconds."""
    return int(text[:-1].replace("_", "")) * UNIT_MS[text[-1]]


def duration_text(length_ms: int) -> str:
    """A length in the largest unit that divides it, days from two of them on: 3,600,000 is `1h`, a day `24h`."""
    for unit in ("d", "h", "m"):
        if length_ms % UNIT_MS[unit] == 0 and (unit != "d" or length_ms > UNIT_MS["d"]):
            return f"{length_ms // UNIT_MS[unit]}{unit}"
    return f"{length_ms // UNIT_MS['s']}s"


@lru_cache(maxsize=1)
def _parser() -> Lark:
    grammar = files("rules.language").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def parse_expression(text: str, params: Mapping[str, ParamValue] | None = None) -> Expression:
    """The tree of an expression, with each parameter's value in its place, at the span of its name.

    Raises ExpressionError where it is not one, and for a parameter that is not in `params`.
    """
    try:
        tree = _parser().parse(text)
    except UnexpectedCharacters as error:
        at = error.pos_in_stream
        char = text[at]
        if char in "\"'":
            raise ExpressionError("the text is not closed", Span(at, len(text)), f"close it with {char}") from None
        raise ExpressionError(f"unexpected `{char}`", Span(at, at + 1), _HABITS.get(char)) from None
    except UnexpectedEOF as error:
        raise _incomplete(text, error.expected) from None
    except UnexpectedToken as error:
        token = error.token
        if token.type == "$END":
            raise _incomplete(text, error.expected) from None
        start = token.start_pos or 0
        message = f"unexpected `{token}`{_wanted(error.expected, text[:start])}"
        raise ExpressionError(message, Span(start, start + len(token)), _advice(text, token)) from None
    _refuse_depth(tree)
    known = params or {}
    _refuse_params(tree, known)
    return _Builder(known).transform(tree)


def _refuse_params(tree: Tree[Token], known: Mapping[str, ParamValue]) -> None:
    """Raises ExpressionError for a parameter that nobody defined, and for the sign of one that has none."""
    for token in tree.scan_values(lambda token: isinstance(token, Token) and token.type == "PARAM"):
        if token[1:] not in known:
            start = token.start_pos or 0
            advice = did_you_mean(token, [f"${name}" for name in known]) or "define it under `params:`"
            raise ExpressionError(f"unknown parameter `{token}`", Span(start, start + len(token)), advice)
    for node in tree.find_data("negative_param"):
        kind = kind_of(known[str(next(node.scan_values(lambda _: True)))[1:]])
        if kind != "number":
            raise ExpressionError(f"`-` is for numbers, and this is a {kind}", _span(node.meta))


def _literal(value: ParamValue, span: Span) -> syntax.Literal:
    if isinstance(value, Decimal):
        return syntax.Number(value, span)
    return syntax.Duration(duration_ms(value), span) if kind_of(value) == "duration" else syntax.Text(value, span)


def _refuse_depth(tree: Tree[Token]) -> None:
    """Raises ExpressionError where a tree is deeper than what may be walked."""
    level, depth = [tree], 0
    while level:
        # The root is not a part of the expression.
        if depth > MAX_DEPTH:
            raise ExpressionError(
                f"the expression is nested too deeply: {MAX_DEPTH} levels at most",
                _span(level[0].meta),
                "split it into several rules",
            )
        level = [child for node in level for child in node.children if isinstance(child, Tree)]
        depth += 1


def _incomplete(text: str, expected: Any) -> ExpressionError:
    end = len(text.rstrip())
    return ExpressionError(f"the expression ends too early{_wanted(expected, text)}", Span(end, end + 1))


def _wanted(expected: Any, before: str) -> str:
    # The parser's states are shared: a parenthesis may be expected where none is open.
    closes = before.count("(") > before.count(")")
    shown = sorted({_SHOWN[name] for name in expected if name in _SHOWN and (closes or name != "RPAR")})
    return f": {' or '.join(shown)} was expected" if 0 < len(shown) <= 4 else ""


def _advice(text: str, token: Token) -> str | None:
    if token.type == "COMPARE":
        return "comparisons do not chain: write `a < b and b < c`"
    before = text[: token.start_pos or 0].rstrip()
    if before[-1:] in _HABITS:
        return _HABITS[before[-1]]
    return None


def _span(meta: Any) -> Span:
    return Span(meta.start_pos, meta.end_pos)
