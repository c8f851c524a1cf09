"""The tutorial, followed word for word: files are written, commands run, and what they print is compared."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adoption.test_adopting import ROOT, environment
from tests.processes import free_port, stop, wait_until_up

TEXT = (ROOT / "docs/tutorial.md").read_text()
#: In the order of the page: the language of a block, and its text.
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SERVER = "python manage.py runserver\n"
#: Printed between two blocks, to tell their output apart.
BETWEEN = "@@@ next @@@"
SHELLS = {"sh", "bash"}
pytestmark = pytest.mark.slow


def expected():
    """Each shell block that is run, with the text that follows it: what it prints, or None."""
    found = []
    for number, (language, text) in enumerate(BLOCKS):
        if language in SHELLS and "pip install" not in text and text != SERVER:
            follows = BLOCKS[number + 1] if number + 1 < len(BLOCKS) else ("", "")
            found.append((text, follows[1] if follows[0] == "text" else None))
    return found


def write(folder, text):
    """Write the file that the first line names; "at the end" adds to one that is there."""
    place, _, code = text.partition("\n")
    name = re.fullmatch(r"# ([\w/]+\.py)(, at the end)?", place)
    assert name, place
    with (folder / name[1]).open("a" if name[2] else "w") as file:
        file.write(("\n" + code) if name[2] else code)


def run(folder, blocks, port):
    """What each block prints, of one shell that runs them one after the other."""
    script = f"\necho '{BETWEEN}'\n".join(blocks).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment() | {"PATH": f"{folder / 'bin'}:{environment()['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split(f"{BETWEEN}\n")


def serve(folder, port):
    address = f"127.0.0.1:{port}"
    command = [sys.executable, "manage.py", "runserver", "--noreload", address]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log)
    wait_until_up(server, port, folder / "server.log")
    return server


@pytest.fixture
def folder(tmp_path):
    """An empty folder, with the programs that the tutorial calls: those of this environment."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("python", ""), ("python3", ""), ("django-admin", "-m django ")):
        program = programs / name  # not a link, which would be taken for another environment's
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
        program.chmod(0o755)
    return tmp_path


def test_every_step_does_what_it_says(folder: Path):
    port, ran, server = free_port(), [], None
    pending: list[str] = []  # of one terminal: they share their variables

    def flush():
        if pending:
            ran.extend(zip(pending, run(folder, pending, port), strict=True))
            pending.clear()

    try:
        for language, text in BLOCKS:
            if language == "python":
                if server is None:
                    flush()
                write(folder, text)
            elif text == SERVER:
                flush()
                server = serve(folder, port)
            elif language in SHELLS and "pip install" not in text:
                pending.append(text)
        flush()
    finally:
        if server is not None:
            stop(server)
    printed = dict(ran)
    for command, text in expected():
        if text is not None:
            assert printed[command].strip().endswith(text.strip()), command


def test_there_is_something_to_follow():
    assert len([text for _, text in expected() if text]) == 5
    assert [language for language, text in BLOCKS if text == SERVER] == ["sh"]
