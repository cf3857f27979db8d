"""Cases of a rule file: from what was written to the purchases that are sent, every problem with its place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from models.account import CreditLimit
from models.case import CaseDocument, CasePurchase, Expectation
from models.fields import MAX_AMOUNT_MINOR, MAX_EVENT_TIME_MS, MIN_EVENT_TIME_MS
from models.money import decimals_of
from models.purchase import Purchase
from models.ruleset import RulesetDocument
from rules.language.diagnostics import Diagnostic, did_you_mean
from rules.language.document import RuleFile
from rules.language.parser import duration_ms

# When the first purchase of a case is made, by the ruleset's clocks: a Monday.
START: Final = datetime(2026, 1, 5, 12)  # noqa: DTZ001  # the zone is the ruleset's
PAUSE_MS: Final = 1_000

_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MILLISECOND: Final = timedelta(milliseconds=1)
# Of a purchase of a case: what is no field of the purchase itself, or is not written as it is sent.
_OWN_KEYS: Final = {"amount", "currency", "transaction_id", "at", "after", "repeat", "expect"}

Path = list[str | int]


class Step(NamedTuple):
    """A purchase of a case; `expect` and the line where it stands, if something is expected of its decision."""

    purchase: Purchase
    expect: Expectation | None
    line: int


class Case(NamedTuple):
    """A case as it is run: limits first, then the purchases. `line` is that of its name."""

    name: str
    line: int
    limits: tuple[CreditLimit, ...]
    steps: tuple[Step, ...]


def read_cases(rule_file: RuleFile) -> tuple[tuple[Case, ...], list[Diagnostic]]:
    """The cases of a rule file, and what is wrong with them: none of both where the file can't be read."""
    document = rule_file.document
    if document is None:
        return (), []
    problems: list[Diagnostic] = []
    cases: list[Case] = []
    names: set[str] = set()
    for index, written in enumerate(document.cases):
        reader = _Reader(rule_file, document, written, ["cases", index])
        if written.name in names:
            reader.refuse(["name"], f"case `{written.name}` is here twice", "give it a name of its own")
        names.add(written.name)
        cases.append(reader.case())
        problems += reader.problems
    return tuple(cases), problems


