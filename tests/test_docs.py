"""The documentation: what it shows compiles, runs and is true, and what there is, it names."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import pytest
import typer.main
from pydantic import BaseModel
from typer.testing import CliRunner

from models.case import CaseAccount, CaseDocument, CasePurchase, Expectation
from models.decision import Decision, Reason, decode_decision, encode_decision
from models.parameter import Param
from models.purchase import Instalments, InvalidPurchase, Purchase, decode_purchase
from models.reconciliation import decode_reconciliation
from models.ruleset import RuleDocument, RulesetDocument
from rules import dead_letter
from rules.case_run import run_cases
from rules.degraded import CAUSES, TIERS
from rules.language.check import check_text
from rules.language.compile import compile_ruleset
from rules.language.typed import FIELDS
from rules.plan import ENTITY_FIELDS, Aggregate, Outcome, Period
from rules.windows import WindowLog
from streams.backtest import report
from streams.cli import app
from streams.client import StopbankClient
from streams.gateway.breaker import BreakerState
from streams.gateway.metrics import GatewayMetrics
from streams.gateway.problems import PROBLEMS
from streams.gateway.settings import GATEWAY_PREFIX, GatewaySettings
from streams.metrics import WorkerMetrics
from streams.pytest_plugin.tools import Backtest
from streams.settings import KafkaSettings, Settings
from streams.topics import SPECS
from streams.tune import report as tune_report
from tests.memory import MemoryLine
from tests.models.records import PURCHASE, with_field
from tests.streams.backtest.story import record_story
from tests.streams.tune.story import record_attacks

PROJECT: Final = Path(__file__).resolve().parents[1]
README: Final = PROJECT / "README.md"
RULES: Final = PROJECT / "docs" / "rules.md"
OPERATING: Final = PROJECT / "docs" / "operating.md"
BACKTEST: Final = PROJECT / "docs" / "backtest.md"
TESTING: Final = PROJECT / "docs" / "testing-rules.md"
RULES_REPOSITORY: Final = PROJECT / "examples" / "rules-repository"
TUNE: Final = PROJECT / "docs" / "tune.md"
ARCHITECTURE: Final = PROJECT / "docs" / "architecture.md"
CHECKOUT: Final = PROJECT / "docs" / "checkout.md"
PAGES: Final = (README, PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").rglob("*.md")))
# The name of the file whose messages the pages show.
SHOWN_AS: Final = "rules.yaml"
BROKEN, WARNED = "<!-- broken -->", "<!-- warned -->"
# What a command line may stand behind.
STOPBANK: Final = re.compile(r"(?<![\w./-])(?:\.venv/bin/)?stopbank (.*)")


class Block(NamedTuple):
    """A fenced block: its page, the line of its fence, the line before that, its language and its text."""

    page: Path
    line: int
    before: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(PROJECT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    begin: int | None = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if begin is None:
            begin = number
        else:
            text = "".join(f"{each}\n" for each in lines[begin + 1 : number])
            yield Block(page, begin + 1, lines[begin - 1] if begin else "", lines[begin][3:].strip(), text)
            begin = None
    assert begin is None, f"{page}: a fence is not closed"


def prose_of(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def code_in(page: Path) -> set[str]:
    """What stands in backticks, in prose and tables."""
    return set(re.findall(r"`([^`\n]+)`", prose_of(page)))


def words_in_code(page: Path) -> set[str]:
    return {word for code in code_in(page) for word in re.findall(r"[\w.-]+", code)}


def section_of(page: Path, title: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert found, f"{page} has no section {title!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found.group(1))}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows_of(text: str) -> Iterator[list[str]]:
    """The rows of its tables, without their heads."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        follows_head = number + 1 < len(lines) and lines[number + 1].startswith("|---")
        if line.startswith("| ") and not follows_head:
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


BLOCKS: Final = [block for page in PAGES for block in blocks_of(page)]
RULESETS: Final = [block for block in BLOCKS if block.language == "yaml" and block.text.startswith("ruleset:")]
FOUND_FAULT: Final = [block for block in RULESETS if block.before in (BROKEN, WARNED)]
DECISIONS: Final = [block for block in BLOCKS if block.language == "json" and '"ruleset_version"' in block.text]


