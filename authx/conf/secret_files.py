"""``file:`` in a setting: the secret is in a mounted file, which is read when it is needed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from django.views.decorators.debug import sensitive_variables

from authx.errors import KeyInvalid

_SCHEME: Final = "file:"
#: Octets; no secret in a setting is larger.
_MAX_FILE_BYTES: Final = 64 * 1024


def is_file(value: Any) -> bool:
    """Return whether a text, or bytes, names a file rather than being the secret itself."""
    return _text(value)[: len(_SCHEME)].lower() == _SCHEME


def complaint(value: Any) -> str | None:
    """Return what is wrong with the form of a ``file:`` text, to be read after "an entry", or None."""
    host, path = _parts(value)
    if host:
        return "whose file: is on another host: write file:/path/of/it"
    if not path.startswith("/") and not Path(path).is_absolute():
        return "whose file: has no absolute path: workers may run elsewhere"
    return None


@sensitive_variables()
def read_secret(value: Any) -> bytes:
    """Return the content of the file that ``value`` names, without the newline at its end.

    Raises:
        KeyInvalid: it cannot be read, or is empty; the text names the file and contains no part of it.
    """
    if found := complaint(value):
        raise KeyInvalid(f"there is an entry {found}")  # not repeated: it may be a secret after all
    path = _parts(value)[1]
    try:
        octets = _read(path)
    except FileNotFoundError:
        raise KeyInvalid(f"the file {path} is not there") from None
    except (OSError, ValueError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "no regular file"
        raise KeyInvalid(f"the file {path} cannot be read ({why})") from None
    if not octets.strip():
        raise KeyInvalid(f"the file {path} is empty")
    if len(octets) > _MAX_FILE_BYTES:
        raise KeyInvalid(f"the file {path} is too large for a secret")
    return octets.removesuffix(b"\n").removesuffix(b"\r")


@sensitive_variables()
def read_text(value: Any) -> str:
    """Return the content of a file that holds UTF-8 text, as ``read_secret``, without a byte order mark."""
    try:
        return read_secret(value).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise KeyInvalid(f"the file {_parts(value)[1]} does not hold UTF-8 text") from None


@sensitive_variables()
def read_credentials(value: Any) -> tuple[str, str]:
    """Return client id and secret, from a pair whose parts may be ``file:`` texts or from one file with both.

    Raises:
        KeyInvalid: a file cannot be read, or does not hold what it should.
    """
    if not is_file(value):
        client_id, secret = (_line(part) if is_file(part) else part for part in value)
        return client_id, secret
    lines = read_text(value).splitlines()
    if len(lines) == 1:
        lines = lines[0].split(":", 1)
    if len(lines) != 2 or not all(lines):
        path = _parts(value)[1]
        raise KeyInvalid(f"the file {path} must hold client id and secret: id:secret, or a line each")
    return lines[0], lines[1]


@sensitive_variables()
def _line(value: Any) -> str:
    lines = read_text(value).splitlines()
    if len(lines) != 1:
        raise KeyInvalid(f"the file {_parts(value)[1]} holds more than one line")
    return lines[0]


@sensitive_variables()
def _read(path: str) -> bytes:
    """Read a regular file, and no pipe or terminal, where reading may wait for ever."""
    with open(path, "rb", opener=_open) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("no regular file")
        return file.read(_MAX_FILE_BYTES + 1)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _parts(value: Any) -> tuple[str, str]:
    """Return host and path: after ``file://`` percent-decoded, as of a URI (RFC 8089), else as they are."""
    rest = _text(value)[len(_SCHEME) :]
    if not rest.startswith("//"):
        return "", rest
    host, slash, path = rest[2:].partition("/")
    return ("" if host.lower() == "localhost" else host), slash + unquote(path)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else ""
