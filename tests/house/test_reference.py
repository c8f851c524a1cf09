"""The reference has every check, signal, model, command, close code and transition, and no ghost."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from decimal import ROUND_HALF_UP, Decimal
from importlib import import_module
from itertools import takewhile
from xml.etree import ElementTree

import pytest
from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.dispatch import Signal
from jwt import decode

from authx import signals
from authx.core.actor import Actor
from authx.core.claim_forms import FORMS
from authx.core.risk import Alarm
from authx.core.rotation import Transition
from authx.models import SessionEvent
from authx.pages.urls import urlpatterns as page_urls
from authx.sessions import Credentials, Device, end_session, open_session
from authx.sessions.continuing import continue_session
from authx.sessions.risk import record_alarm
from authx.sockets import frames
from tests.documented import documented
from tests.house.test_docs import ROOT, bare, table
from tools import state_machine
from tools.transitions import STATES, label, transitions

CHECK_ID = re.compile(r"authx\.[EW]\d{3}")
#: What a login or a refresh returns, by its members.
CREDENTIALS = {field.name for field in fields(Credentials)}
#: Options that many commands take, beside those of all of Django's.
COMMON = {"-h", "--database", "--skip-checks"}


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The rows of a page's first table whose first column is called ``heading``."""
    rest = (ROOT / page if page == "README.md" else ROOT / "docs" / page).read_text()
    lines = rest.partition(f"\n| {heading} |")[2].splitlines()[2:]
    return [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in takewhile(lambda line: line.startswith("|"), lines)
    ]


# Checks


def sources() -> list[ast.Module]:
    return [ast.parse(path.read_text()) for path in sorted((ROOT / "authx").rglob("*.py"))]