# -- rules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", RULESETS, ids=str)
def test_every_ruleset_compiles_without_a_warning_unless_it_shows_one(block: Block) -> None:
    result = check_text(block.text, str(block))
    if block.before == BROKEN:
        assert result.compiled is None
        return
    assert result.compiled is not None, result.diagnostics
    assert bool(result.diagnostics) is (block.before == WARNED)


@pytest.mark.parametrize("block", FOUND_FAULT, ids=str)
def test_the_messages_below_a_ruleset_are_those_that_it_gets(block: Block) -> None:
    below = BLOCKS[BLOCKS.index(block) + 1]
    messages = [diagnostic.render() for diagnostic in check_text(block.text, SHOWN_AS).diagnostics]
    assert below.text == "\n\n".join(messages) + "\n"


def test_every_condition_shown_compiles() -> None:
    shown = [line for block in BLOCKS if block.language == "condition" for line in block.text.splitlines()]
    assert len(shown) > 10
    for line in shown:
        condition = re.sub(r" {2,}#.*", "", line)
        compile_ruleset(f"ruleset: a\nrules:\n- id: r\n  then: flag\n  when: >-\n    {condition}\n")


def test_the_warnings_in_the_table_are_those_that_the_linter_gives() -> None:
    rows = list(rows_of(section_of(RULES, "Errors and warnings")))
    assert len(rows) >= 8
    for condition, warning in rows:
        text = f"ruleset: a\nrules:\n- id: r\n  then: flag\n  when: >-\n    {condition.strip('`')}\n"
        assert [diagnostic.message for diagnostic in check_text(text, SHOWN_AS).diagnostics] == [warning]


def test_check_and_test_of_the_example_rules_print_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    file = "examples/rules/checkout.yaml"
    shown = [block.text for block in BLOCKS if block.text.startswith(f"{file}: ")]
    assert [CliRunner().invoke(app, ["rules", command, file]).stdout for command in ("check", "test")] == shown


def test_the_cases_shown_pass() -> None:
    results = [check_text(block.text, str(block)) for block in RULESETS]
    assert any(result.cases for result in results)
    for result in results:
        assert result.compiled is None or run_cases(result.compiled, result.cases) == []


def test_all_of_the_language_and_of_the_rule_file_is_described() -> None:
    models: tuple[type[BaseModel], ...] = (
        RulesetDocument,
        RuleDocument,
        Param,
        CaseDocument,
        CaseAccount,
        CasePurchase,
        Expectation,
        Purchase,
        Instalments,
    )
    wanted = {field.alias or name for model in models for name, field in model.model_fields.items()}
    wanted |= {*FIELDS, *ENTITY_FIELDS, *Aggregate, *Period, *Outcome, "is_missing"}
    assert not wanted - words_in_code(RULES)


