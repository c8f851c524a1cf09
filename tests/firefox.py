"""Firefox over WebDriver BiDi (https://www.w3.org/TR/webdriver-bidi/), which it speaks by itself.

No driver program stands between: Debian has none, and Selenium would need one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from contextlib import contextmanager, suppress
from itertools import count

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.processes import DEADLINE, stop

#: Nothing is asked of the network but by the pages.
PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.region.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
}


class Refused(Exception):
    """What Firefox does not do, in its words; ``code`` is that of the specification."""

    def __init__(self, answer):
        super().__init__(f"{answer['error']}: {answer['message']}")
        self.code = answer["error"]


@contextmanager
def running(executable, folder):
    """Run Firefox without a window, on a profile of its own in ``folder``."""
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
    (folder / "user.js").write_text("".join(lines))
    log = folder / "log"
    command = [executable, "--headless", "--no-remote", "--profile", str(folder)]
    environment = {**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"}
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--remote-debugging-port", "0"], stdout=output, stderr=output, env=environment
        )
    try:
        with connect(f"{address(process, log)}/session", max_size=None, compression=None) as socket:
            firefox = Firefox(socket)
            firefox.ask("session.new", capabilities={})
            yield firefox
            with suppress(ConnectionClosed):  # it may be gone before it has answered
                firefox.ask("browser.close")
    finally:
        stop(process)


def address(process, log):
    """Where it listens, as soon as it says so."""
    end = time.monotonic() + DEADLINE
    while (found := re.search(r"WebDriver BiDi listening on (ws://\S+)", log.read_text())) is None:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, f"not within {DEADLINE} s: {log.read_text()}"
        time.sleep(0.02)
    return found[1]


class Firefox:
    """A browser that runs; people at it have cookies of their own."""

    def __init__(self, socket):
        self._socket, self._numbers = socket, count(1)

    def ask(self, method, **parameters):
        """The result of a command. Events, which nobody has subscribed to, are none."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(DEADLINE))).get("id") != number:
            pass
        if answer["type"] == "error":
            raise Refused(answer)
        return answer["result"]

    @contextmanager
    def person(self, site):
        """Somebody with a cookie jar that nobody shares, at a tab of theirs."""
        jar = self.ask("browser.createUserContext")["userContext"]
        try:
            yield Tab(self, jar, site)
        finally:
            self.ask("browser.removeUserContext", userContext=jar)


class Tab:
    """A tab, in which somebody clicks and types as with mouse and keyboard."""

    def __init__(self, firefox, jar, site, **where):
        self.site, self._firefox, self._jar = site, firefox, jar
        where = where or {"type": "window"}
        self._tab = firefox.ask("browsingContext.create", userContext=jar, **where)["context"]

    def another(self):
        """Another tab of the same window, which is in front now."""
        return Tab(self._firefox, self._jar, self.site, type="tab", referenceContext=self._tab)

    def look_at(self):
        """Bring it to the front."""
        self._firefox.ask("browsingContext.activate", context=self._tab)
        return self

    def go(self, path):
        url = f"{self.site.origin}{path}"
        self._firefox.ask("browsingContext.navigate", context=self._tab, url=url, wait="complete")
        return self

    def run(self, expression):
        """The value of an expression: a text, a number, a boolean or null."""
        return self._evaluate(expression).get("value")

    def _evaluate(self, expression):
        target = {"context": self._tab, "sandbox": "test"}  # no policy of the page forbids it there
        answer = self._firefox.ask("script.evaluate", expression=expression, target=target, awaitPromise=True)
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return answer["result"]

    @property
    def path(self):
        return self.run("location.pathname + location.search")

    def text(self, selector):
        """What can be read there; ``""`` where there is nothing, or it is hidden."""
        found = f"document.querySelector({json.dumps(selector)})"
        return self.run(f"{found}?.checkVisibility() ? {found}.innerText.trim() : ''")

    def until(self, found, what, seconds=DEADLINE):
        """Ask again and again, until it is true."""
        end = time.monotonic() + seconds
        while not self._holds(found):
            assert time.monotonic() < end, f"not within {seconds} s: {what}, but: {self.text('body')}"
            time.sleep(0.02)
        return self

    def _holds(self, found):
        try:
            return found()
        except Refused as error:
            if error.code in {"no such frame", "no such node", "unknown error"}:  # it is being loaded anew
                return False
            raise

    def until_at(self, path):
        arrived = "document.readyState === 'complete'"
        return self.until(lambda: self.path == path and self.run(arrived), f"at {path}")

    def click(self, words, kind="button, input[type=submit]"):
        """Click the button that says so, or what is meant; wait until it is there."""
        return self.press(f"""[...document.querySelectorAll({json.dumps(kind)})].find(
            e => e.checkVisibility() && (e.value || e.innerText).trim() === {json.dumps(words)})""")

    def press(self, element):
        """Click an element, named by an expression, where it can be seen."""
        self.until(lambda: self.run(f"Boolean({element})"), element)
        script = f"(e => (e.scrollIntoView({{block: 'center'}}), e))({element})"
        target = {"type": "element", "element": {"sharedId": self._evaluate(script)["sharedId"]}}
        actions = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": target},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        return self._act({"type": "pointer", "id": "mouse", "actions": actions})

    def fill(self, label, text):
        """Type into the empty field with this label; wait until it is there."""
        labels = (
            f"[...document.querySelectorAll('label')].filter(e => e.innerText.trim() === {json.dumps(label)})"
        )
        self.until(lambda: self.run(f"{labels}.length") == 1, f"a field called {label}")
        self.run(f"{labels}[0].control.focus()")
        keys = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        return self._act({"type": "key", "id": "keyboard", "actions": keys})

    def _act(self, source):
        self._firefox.ask("input.performActions", context=self._tab, actions=[source])
        return self
