"""A reason in words for people: money in major units, durations in minutes, windows spelt out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from models.decision import Reason
from models.money import CURRENCY_DECIMALS, format_minor

# How a purchase belongs to an entity, the entity's name, and its plural.
_ENTITIES: Final = {
    "account_id": ("on", "account", "accounts"),
    "card_id": ("with", "card", "cards"),
    "device_id": ("on", "device", "devices"),
    "ip": ("from", "IP", "IPs"),
    "merchant_id": ("at", "merchant", "merchants"),
    "mcc": ("in", "category", "categories"),
    "country": ("in", "country", "countries"),
    "channel": ("through", "channel", "channels"),
}
_WINDOWS: Final = {"today": "today", "this_week": "this week", "this_month": "this month"}
_UNITS: Final = {"s": "s", "m": "min", "h": "h", "d": "days"}
_OUTCOMES: Final = {"approved": "approved", "declined": "declined", "fraud": "fraudulent"}
_MONEY_FIELDS: Final = ("amount", "available_credit", "credit_limit")

# `sum(amount, (account_id, merchant_id), 1h)`: one call and nothing beside it.
_CALL: Final = re.compile(r"(\w+)\(((?:[^()]|\([^()]*\))+)\)")
_ARGUMENT: Final = re.compile(r"\([^()]*\)|[^,\s]+")
_WORD: Final = re.compile(r"\w+")
_DURATION: Final = re.compile(r"(\d+)([smhd])")
# From how many milliseconds on a unit is used, the largest first.
_DURATION_UNITS: Final = ((2 * 86_400_000, 86_400_000, "days"), (7_200_000, 3_600_000, "h"), (120_000, 60_000, "min"))


def reason_words(reason: Reason, currency: str | None) -> str:
    """What was observed and what was allowed, `currency` being the ruleset's; empty where nothing was measured."""
    feature, observed = reason.feature, reason.observed
    if feature is None or observed is None:
        return ""
    if isinstance(observed, str):
        listed = isinstance(reason.threshold, str) and reason.threshold != observed
        return f"{_name(feature)} {observed}" + (f" in {reason.threshold}" if listed else "")
    called = _CALL.fullmatch(feature)
    told = _measured(called[1], _ARGUMENT.findall(called[2]), observed, currency) if called else None
    if told is not None:
        sentence, show = told
    else:
        show = _shower(feature, currency)
        sentence = f"{_name(feature)} {show(observed)}"
    if reason.threshold is None:
        return sentence
    limit = reason.threshold if isinstance(reason.threshold, str) else show(reason.threshold)
    # The currency was said already.
    return f"{sentence}, limit {limit.removesuffix(f' {currency}')}"


def _measured(
    what: str, arguments: Sequence[str], observed: float, currency: str | None
) -> tuple[str, Callable[[float], str]] | None:
    """A sentence about an aggregate, and how its values are shown; None where it is none that is known."""
    outcome = next((_OUTCOMES[argument] for argument in arguments if argument in _OUTCOMES), "")
    rest = [", ".join(_where(arguments, counted=what == "distinct")), _window(arguments)]
    money = _money(currency)
    match what:
        case "count":
            purchases = "purchase" if observed == 1 else "purchases"
            return _joined(str(observed), outcome, purchases, *rest), _number
        case "distinct":
            _, one, many = _ENTITIES.get(arguments[0], ("", arguments[0], arguments[0]))
            counted = one if observed == 1 else many
            return _joined(str(observed), counted, f"with {outcome} purchases" if outcome else "", *rest), _number
        case "sum":
            return _joined(money(observed), outcome, *rest), money
        case "avg":
            return _joined(money(observed), "on average", outcome, *rest), money
        case "min" | "max":
            return _joined("smallest" if what == "min" else "largest", money(observed), outcome, *rest), money
        case "since":
            return _joined(duration(observed), "after the last purchase", *rest), duration
        case "age":
            seen = f"first seen {duration(observed)} before" if observed else "never seen before"
            return _joined(_entity_names(arguments[0]), seen), duration
        case _:
            return None


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _where(arguments: Sequence[str], *, counted: bool) -> list[str]:
    """`on one device`, for each member of the entity; not said of the account, whose purchase it is."""
    entities = [argument for argument in arguments if set(_WORD.findall(argument)) <= _ENTITIES.keys()]
    # What is counted comes before what it is counted by.
    entity = entities[1:] if counted else entities
    fields = [field for argument in entity for field in _WORD.findall(argument) if field != "account_id"]
    return [f"{_ENTITIES[field][0]} one {_ENTITIES[field][1]}" for field in fields]


def _entity_names(entity: str) -> str:
    return " and ".join(_ENTITIES.get(field, ("", field, field))[1] for field in _WORD.findall(entity))


def _window(arguments: Sequence[str]) -> str:
    for argument in arguments:
        if argument in _WINDOWS:
            return _WINDOWS[argument]
        length = _DURATION.fullmatch(argument)
        if length:
            return f"in {length[1]} {_UNITS[length[2]]}"
    return ""


def duration(length_ms: float) -> str:
    """A length of time in one unit: `250 ms`, `45 s`, `12 min`, `5 h`, `3 days`."""
    for least_ms, unit_ms, unit in _DURATION_UNITS:
        if length_ms >= least_ms:
            return f"{length_ms / unit_ms:.0f} {unit}"
    return f"{length_ms / 1000:.0f} s" if length_ms >= 1000 or not length_ms else f"{length_ms:.0f} ms"


def _shower(feature: str, currency: str | None) -> Callable[[float], str]:
    """How values of a field, or of a calculation with it, are shown. A quotient of money is none."""
    words = set(_WORD.findall(feature))
    return _money(currency) if words & {*_MONEY_FIELDS} and "/" not in feature else _number


def _money(currency: str | None) -> Callable[[float], str]:
    if currency is None or currency not in CURRENCY_DECIMALS:
        return lambda minor: f"{minor:,.0f} minor units"
    return lambda minor: format_minor(round(minor), currency)


def _number(value: float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def _name(feature: str) -> str:
    return feature.removesuffix("_id").replace("_", " ")