@pytest.mark.parametrize(
    ("max_rows", "purchases", "single", "share"), [(512, 100_000, 64, 0.04), (2048, 20_000, 512, 0.01)]
)
def test_a_log_past_its_bound_errs_by_no_more_than_is_said(
    max_rows: int, purchases: int, single: int, share: float
) -> None:
    said = next(row for row in rows_of(section_of(RULES, "The bound of a log")) if row[0] == str(max_rows))
    assert (said[1], said[2]) == (str(single), f"{share:.0%} ({purchases:,} purchases in one log)".replace("%", " %"))
    log = WindowLog()
    for number in range(purchases):
        log.insert(number, 1, number.to_bytes(8, "big"), ())
        if len(log) <= max_rows:
            continue
        log.merge(max_rows)
        assert log.count(*log.span(number - single, number)) == single
        for window in (max_rows // 2, max_rows - 1, 2 * max_rows, 10 * max_rows):
            exact = min(window, number + 1)
            assert exact <= log.count(*log.span(number - window, number)) <= exact * (1 + share)


# -- decisions --------------------------------------------------------------------------------------


def test_every_decision_shown_is_one() -> None:
    assert DECISIONS
    for block in DECISIONS:
        decode_decision(block.text.encode())


def test_the_decision_in_the_readme_is_the_one_that_its_rule_gives() -> None:
    rules = next(block for block in RULESETS if block.page == README)
    shown = next(block for block in DECISIONS if block.page == README)
    line, eight_thirty_ms = MemoryLine(compile_ruleset(rules.text)), 1_772_440_200_000
    for number, (account_id, minutes) in enumerate([("a-17", 0), ("a-52", 12), ("a-83", 31)], start=1_001):
        purchase = {
            "transaction_id": f"t-{number}",
            "account_id": account_id,
            "amount": 49_900,
            "currency": "CNY",
            "event_time": eight_thirty_ms + minutes * 60_000,
            "merchant_id": "m-0207",
            "mcc": "5732",
            "device_id": "d-0009",
        }
        line.send("purchases", account_id.encode(), orjson.dumps(purchase), eight_thirty_ms + minutes * 60_000)
    *_, last = line.written["decisions"]
    assert encode_decision(decode_decision(shown.text.encode())) == last.value


# -- commands ---------------------------------------------------------------------------------------


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every `stopbank` command line: where it stands, and its words."""
    for block in BLOCKS:
        if block.language == "sh":
            for offset, line in enumerate(block.text.splitlines(), start=1):
                if found := STOPBANK.search(line):
                    yield f"{block.page.name}:{block.line + offset}", shlex.split(found.group(1), comments=True)
    for page in PAGES:
        for code in sorted(code_in(page)):
            if found := STOPBANK.fullmatch(code):
                yield f"{page.name}: {code}", shlex.split(found.group(1))


def why_wrong(words: list[str]) -> str | None:
    """What is wrong with a command line."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    if hasattr(command, "commands") and words:
        return f"no command {words[0]!r}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in words if word.startswith("-") and word not in {*known, "--help"}]
    return f"no option {unknown[0]!r}" if unknown else None


def test_every_command_shown_exists_with_its_options() -> None:
    lines = list(command_lines())
    assert len(lines) > 15
    assert not [f"{where}: {wrong}" for where, words in lines if (wrong := why_wrong(words))]


def test_a_command_that_does_not_exist_would_be_found() -> None:
    assert why_wrong(["rules", "chekc"]) == "no command 'chekc'"
    assert why_wrong(["tail", "--jsno"]) == "no option '--jsno'"


def test_every_command_is_named() -> None:
    command: Any = typer.main.get_command(app)
    named = {" ".join(words[:2]) for _, words in command_lines()} | {words[0] for _, words in command_lines() if words}
    changelog = words_in_code(PROJECT / "CHANGELOG.md")
    for name, inner in command.commands.items():
        assert name in changelog
        assert {f"{name} {each}" for each in getattr(inner, "commands", {})} <= named


def test_every_make_target_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]
    shown += [code for page in PAGES for code in code_in(page)]
    named = {found.group(1) for line in shown if (found := re.match(r"make ([a-z-]+)", line))}
    assert {"demo", "test"} <= named
    assert not named - targets


def test_every_file_of_the_repository_that_is_named_is_there() -> None:
    ours = re.compile(r"(?:docs|examples|tests|rules|streams|models|bench|deploy)/[\w./-]+")
    shown = {(block.page, line) for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()}
    shown |= {(page, code) for page in PAGES for code in code_in(page)}
    named = {(page.name, file) for page, code in shown for file in ours.findall(code)}
    assert len(named) > 10
    assert not [f"{page}: {file}" for page, file in sorted(named) if not (PROJECT / file).exists()]


# -- backtests --------------------------------------------------------------------------------------


def test_the_backtest_shown_is_the_one_that_its_rules_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = [block.text for block in RULESETS if block.page == BACKTEST]
    shown = next(block.text for block in BLOCKS if block.page == BACKTEST and block.language == "text")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("new.yaml").write_text(new, encoding="utf-8")
    record_story(Path("recordings/spring"), rulesets=(old,))
    told = CliRunner().invoke(app, ["backtest", "recordings/spring", "--rules", "new.yaml"]).stdout

    def words(text: str) -> list[str]:
        # How fast it was is another time otherwise, and with that how the line is filled.
        return re.sub(r"at [\d,]+/s", "at so many a second", " ".join(text.split())).split()

    assert words(told) == words(shown)