def made(tree: ast.AST) -> list[tuple[str, str]]:
    """The class and the id of each message that is made somewhere in a piece of code."""
    return [
        (call.func.id, word.value.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        for word in call.keywords
        if word.arg == "id" and isinstance(word.value, ast.Constant) and CHECK_ID.match(str(word.value.value))
    ]


def deployed() -> set[str]:
    """The functions that are registered for ``check --deploy`` alone."""
    calls = [call for tree in sources() for call in ast.walk(tree) if isinstance(call, ast.Call)]
    return {
        call.args[0].id
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "register"
        if any(word.arg == "deploy" for word in call.keywords)
    }


@pytest.mark.parametrize(("kind", "heading"), [("Error", "error"), ("Warning", "warning")])
def test_the_checks_are_those_of_the_code(kind, heading):
    known = {name for tree in sources() for made_as, name in made(tree) if made_as == kind}
    assert [bare(name) for name, _ in table(heading)] == sorted(known)


def test_the_checks_for_production_alone_are_marked():
    names = deployed()
    assert len(names) == 5
    functions = [node for tree in sources() for node in tree.body if isinstance(node, ast.FunctionDef)]
    known = {name for node in functions if node.name in names for _, name in made(node)}
    rows = table("error") + table("warning")
    assert {bare(name) for name, text in rows if text.startswith("**deploy**")} == known


# Signals


def documented_signals() -> dict[str, list[str]]:
    return {bare(name): re.findall(r"`(\w+)`", arguments) for name, arguments, _ in table("signal")}


def test_the_signals_are_those_of_the_code_and_of_its_docstring():
    known = [name for name, value in vars(signals).items() if isinstance(value, Signal)]
    assert list(documented_signals()) == known
    described = dict(re.findall(r"^``(\w+)``: ([^.;:]*)", signals.__doc__, re.MULTILINE))
    for name, arguments in documented_signals().items():
        assert (
            re.findall(r"``(\w+)``", re.sub(r"\(.*?\)", "", described[name]))[: len(arguments)] == arguments
        )


def test_the_alarms_of_the_signal_are_all_there_are():
    (text,) = [text for name, _, text in table("signal") if bare(name) == "session_flagged"]
    assert re.findall(r"`(\w+)`", text) == [alarm.value for alarm in Alarm]


def test_each_alarm_has_a_meaning():
    told = rows_of("operations.md", "alarm")
    assert [bare(name) for name, _ in told] == [alarm.value for alarm in Alarm]


@pytest.mark.django_db(transaction=True)
def test_each_signal_is_sent_with_the_arguments_that_are_told(ada):
    heard: dict[str, set[frozenset[str]]] = {}

    def hear(sender, signal, **arguments):
        (name,) = [name for name, value in vars(signals).items() if value is signal]
        heard.setdefault(name, set()).add(frozenset(arguments))

    known = [value for value in vars(signals).values() if isinstance(value, Signal)]
    for signal in known:
        signal.connect(hear)
    try:
        old = open_session(ada, device=Device(id="phone")).session
        new = continue_session(old, Actor(), methods=["pwd"], came_back=True).session
        record_alarm(new, Alarm.COPIED, at=new.created_at, actor=Actor())
        end_session(new, "reused")
        end_session(open_session(ada).session, "kicked")
        ada.set_password("another-horse-battery-staple")
        ada.save()
    finally:
        for signal in known:
            signal.disconnect(hear)
    assert heard == {name: {frozenset(arguments)} for name, arguments in documented_signals().items()}


# Pages


def blocks(text: str) -> set[str]:
    return set(re.findall(r"{% block (\w+) %}", text))


def test_a_base_of_the_sites_own_has_the_blocks_that_our_pages_fill():
    folder = ROOT / "authx/templates/authx"
    ours = [page for page in folder.rglob("*.html") if '{% extends "authx/base.html" %}' in page.read_text()]
    filled = blocks((folder / "base.html").read_text()) & blocks("".join(page.read_text() for page in ours))
    shown = blocks(documented("questions.md", r"html\+django", "site/base.html"))
    assert len(ours) > 10
    assert filled - {"bodyclass", "title"} <= shown  # the width of ours alone; a block of the site's base


def test_the_table_of_pages_has_every_url_by_its_name():
    served = {(re.sub(r"<\w+:(\w+)>", r"<\1>", str(url.pattern)), url.name) for url in page_urls}
    assert {(bare(page), bare(name)) for page, name, _ in rows_of("pages.md", "page")} == served


def test_the_table_of_templates_has_each_page_with_its_blocks():
    folder = ROOT / "authx/templates/authx"
    pages = [path for path in folder.rglob("*.html") if path.parent.name != "mail" and path.name[0] != "_"]
    made = {path.relative_to(folder).as_posix(): blocks(path.read_text()) for path in pages}
    told = {
        bare(name): set(re.findall(r"`(\w+)`", cell)) for name, cell, _ in rows_of("pages.md", "template")
    }
    assert told == made


# Python


def test_the_names_of_each_module_are_those_that_it_hands_out():
    for module, told in rows_of("python.md", "module"):
        names = {name for name in re.findall(r"`(\w+)`", told) if name not in CREDENTIALS}
        assert names == set(import_module(bare(module)).__all__), module


# Models


def test_the_models_are_those_of_the_app():
    known = {model.__name__ for model in apps.get_app_config("authx").get_models()}
    assert sorted(bare(name) for name, _ in table("model")) == sorted(known)


def test_the_events_are_those_of_the_code():
    told = [name for names, _ in rows_of("python.md", "kind") for name in re.findall(r"`(\w+)`", names)]
    assert told == SessionEvent.Kind.values


# Commands


def options_of(parser: argparse.ArgumentParser, words: str) -> Iterator[tuple[str, set[str]]]:
    """Each act of a command, and what it takes beside what every command takes."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in inner:
        for name, act in action.choices.items():
            yield from options_of(act, f"{words} {name}")
    if not inner:
        names = {(action.option_strings or [f"<{action.dest}>"])[0] for action in parser._actions}
        yield words, names - COMMON


def test_the_commands_have_the_options_that_are_told():
    known = {}
    for name in (name for name, app in get_commands().items() if app == "authx"):
        parser = argparse.ArgumentParser(add_help=False)
        load_command_class("authx", name).add_arguments(parser)
        known |= dict(options_of(parser, name))
    told = {bare(command): re.findall(r"`([^`]+)`", options) for command, options, _ in table("command")}
    for named in told.values():
        if "USER" in named:
            named[:] = ["--user", "--username", "--key", *(name for name in named if name != "USER")]
    assert {command: set(named) for command, named in told.items()} == known


# Close codes


def test_the_close_codes_are_those_of_the_door():
    named = [value for name, value in vars(frames).items() if name.isupper()]
    closings = [frames.Closing(value) for value in named if isinstance(value, int)]
    closings += [value for value in named if isinstance(value, frames.Closing)]
    known = {code for closing in closings for code in (closing.code, closing.in_private_use.code)}
    assert {int(code) for code, *_ in table("close code") for code in re.findall(r"\d+", code)} == known


# Claims


@pytest.mark.django_db(transaction=True)
def test_the_claims_are_those_of_the_code(ada):
    told = [name for names, _ in rows_of("services.md", "claim") for name in re.findall(r"`(\w+)`", names)]
    assert sorted(told) == sorted(FORMS)
    token = open_session(ada, device=Device(id="phone")).access_token
    assert set(decode(token, options={"verify_signature": False})) <= set(told)


# Refresh tokens


def test_the_transitions_are_all_there_are():
    assert sorted(name for name, *_ in table("transition")) == sorted(map(label, Transition))


def test_the_states_are_those_of_the_code():
    told = {
        (start, end): set(cell.split())
        for start, *cells in table("from")
        for end, cell in zip(STATES, cells, strict=True)
        if cell
    }
    assert told == transitions()


def test_the_picture_of_the_states_is_what_the_code_gives():
    """Otherwise make it again: ``python -m tools.state_machine``."""
    assert (state_machine.IMAGES / state_machine.NAME).read_text() == state_machine.svg(transitions())


def test_the_picture_of_the_states_shows_every_transition_and_says_so():
    drawn = ElementTree.fromstring((state_machine.IMAGES / state_machine.NAME).read_text())
    names = {"svg": "http://www.w3.org/2000/svg"}
    said = drawn.findtext("svg:desc", namespaces=names)
    shown = " ".join(text.text for text in drawn.iterfind("svg:text", names))
    assert drawn.findtext("svg:title", namespaces=names)
    assert [label(name) for name in Transition if label(name) not in said] == []
    assert [name for name in Transition if f"{name} " not in shown] == []


def test_a_path_that_has_no_place_in_the_picture_is_not_left_out():
    found = transitions()
    with pytest.raises(ValueError, match="STRUCK"):
        state_machine.svg(found | {("STRUCK", "CONFIRMED"): {Transition.KEEP}})
    path = "CONFIRMED", "ENDED"
    with pytest.raises(ValueError, match="CONFIRMED ends"):
        state_machine.svg(found | {path: found[path] | {Transition.STRIKE}})


# Figures that are told on more than one page

#: The lines of the README's table, and those of the benchmark that they are taken from.
CONTESTANTS = {
    "authx, copy of the endings at most 1 s old": "authx database (lag 1 s)",
    "simplejwt, stateless user": "simplejwt (stateless user)",
    "authx, Redis": "authx redis",
    "authx, database": "authx database",
    "simplejwt": "simplejwt",
    "knox": "knox",
    "django-oauth-toolkit": "django-oauth-toolkit",
    "allauth headless, stateful JWT": "allauth (JWT, stateful)",
}


def measured(heading: str) -> dict[str, Decimal]:
    """The first figure of each line of a benchmark's table, without its brackets."""
    return {name: Decimal(first.split()[0]) for name, first, *_ in rows_of("benchmarks.md", heading)}


def rounded(figure: Decimal) -> str:
    return str(figure.quantize(Decimal("0.1"), rounding=ROUND_HALF_UP))


def test_the_costs_in_the_readme_are_those_measured():
    figures = measured(" | times the floor | reading the user's name")
    told = {name: times for name, times, _ in rows_of("README.md", "| times | logout seen")}
    assert told == {name: rounded(figures[line]) for name, line in CONTESTANTS.items()}


def test_the_comparison_has_the_figures_and_versions_of_the_benchmarks():
    comparison, benchmarks = (
        (ROOT / "docs" / f"{page}.md").read_text() for page in ("comparison", "benchmarks")
    )
    requests, pages = (
        measured(" | times the floor | reading the user's name"),
        measured("times the plain page"),
    )
    assert f"{rounded(requests['simplejwt (stateless user)'])} times the bare view" in comparison
    django, authx = pages["Django's sessions (database)"], pages["authx database, pages"]
    assert f"({django} times the plain page; authx {authx})" in comparison
    for name in ("simplejwt", "knox", "allauth", "django-oauth-toolkit"):
        (version,) = set(re.findall(rf"\b{name}\s(\d+\.\d+)\b(?!\.\d+\.\d)", comparison))
        (run,) = set(re.findall(rf"\b{name}\s(\d+\.\d+)\.\d+", benchmarks))
        assert version == run, name
