"""Runs the tests of a module with changed code in its place, in forks of one process or in one of its own."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from _pytest.main import pytest_runtestloop
from mutations import Mutant

PYTEST = ["-x", "-q", "--no-header", "--tb=short", "--assert=plain", "--nomigrations"]
PYTEST += [part for plugin in ("randomly", "cacheprovider", "xdist") for part in ("-p", f"no:{plugin}")]

#: Types of what nobody knows by its identity.
CONSTANTS = (int, float, str, bytes, tuple, list, dict, set, frozenset, re.Pattern, type(None))


def survivors_of(path: str, tests: list[str], mutants: list[Mutant], timeout: float) -> Iterator[Mutant]:
    """Yield those with which the tests pass."""
    # Most are found in a process that has the tests loaded; one that lives is given a process of its own,
    # since what runs while code is loaded ran unchanged in the first.
    for mutant in quickly(path, tests, mutants, timeout):
        if passes(path, tests, mutant.code, timeout):
            yield mutant


def passes(path: str, tests: list[str], code: str, timeout: float, *, shown: bool = False) -> bool:
    """Return whether the tests pass in a new process that imports this code for the module."""

    def run() -> int:
        if not shown:
            silence()
        name = path.removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, Changed(name, path, code))
        return int(pytest.main([*PYTEST, *tests]))

    return in_fork(run, timeout) == 0


class Changed(MetaPathFinder, InspectLoader):
    """Imports one module from changed code."""

    def __init__(self, name: str, path: str, code: str) -> None:
        self.name, self.path, self.code = name, Path(path).resolve(), code

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        return spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None

    def get_source(self, fullname: str) -> str:
        return self.code

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.code, self.path, "exec")


def quickly(path: str, tests: list[str], mutants: list[Mutant], timeout: float) -> list[Mutant]:
    """Return those that live, or may live, where their parts replace those of the imported module."""
    reader, writer = os.pipe()

    def run() -> int:
        silence()
        return int(
            pytest.main([*PYTEST, *tests], plugins=[Loop(Path(path).resolve(), mutants, timeout, writer)])
        )

    in_fork(run)
    os.close(writer)
    with open(reader) as pipe:
        dead = set(map(int, pipe.read().split()))
    return [mutant for number, mutant in enumerate(mutants) if number not in dead]


class Loop:
    """A plugin of pytest that runs the tests once for each mutant, in a fork, and writes which are dead."""

    def __init__(self, path: Path, mutants: list[Mutant], timeout: float, writer: int) -> None:
        self.path, self.mutants, self.timeout, self.writer = str(path), mutants, timeout, writer

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        module = next(each for each in sys.modules.values() if getattr(each, "__file__", None) == self.path)
        functions = functions_of(vars(module))
        gc.freeze()  # else a fork copies whatever it looks through
        for number, mutant in enumerate(self.mutants):
            run = partial(self._run, session, vars(module), functions, mutant.code)
            if in_fork(run, self.timeout):
                os.write(self.writer, b"%d\n" % number)
        return True

    def _run(
        self, session: pytest.Session, module: dict[str, Any], functions: list[FunctionType], code: str
    ) -> int:
        namespace = {"__name__": module["__name__"], "__file__": self.path}
        try:
            exec(compile(code, self.path, "exec"), namespace)
        except Exception:
            return 0  # perhaps it cannot be loaded twice
        replace_parts(functions, namespace)
        module |= constants_of(namespace, module)
        try:
            pytest_runtestloop(session)
        finally:
            session._setupstate.teardown_exact(None)
        return session.testsfailed


def functions_of(module: dict[str, Any]) -> list[FunctionType]:
    """Return the functions of a module, those inside of decorators, classes and signals too."""
    functions = [each for each in gc.get_objects() if isinstance(each, FunctionType)]
    return [each for each in functions if each.__globals__ is module]


def replace_parts(functions: list[FunctionType], namespace: dict[str, Any]) -> None:
    """Let the functions, whoever has imported them, run the code of those of the namespace."""
    new = {each.__code__.co_qualname: each for each in functions_of(namespace)}
    for function in functions:
        if (found := new.get(function.__code__.co_qualname)) is not None:
            function.__code__ = found.__code__
            function.__defaults__, function.__kwdefaults__ = found.__defaults__, found.__kwdefaults__


def constants_of(namespace: dict[str, Any], module: dict[str, Any]) -> dict[str, Any]:
    """Return what is another value in the namespace than in the module."""
    found = {name: value for name, value in namespace.items() if isinstance(value, CONSTANTS)}
    return {name: value for name, value in found.items() if name[:2] != "__" and value != module.get(name)}


def in_fork(run: Callable[[], int], timeout: float = float("inf")) -> int:
    """Return what ``run`` returns in a process of its own; not 0 if it raises, or takes too many seconds."""
    if (child := os.fork()) == 0:
        status = 1
        try:
            os.setpgid(0, 0)  # to be killed with all that it has started
            status = run()
        finally:
            os._exit(status)
    ended, deadline = 0, time.monotonic() + timeout
    try:
        while not ended and time.monotonic() < deadline:
            time.sleep(0.005)
            ended, status = os.waitpid(child, os.WNOHANG)
    finally:
        if not ended:
            os.killpg(child, signal.SIGKILL)
            _child, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def silence() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