def test_every_figure_of_a_backtest_is_described() -> None:
    parts = [part for part in vars(report).values() if isinstance(part, type) and issubclass(part, BaseModel)]
    assert len(parts) > 15
    names = {name for part in parts for name in part.model_fields}
    assert not names - words_in_code(BACKTEST)


# -- tests of rules ---------------------------------------------------------------------------------


def test_the_tests_and_the_setting_shown_are_those_of_the_example() -> None:
    shown = [block.text for block in BLOCKS if block.page == TESTING and block.language in ("python", "ini")]
    kept = [file.read_text(encoding="utf-8") for file in RULES_REPOSITORY.rglob("*") if file.suffix in (".py", ".ini")]
    assert len(shown) >= 4
    assert not [text for text in shown if not any(text in file for file in kept)]


def test_all_of_the_plugin_is_described() -> None:
    plugin = (PROJECT / "streams" / "pytest_plugin" / "__init__.py").read_text(encoding="utf-8")
    fixtures = set(re.findall(r"^@pytest\.fixture.*\ndef (\w+)", plugin, re.MULTILINE))
    keywords = set(inspect.signature(Backtest.__call__).parameters) - {"self"}
    assert len(fixtures) == 4
    assert not (fixtures | keywords | {"stopbank_rules", "--update-golden", "compiles"}) - words_in_code(TESTING)


# -- tuning -----------------------------------------------------------------------------------------


def test_the_sweep_shown_is_the_one_that_its_rules_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rules,) = [block.text for block in RULESETS if block.page == TUNE]
    shown = next(block.text for block in BLOCKS if block.page == TUNE and block.language == "text")
    asked = re.findall(r"`(--maturity .*?)`", TUNE.read_text(encoding="utf-8"))[0].split()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("rules.yaml").write_text(rules, encoding="utf-8")
    record_attacks(Path("recordings/spring"))
    told = CliRunner().invoke(app, ["tune", "recordings/spring", "--rules", "rules.yaml", *asked]).stdout
    assert told.split() == shown.split()


def test_every_figure_of_a_sweep_is_described() -> None:
    parts = [part for part in vars(tune_report).values() if isinstance(part, type) and issubclass(part, BaseModel)]
    names = {name for part in parts if part.__module__ == tune_report.__name__ for name in part.model_fields}
    assert len(names) > 40
    assert not names - words_in_code(TUNE)


# -- checkout ---------------------------------------------------------------------------------------


def test_every_field_of_a_decision_and_every_required_one_of_a_purchase_is_described() -> None:
    required = {name for name, field in Purchase.model_fields.items() if field.is_required()}
    assert not {*Decision._fields, *Reason._fields, *required} - words_in_code(CHECKOUT)


def test_the_purchase_that_is_sent_is_one_and_so_is_the_reconciliation() -> None:
    (command,) = [block.text for block in BLOCKS if block.page == CHECKOUT and "/v1/decisions" in block.text]
    body = re.search(r"--data '(.*?)'", command, re.DOTALL)
    assert body is not None
    sent = decode_purchase(body[1].encode())
    (shown,) = [block.text for block in BLOCKS if block.page == CHECKOUT and '"answered"' in block.text]
    told = decode_reconciliation(shown.encode())
    assert (told.transaction_id, told.amount, told.event_time) == (sent.transaction_id, sent.amount, sent.event_time)


def test_every_tier_and_cause_of_a_degraded_answer_is_described() -> None:
    first_cells = [row[0].strip("`") for row in rows_of(section_of(CHECKOUT, "Deadline and tiers"))]
    assert first_cells == [*TIERS, *CAUSES]


def test_every_problem_is_described_with_its_status_and_none_that_is_not_there() -> None:
    rows = [(re.findall(r"`([^`]+)`", row[0]), row[1]) for row in rows_of(section_of(CHECKOUT, "Errors"))]
    described = {name: int(status) for names, status in rows for name in names}
    assert described == {name: status for name, (status, _) in PROBLEMS.items()}


