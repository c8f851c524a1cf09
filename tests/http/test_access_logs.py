"""authx.http.access_logs: no server's access log has a link, and all else stands there as before."""

import logging

import pytest

from authx.http.access_logs import HideLinks, connect

TOKEN = "AaIsoM94cTKhJDTltzJZnQAAAABrDYBO.pZWqYI8EWMCYVXLIHFNVEwD26I6O7PsQcXzmPsFm7uA"
PATH = f"/account/not-me/{TOKEN}/"


def line(message, *arguments):
    record = logging.LogRecord("any", logging.INFO, "", 0, message, arguments, None)
    assert HideLinks().filter(record)
    return record.getMessage()


@pytest.mark.parametrize("path", [PATH, PATH[:-1], f"{PATH}?x=1", f"https://shop.example{PATH}"])
def test_it_is_hidden_as_each_server_writes_it(path):
    hidden = path.replace(TOKEN, "hidden")
    uvicorn = ('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", path, "1.1", 200)
    assert line(*uvicorn) == f'127.0.0.1:1 - "GET {hidden} HTTP/1.1" 200'
    assert line('"%s" %s %s', f"GET {path} HTTP/1.1", "200", "7") == f'"GET {hidden} HTTP/1.1" 200 7'
    gunicorn = ('%(h)s "%(r)s" %(s)s', {"h": "::1", "r": f"GET {path} HTTP/1.1", "s": 200})
    assert line(*gunicorn) == f'::1 "GET {hidden} HTTP/1.1" 200'
    assert line(f"GET {path}") == f"GET {hidden}"


def test_other_lines_stay_as_they_are():
    for arguments in [("GET", "/account/devices/", 7, None), (), ({"r": "GET /", "s": 200},)]:
        message = "%s %s %s %s" if len(arguments) == 4 else "a line" if not arguments else "%(r)s %(s)s"
        record = logging.LogRecord("any", logging.INFO, "", 0, message, arguments, None)
        before = record.getMessage()
        HideLinks().filter(record)
        assert record.getMessage() == before


def test_each_logger_has_it_once():
    for _ in range(2):
        connect()
    for name in ("django.server", "uvicorn.access", "gunicorn.access", "hypercorn.access"):
        found = [one for one in logging.getLogger(name).filters if isinstance(one, HideLinks)]
        assert len(found) == 1
