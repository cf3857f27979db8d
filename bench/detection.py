"""How well fraud is detected on labelled sets: the anomaly score without labels, and a rule in our language.

Run as `python -m bench.detection [--quick] [--json]`; the sets are found as `bench.datasets` says, and what
is not there is skipped in so many words. `--quick` measures the last test week only; without it four test
weeks are measured and averaged.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import orjson

from bench.datasets import (
    ECOMMERCE_FILE,
    HANDBOOK_FILE,
    data_directory,
    is_available,
    read_ecommerce,
    read_handbook,
)
from bench.ecommerce import measure_device_rule
from bench.handbook import TEST_WEEK, TEST_WEEKS, Quality, judge, mean_quality, score_anomaly, score_z

Figures = dict[str, dict[str, float] | None]

_COLUMNS = "AUC ROC   AP      CP@100  CP@100 without cards detected before"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and with --json the figures as one object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="the last test week only; at most 90 s")
    parser.add_argument("--json", action="store_true", help="end with the figures as one JSON object")
    options = parser.parse_args(arguments)
    figures: Figures = {}
    if _present(HANDBOOK_FILE):
        figures |= _handbook(quick=options.quick)
    else:
        figures["handbook_label_free"] = None
    figures["ecommerce_device_rule"] = _ecommerce() if _present(ECOMMERCE_FILE) else None
    if options.json:
        print(orjson.dumps(figures).decode())


def _handbook(*, quick: bool) -> Figures:
    payments = read_handbook()
    scored = score_anomaly(payments)
    plain = score_z(payments)
    print(f"Fraud Detection Handbook, label-free, {len(payments):,} payments")
    print(f"{'':42}{_COLUMNS}")
    weeks = (TEST_WEEK,) if quick else TEST_WEEKS
    anomaly = [judge(payments, scored.values, week) for week in weeks]
    baseline = [judge(payments, plain, week) for week in weeks]
    _print("anomaly score, test week 8 to 14 August", anomaly[-1])
    _print("amount z-score, the same week", baseline[-1])
    print(f"{'isolation forest (published)':42}.590      .014    .043")
    figures: Figures = {"handbook_label_free": _figures(anomaly[-1])}
    if not quick:
        _print("anomaly score, mean of four test weeks", mean_quality(anomaly))
        _print("amount z-score, mean of four test weeks", mean_quality(baseline))
        figures["handbook_label_free_four_weeks"] = _figures(mean_quality(anomaly))
    print(
        f"{scored.cpu_us:.1f} us a payment; state: {scored.profile_bytes_max} bytes an account at most, ",
        end="",
    )
    print(f"{scored.population_bytes} bytes the population")
    return figures


def _ecommerce() -> dict[str, float]:
    purchases = read_ecommerce()
    detection = measure_device_rule(purchases)
    print(f"E-commerce set, {len(purchases):,} purchases: count(device_id, 24h) > 1")
    print(f"precision {detection.precision:.3f} at recall {detection.recall:.3f}")
    return _rounded(detection._asdict())


def _present(file: str) -> bool:
    if is_available(file):
        return True
    print(f"skipped: {file} is not in {data_directory()}; STOPBANK_DATA names another directory")
    return False


def _print(name: str, quality: Quality) -> None:
    print(f"{name:42}" + "   ".join(f"{value:.4f}".lstrip("0") + "  " for value in quality))


def _figures(quality: Quality) -> dict[str, float]:
    return _rounded(quality._asdict())


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


if __name__ == "__main__":
    main()
