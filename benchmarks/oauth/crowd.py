"""Many refreshes of one token at once, over a real server with a thread for each."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection

from benchmarks.oauth import forms
from benchmarks.peers.process import There

CROWD = 12


@dataclass
class Crowd:
    """What became of all rounds."""

    rounds: int = 0
    #: How often each status was answered; 0 where the connection broke.
    statuses: Counter[int] = field(default_factory=Counter)
    #: How many generations of refresh tokens each round has made; one may be told in several texts.
    made: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    #: How many of the texts a client could go on with.
    good: list[int] = field(default_factory=list)
    #: Seconds until the last answer of a round.
    seconds: list[float] = field(default_factory=list)

    @property
    def is_one_generation(self) -> bool:
        is_one = self.made == [1] * self.rounds and self.told == self.good
        return is_one and self.statuses == {200: CROWD * self.rounds}


def crowd(desk: There, rounds: int) -> Crowd:
    """Let ``CROWD`` clients refresh the same token, in so many rounds."""
    (port, client_id), found = desk.ask("serve"), Crowd()
    client = Client(port, client_id)
    for _ in range(rounds):
        token, before = desk.ask("granted"), desk.ask("rotations")
        start = time.monotonic()
        answers = client.at_once(token)
        found.seconds.append(time.monotonic() - start)
        found.rounds += 1
        found.statuses.update(status for status, _ in answers)
        found.made.append(desk.ask("rotations") - before)
        told = {json.loads(body)["refresh_token"] for status, body in answers if status == 200}
        found.told.append(len(told))
        found.good.append(sum(client.post(one)[0] == 200 for one in sorted(told)))
    return found


@dataclass(frozen=True)
class Client:
    """A client on several threads or machines, which all hold the same refresh token."""

    port: int
    client_id: str

    def at_once(self, token: str) -> list[tuple[int, bytes]]:
        answers: list[tuple[int, bytes]] = []
        barrier = threading.Barrier(CROWD)

        def ask() -> None:
            connection = self.connection()
            connection.connect()
            barrier.wait()
            answers.append(self.post(token, connection))

        threads = [threading.Thread(target=ask) for _ in range(CROWD)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def post(self, token: str, connection: HTTPConnection | None = None) -> tuple[int, bytes]:
        connection = connection or self.connection()
        headers = {"Content-Type": forms.FORM, "Authorization": forms.basic(self.client_id)}
        try:
            connection.request("POST", forms.TOKEN_PATH, forms.refresh(token), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError as error:
            return 0, repr(error).encode()
        finally:
            connection.close()

    def connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=120)
