"""benchmarks.rotation_simulation, in small: who is logged out, and which thief is found."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.rotation_simulation import Authx, Outcome, Plan, replay

PLAN = Plan(bursts=30)
ROOT = Path(__file__).parents[2]


def outcomes(policy: str, tabs: str = "browsing", thief: str = "none", sessions: int = 60) -> list[Outcome]:
    return replay((policy, tabs, thief), PLAN, range(sessions))


def false_logouts(found: list[Outcome]) -> int:
    return sum(outcome.is_false_logout for outcome in found)


@pytest.mark.parametrize("tabs", ["pages", "scripts"])
def test_authx_logs_nobody_out(tabs):
    found = outcomes("authx", tabs, sessions=150)
    assert false_logouts(found) == 0
    rows = sum((outcome.rows for outcome in found), Counter())
    assert {"T1", "T3", "T4"} <= set(rows)
    assert ("T1b" in rows) is (tabs == "scripts")


def test_strict_rotation_logs_everybody_out():
    assert false_logouts(outcomes("strict", "pages")) == 60


def test_authx_logs_out_fewer_than_a_grace_that_mints():
    assert 10 * false_logouts(outcomes("authx")) < false_logouts(outcomes("minting grace"))


def test_after_a_lost_response_a_burst_is_one_rotation_like_any_other():
    session = Authx()
    assert session.refresh(1, 100.0) == 2, "its response is lost"
    assert session.refresh(1, 2000.0) == 2, "the next burst's first page: T4"
    assert session.refresh(2, 2000.2) == 2, "its script"
    assert session.refresh(1, 2000.3) == 2, "a page that left before the first one's response came"


@pytest.mark.parametrize(
    ("thief", "bursts"), [("at-once", 3), ("later", 2), ("lockstep", 5), ("in-grace", 4)]
)
def test_a_thief_is_found_within_a_few_bursts(thief, bursts):
    robbed = [outcome for outcome in outcomes("authx", thief=thief) if outcome.is_robbed]
    assert len(robbed) > 50
    assert all(outcome.is_detection for outcome in robbed)
    assert max(outcome.bursts for outcome in robbed) <= bursts


def test_nobody_misses_what_the_heir_uses():
    assert not any(outcome.is_detection for outcome in outcomes("authx", thief="heir", sessions=20))


def test_a_seed_is_a_result():
    assert outcomes("authx", sessions=3) == outcomes("authx", sessions=3)
    other = replay(("authx", "browsing", "none"), Plan(bursts=30, seed=2), range(3))
    assert other != outcomes("authx", sessions=3)


def test_it_prints_tables():
    words = "-m benchmarks.rotation_simulation --sessions 3 --bursts 3 --thief lockstep"
    printed = subprocess.run(
        [sys.executable, *words.split()], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    head, rule, *lines = printed.split("\n\n")[0].splitlines()
    assert head.startswith("| thief | policy | robbed |")
    assert rule.count("|") == head.count("|")
    assert [line.split(" | ")[1] for line in lines] == ["strict", "minting grace", "authx"]
