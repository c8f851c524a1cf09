"""What a PostgreSQL server says on one connection: which statements it has carried out, and what it wrote."""

from __future__ import annotations

from collections import Counter

WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE")
#: Opens, closes and marks transactions, or looks after the connection.
CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "START", "SET", "DEALLOCATE")
_HEAD = 5


class PostgresMessages:
    """Reads the messages of the protocol's version 3, unencrypted, in pieces as they come."""

    def __init__(self) -> None:
        #: Statements carried out by their verbs, and rows written by table-less tags such as ``UPDATE``.
        self.statements: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        #: Transactions that have written anything, a statement outside any among them.
        self.commits = 0
        self._rest = b""
        self._has_written = False

    def feed(self, data: bytes) -> None:
        data = self._rest + data
        begin = 0
        while len(data) - begin >= _HEAD:
            end = begin + 1 + int.from_bytes(data[begin + 1 : begin + _HEAD])
            if len(data) < end:
                break
            self._message(data[begin : begin + 1], data[begin + _HEAD : end])
            begin = end
        self._rest = data[begin:]

    def _message(self, kind: bytes, body: bytes) -> None:
        if kind == b"C":  # CommandComplete: "UPDATE 1", "INSERT 0 1"
            verb, *numbers = body.rstrip(b"\0").decode().split()
            self.statements[verb] += 1
            if verb in WRITES:
                rows = int(numbers[-1])
                self.rows[verb] += rows
                self._has_written = self._has_written or rows > 0
        elif kind == b"Z" and body == b"I" and self._has_written:  # ReadyForQuery, outside a transaction
            self.commits, self._has_written = self.commits + 1, False