class _Reader:
    """Reads one case, and collects its problems."""

    def __init__(self, rule_file: RuleFile, document: RulesetDocument, written: CaseDocument, path: Path) -> None:
        self._rule_file = rule_file
        self._document = document
        self._written = written
        self._path = path
        self._zone = ZoneInfo(document.time_zone)
        self._own_ids = {each.transaction_id for each in written.purchases}
        self._clock_ms = _epoch_ms(START.replace(tzinfo=self._zone))
        self._sent = 0
        self.problems: list[Diagnostic] = []

    def refuse(self, path: Path, message: str, suggestion: str | None = None, *, at_key: bool = False) -> None:
        """Note a problem at a place of the case, once."""
        full = [*self._path, *path]
        problem = self._rule_file.part_diagnostic("error", message, full, suggestion, at_key=at_key)
        if problem not in self.problems:
            self.problems.append(problem)

    def case(self) -> Case:
        """The case; where there are problems, with something in their place."""
        written = self._written
        self._verify_codes(written.expect, ["expect"])
        steps = [step for index, each in enumerate(written.purchases) for step in self._steps(each, index)]
        line = self._rule_file.line_of([*self._path, "expect", "action"])
        if steps[-1].expect is not None:
            last: Path = ["purchases", len(written.purchases) - 1, "expect"]
            self.refuse(last, "the case's own `expect` is of its last purchase", "leave this one out")
        steps[-1] = steps[-1]._replace(expect=written.expect, line=line)
        limits = tuple(self._limits(steps[0].purchase.event_time))
        return Case(written.name, self._rule_file.line_of([*self._path, "name"]), limits, tuple(steps))

    def _limits(self, event_time_ms: int) -> Iterator[CreditLimit]:
        currency, used = self._document.currency, {each.account_id for each in self._written.purchases}
        for account_id, account in self._written.accounts.items():
            if account_id not in used:
                advice = did_you_mean(account_id, used) or "leave it out, or give a purchase this `account_id`"
                message = f"no purchase of this case is on account `{account_id}`"
                self.refuse(["accounts", account_id], message, advice, at_key=True)
            minor = self._minor(account.credit_limit, currency, ["accounts", account_id, "credit_limit"])
            yield CreditLimit(account_id=account_id, credit_limit=minor, currency=currency, event_time=event_time_ms)

    def _steps(self, written: CasePurchase, index: int) -> Iterator[Step]:
        path: Path = ["purchases", index]
        if written.expect is not None:
            self._verify_codes(written.expect, [*path, "expect"])
        if written.repeat > 1 and written.transaction_id is not None:
            advice = "leave one of the two out"
            self.refuse([*path, "transaction_id"], "with `repeat` every purchase has an id of its own", advice)
        currency = written.currency or self._document.currency
        if currency != self._document.currency and currency not in self._document.rates:
            advice = f"add {currency} under `rates`"
            self.refuse([*path, "currency"], f"no rate from {currency} to {self._document.currency}", advice)
        fields = written.model_dump(exclude=_OWN_KEYS, exclude_none=True)
        fields |= {"amount": max(1, self._minor(written.amount, currency, [*path, "amount"])), "currency": currency}
        for number in range(written.repeat):
            time_ms = self._time_ms(written, path, first=number == 0)
            purchase = Purchase.model_validate(
                {**fields, "transaction_id": written.transaction_id or self._next_id(), "event_time": time_ms}
            )
            is_last = number == written.repeat - 1
            expect = written.expect if is_last else None
            line = self._rule_file.line_of([*self._path, *path, "expect", "action"]) if expect is not None else 0
            yield Step(purchase, expect, line)

    def _next_id(self) -> str:
        self._sent += 1
        while f"t-{self._sent}" in self._own_ids:
            self._sent += 1
        return f"t-{self._sent}"

    def _time_ms(self, written: CasePurchase, path: Path, *, first: bool) -> int:
        """When the next purchase is made; `first` of those that one entry stands for."""
        begins = first and path[-1] == 0
        if first and written.repeat == 1 and written.after is not None and (begins or written.at is not None):
            said = "nothing is before the first purchase" if begins else "a time follows from `at` or from `after`"
            self.refuse([*path, "after"], said, "set `at`, or leave it out" if begins else "leave one of the two out")
        if first and written.at is not None:
            moment = datetime.fromisoformat(written.at)
            moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=self._zone)
            self._clock_ms = self._within(_epoch_ms(moment), [*path, "at"])
        elif not begins:
            pause_ms = duration_ms(written.after) if written.after is not None else PAUSE_MS
            self._clock_ms = self._within(self._clock_ms + pause_ms, [*path, "after"])
        return self._clock_ms

    def _within(self, time_ms: int, path: Path) -> int:
        if MIN_EVENT_TIME_MS <= time_ms <= MAX_EVENT_TIME_MS:
            return time_ms
        self.refuse(path, "a purchase is made from 2000 to 2099")
        return MIN_EVENT_TIME_MS

    def _minor(self, amount: Decimal, currency: str, path: Path) -> int:
        """An amount in minor units."""
        decimals = decimals_of(currency)
        minor = amount.scaleb(decimals)
        if minor != minor.to_integral_value():
            advice = f"give {decimals} at most" if decimals else "give none"
            self.refuse(path, f"{amount:f} has more decimals than {currency}", advice)
        if minor > MAX_AMOUNT_MINOR:
            self.refuse(path, f"an amount is at most {Decimal(MAX_AMOUNT_MINOR).scaleb(-decimals):,f} {currency}")
            return MAX_AMOUNT_MINOR
        return int(minor)

    def _verify_codes(self, expect: Expectation, path: Path) -> None:
        """Every code is that of a rule: of a live one among `reasons`, of one on trial among `shadow`."""
        for key, codes in (("reasons", expect.reasons), ("shadow", expect.shadow)):
            mode = "live" if key == "reasons" else "shadow"
            known = {rule.code for rule in self._document.rules if rule.mode == mode}
            elsewhere = {rule.code for rule in self._document.rules} - known
            for place, code in enumerate(codes or ()):
                if code in elsewhere:
                    other = "shadow" if key == "reasons" else "reasons"
                    self.refuse([*path, key, place], f"no {mode} rule has the code `{code}`", f"put it under `{other}`")
                elif code not in known:
                    advice = did_you_mean(code, known) or f"known here: {', '.join(sorted(known)) or 'none'}"
                    self.refuse([*path, key, place], f"no {mode} rule has the code `{code}`", advice)


def _epoch_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
