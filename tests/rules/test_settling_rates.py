"""Settlements where a ruleset changes its currency: no credit comes into being or gets lost for want of a rate."""

from __future__ import annotations

from models.settlement import SettlementResult
from rules.language.compile import compile_ruleset
from tests.rules.test_settling import APPROVED, DAY_MS, RULES, START_MS, Checkout

IN_EUR = RULES.replace("CNY", "EUR").replace("rates: {USD: 7}\n", "")
BACK = RULES.replace("USD: 7", "EUR: 10")
EXPIRY = "reservations: {expire_after: 7d}\n"


def use(checkout: Checkout, rules: str) -> None:
    checkout.line.rulesets.use(compile_ruleset(rules))
    checkout.crash()


def told(result: SettlementResult) -> tuple[str, str | None, str | None, int]:
    return result.status, result.code, result.state, result.released


def test_what_took_no_credit_for_want_of_a_rate_gives_none_back() -> None:
    checkout = Checkout()
    checkout.buy(1, 400)
    use(checkout, IN_EUR)
    for number in (2, 3):
        assert checkout.buy(number, 10, currency="EUR") == "approve", "what is available is unknown"
    assert told(checkout.settle("void", 2)) == ("applied", None, "voided", 0)
    assert told(checkout.settle("capture", 3, amount=4, currency="EUR")) == ("refused", "no_rate", "reserved", 0)
    use(checkout, BACK)
    assert told(checkout.settle("capture", 3, amount=4, currency="EUR")) == ("applied", None, "captured", 0)
    assert told(checkout.settle("capture", 3, amount=4, currency="EUR")) == ("applied", None, "captured", 0)
    assert checkout.buy(4, 561) == "block"
    assert checkout.buy(5, 560) == "approve"


def test_a_void_of_what_was_used_in_the_currency_before_frees_it_there() -> None:
    checkout = Checkout()
    checkout.buy(1, 400)
    checkout.buy(2, 600)
    use(checkout, IN_EUR)
    assert told(checkout.settle("void", 1)) == ("applied", None, "voided", 400)
    use(checkout, RULES)
    assert checkout.buy(3, 401) == "block"
    assert checkout.buy(4, 400) == "approve"


def test_what_can_not_be_reckoned_any_more_is_refused_and_left_as_it_is() -> None:
    checkout = Checkout()
    checkout.buy(1, 400)
    # There was a rate when the next purchase came, so that all that is used is in EUR now.
    use(checkout, IN_EUR + "rates: {CNY: 0.1}\n")
    checkout.buy(2, 60, currency="EUR")
    use(checkout, IN_EUR)
    assert told(checkout.settle("void", 1)) == ("refused", "no_rate", "reserved", 0)
    use(checkout, IN_EUR + "rates: {CNY: 0.1}\n")
    assert told(checkout.settle("void", 1)) == ("applied", None, "voided", 40)
    assert checkout.buy(3, 41, currency="EUR") == "block"
    assert checkout.buy(4, 40, currency="EUR") == "approve"
    assert checkout.features()[APPROVED] == 2


def test_what_expires_and_can_not_be_reckoned_any_more_ends_and_keeps_its_credit() -> None:
    checkout = Checkout(RULES + EXPIRY)
    checkout.buy(1, 400)
    use(checkout, IN_EUR + EXPIRY + "rates: {CNY: 0.1}\n")
    checkout.buy(2, 1, START_MS + 1, currency="EUR")
    use(checkout, IN_EUR + EXPIRY)
    checkout.buy(3, 1, START_MS + 7 * DAY_MS, currency="EUR")
    (expired,) = checkout.results()
    assert (expired.kind, *told(expired)) == ("expire", "applied", "no_rate", "expired", 0)
    assert checkout.features()[APPROVED] == 2
    use(checkout, IN_EUR + "rates: {CNY: 0.1}\n")
    assert checkout.buy(4, 59, START_MS + 7 * DAY_MS, currency="EUR") == "block"