def test_the_problem_shown_is_what_its_purchase_gets() -> None:
    (shown,) = [orjson.loads(block.text) for block in BLOCKS if '"urn:stopbank:problem:' in block.text]
    name = shown["type"].rpartition(":")[2]
    assert PROBLEMS[name] == (shown["status"], shown["title"])
    (fault,) = shown["errors"]
    with pytest.raises(InvalidPurchase) as caught:
        decode_purchase(with_field(PURCHASE, fault["field"], "57"))
    assert shown["detail"] == str(caught.value) == f"purchase: {fault['field']}: {fault['detail']}"


def test_every_setting_of_the_client_is_described_with_its_default() -> None:
    settings = {
        name: "needed" if parameter.default is inspect.Parameter.empty else str(parameter.default)
        for name, parameter in inspect.signature(StopbankClient).parameters.items()
        if name != "key"
    }
    rows = list(rows_of(section_of(CHECKOUT, "Clients")))
    described = {row[0].strip("`"): row[1].strip("`") for row in rows}
    assert described == {**settings, "hedge_after_ms": "half the deadline"}


# -- links ------------------------------------------------------------------------------------------


def anchors_of(page: Path) -> set[str]:
    titles: list[str] = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_no_code_is_broken_over_lines() -> None:
    broken = [
        f"{page.relative_to(PROJECT)}: {line}"
        for page in PAGES
        for line in prose_of(page).splitlines()
        if line.count("`") % 2
    ]
    assert not broken


def test_every_link_leads_somewhere() -> None:
    wrong: list[str] = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            leads = file.exists() and (not anchor or anchor in anchors_of(file))
            if not leads:
                wrong.append(f"{page.relative_to(PROJECT)}: {target}")
    assert not wrong


def test_every_decision_of_design_is_linked_from_the_architecture() -> None:
    linked = set(re.findall(r"\]\((decisions/[^)]+)\)", ARCHITECTURE.read_text(encoding="utf-8")))
    assert {f"decisions/{file.name}" for file in (PROJECT / "docs" / "decisions").glob("*.md")} <= linked


# -- operating --------------------------------------------------------------------------------------


def shown_default(value: object) -> str:
    if value is None:
        return "none"
    if value == "":
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_every_setting_is_described_with_its_default_and_none_that_is_not_there() -> None:
    settings = {
        prefix + name.upper(): shown_default(field.default)
        for prefix, model in (
            ("KAFKA_", KafkaSettings),
            ("STOPBANK_", Settings),
            (GATEWAY_PREFIX, GatewaySettings),
        )
        for name, field in model.model_fields.items()
        if name != "kafka"
    }
    described = {name.strip("`"): default for name, default, _ in rows_of(section_of(OPERATING, "Settings"))}
    assert described == settings


def test_every_metric_is_described_and_none_that_is_not_there() -> None:
    gateway = GatewayMetrics()
    gateway.watch(lambda: BreakerState.CLOSED, lambda: (0, 0, 0.0))
    registries = WorkerMetrics(lambda: [("purchases", 0, 1)]).registry, gateway.registry
    families = [family for registry in registries for family in registry.collect()]
    metrics = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    described = {row[0].strip("`") for row in rows_of(section_of(OPERATING, "Metrics"))}
    assert described == metrics
    everywhere = {word for page in PAGES for word in words_in_code(page) if word.startswith("stopbank_")}
    # pytest's setting is named like one.
    assert everywhere - {"stopbank_rules"} <= metrics


def test_every_reason_for_a_dead_letter_is_described() -> None:
    reasons = {
        value
        for name, value in vars(dead_letter).items()
        if name.isupper() and isinstance(value, str) and not name.endswith("_HEADER") and name != "DEAD_LETTERS"
    }
    assert {row[0].strip("`") for row in rows_of(section_of(OPERATING, "Dead letters"))} == reasons


@pytest.mark.parametrize("page", [ARCHITECTURE, OPERATING], ids=lambda page: page.name)
def test_every_topic_is_described(page: Path) -> None:
    first_cells = {name for row in rows_of(section_of(page, "Topics")) for name in re.findall(r"`([^`]+)`", row[0])}
    assert first_cells == {spec.name for spec in SPECS}
