"""The fixtures that open recordings, decide on them and backtest them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.streams.backtest.story import NEW, record_story
from tests.streams.pytest_plugin.conftest import Run


def test_decisions_come_in_order_of_time_each_transaction_once(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_story(load_recording, decide):
            decisions = decide(load_recording("recordings/story"), "rules/old.yaml")
            assert [each.transaction_id for each in decisions] == [f"t-{number}" for number in range(1, 9)]
            assert [each.action for each in decisions][:5] == ["approve", "flag", "block", "flag", "flag"]
            assert [reason.code for reason in decisions[2].reasons] == ["BURST"]
        """
    )
    assert run().parseoutcomes() == {"passed": 3}


def test_parameters_are_given_other_values(run: Run, pytester: pytest.Pytester) -> None:
    rules = (
        "ruleset: a\nparams: {large: 50.00, reach: 1h}\nrules: "
        "[{id: a, when: 'amount > $large and count(account_id, $reach) > 0', then: flag}]\n"
    )
    (pytester.path / "rules" / "params.yaml").write_text(rules)
    pytester.makepyfile(
        """
        from decimal import Decimal
        import pytest

        @pytest.mark.parametrize(("large", "flagged"), [(199, 1), (Decimal("199.99"), 1), (200, 0)])
        def test_value(load_recording, decide, large, flagged):
            values = {"large": large, "reach": "10m"}
            decisions = decide(load_recording("recordings/story"), "rules/params.yaml", values)
            assert sum(each.action == "flag" for each in decisions) == flagged

        def test_unknown(load_recording, decide):
            decide(load_recording("recordings/story"), "rules/params.yaml", {"larg": 1})
        """
    )
    ran = run()
    assert ran.parseoutcomes() == {"passed": 5, "failed": 1}
    ran.stdout.fnmatch_lines(["rules/params.yaml:*: error: *`larg`*", "*did you mean `large`?"])
    ran.stdout.no_fnmatch_line("*Traceback*")


def test_a_backtest_is_the_report(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "rules" / "new.yaml").write_text(NEW)
    pytester.makepyfile(
        """
        def test_alone(load_recording, backtest):
            report = backtest(load_recording("recordings/story"), "rules/new.yaml")
            assert report.old is None
            assert (report.new.file, report.new.actions.block.share) == ("rules/new.yaml", 3 / 8)
            assert report.labels.new.blocked.tp == 1

        def test_against(load_recording, backtest):
            report = backtest(
                load_recording("recordings/story"), "rules/new.yaml", "rules/old.yaml",
                maturity_d=0, unlabelled_as="genuine", flips=1,
            )
            assert (report.flips.purchases, len(report.flips.examples)) == (5, 1)
            assert report.labels.new.blocked.tp == 2
            assert report.labels.unlabelled_as == "genuine"

        def test_more_labels(load_recording, backtest, tmp_path):
            file = tmp_path / "labels.csv"
            file.write_text("transaction_id,verdict,known_at\\nt-3,fraud,2026-03-03T00:00:00Z\\n")
            report = backtest(load_recording("recordings/story"), "rules/new.yaml", labels=file)
            assert report.labels.fraud == 4
        """
    )
    assert run().parseoutcomes() == {"passed": 5}


def test_a_backtest_is_against_what_was_in_force(run: Run, pytester: pytest.Pytester) -> None:
    record_story(pytester.path / "recordings" / "live")
    (pytester.path / "rules" / "new.yaml").write_text(NEW)
    pytester.makepyfile(
        """
        def test_live(load_recording, backtest):
            report = backtest(load_recording("recordings/live"), "rules/new.yaml")
            assert report.old.file is None
            assert report.flips.purchases == 5
        """
    )
    assert run().parseoutcomes() == {"passed": 3}


def test_paths_are_relative_to_the_root_wherever_pytest_is_started(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = pytester.mkdir("tests")
    (tests / "test_story.py").write_text(
        "def test_story(load_recording, decide):\n"
        "    assert len(decide(load_recording('recordings/story'), 'rules/old.yaml')) == 8\n"
    )
    monkeypatch.chdir(tests)
    assert run().parseoutcomes() == {"passed": 1}


def _no_recording(story: Path) -> None:
    (story / "manifest.json").unlink()


def _one_byte(story: Path) -> None:
    segment = next(story.glob("purchases/*/*.parquet"))
    raw = bytearray(segment.read_bytes())
    raw[len(raw) // 2] ^= 1
    segment.write_bytes(raw)


@pytest.mark.parametrize(
    ("damage", "told"),
    [(_no_recording, "recordings/story*manifest.json*"), (_one_byte, "recordings/story/purchases/*")],
)
@pytest.mark.parametrize("use", ["decide", "backtest"])
def test_a_damaged_recording_fails_the_test_with_its_place(
    run: Run, pytester: pytest.Pytester, damage: object, told: str, use: str
) -> None:
    assert callable(damage)
    damage(pytester.path / "recordings" / "story")
    pytester.makepyfile(
        f"""
        def test_story(load_recording, {use}):
            {use}(load_recording("recordings/story"), "rules/old.yaml")
        """
    )
    ran = run()
    assert ran.parseoutcomes() == {"passed": 2, "failed": 1}
    ran.stdout.fnmatch_lines(["*test_story*", told])
    ran.stdout.no_fnmatch_line("*Traceback*")
    ran.stdout.no_fnmatch_line("*During handling*")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("decide(recording, 'rules/none.yaml')", "rules/none.yaml can't be read: No such file or directory"),
        ("backtest(recording, 'rules/old.yaml', 'rules/none.yaml')", "rules/none.yaml can't be read: *"),
        ("backtest(recording, 'rules/old.yaml', labels='none.csv')", "*none.csv*"),
        (
            "backtest(recording, 'rules/old.yaml', labels='unknown.csv')",
            "*unknown.csv:2: t-99 is no transaction of the recording: *",
        ),
        (
            "backtest(recording, 'rules/old.yaml', unlabelled_as='good')",
            "unlabelled_as is one of left-out, genuine, not 'good'",
        ),
    ],
)
def test_bad_input_fails_the_test_in_one_error(run: Run, pytester: pytest.Pytester, call: str, told: str) -> None:
    Path("unknown.csv").write_text("transaction_id,verdict,known_at\nt-99,fraud,2026-03-03T00:00:00Z\n")
    pytester.makepyfile(
        f"""
        def test_story(load_recording, decide, backtest):
            recording = load_recording("recordings/story")
            {call}
        """
    )
    ran = run()
    assert ran.parseoutcomes() == {"passed": 2, "failed": 1}
    ran.stdout.fnmatch_lines(["*test_story*", told])
    ran.stdout.no_fnmatch_line("*Traceback*")
