"""What may be sent to us at all: no uploads to the API, nothing large, and text in a charset of text."""

import asyncio
import json
import re
from urllib.parse import urlencode

import pytest
from django.core.files.uploadhandler import FileUploadHandler
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from rest_framework.test import APIClient

from authx.api.urls import urlpatterns
from authx.http.charset import is_ordinary
from authx.models import DeviceSession
from authx.sessions import open_session

pytestmark = pytest.mark.exhaustive

API = "/api/auth/"
LOGIN, REFRESH, LOGOUT = API + "login/", API + "refresh/", API + "logout/"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
UPLOAD = "multipart/form-data; boundary=x"
SID = "0198c0de-0000-7000-8000-000000000000"

noted: list[str] = []


class Noting(FileUploadHandler):
    """RequestState every file that Django takes out of a body."""

    def new_file(self, field_name, file_name, *args, **kwargs):
        noted.append(file_name)

    def receive_data_chunk(self, raw_data, start):
        return raw_data

    def file_complete(self, file_size):
        return None


@pytest.fixture(autouse=True)
def _note_files(settings):
    settings.FILE_UPLOAD_HANDLERS = [f"{__name__}.Noting"]
    noted.clear()


def upload(**fields):
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = '--x\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\nabc\r\n--x--\r\n'
    return ("".join(parts) + file).encode()


def routes():
    """Every route of the API, by name."""
    found = {}
    for each in urlpatterns:
        text = re.sub(r"<uuid:\w+>", SID, str(each.pattern))
        found[each.name] = API + re.sub(r"<str:\w+>", "1", text)
    return found


ROUTES = routes()
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


def takes_no_file(client, method, path, **extra):
    """The answer to an upload of which no file has been taken out."""
    answer = client.generic(method, path, upload(username="ada", password="x"), content_type=UPLOAD, **extra)
    assert noted == [], (method, path)
    assert answer.status_code < 500, answer.content
    return answer


# --- uploads


def test_a_page_takes_files_out_of_a_body_so_that_this_module_would_notice(db):
    Client().post("/account/login/", upload(), content_type=UPLOAD)
    assert noted == ["f.bin"]


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("method", UNSAFE)
def test_no_route_takes_a_file_from_a_stranger(db, name, method):
    """The CSRF check would, for a form field, where a cookie of that name came along."""
    client = APIClient(enforce_csrf_checks=True)
    takes_no_file(client, method, ROUTES[name])
    client.cookies.load({"csrftoken": "a" * 32, "__Host-authx_refresh": "x", "__Host-authx_access": "x"})
    answer = takes_no_file(client, method, ROUTES[name])
    assert answer.status_code in {401, 403, 405, 415}
    takes_no_file(client, method, ROUTES[name], HTTP_X_CSRFTOKEN="a" * 32)


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("has_header", [True, False])
def test_no_route_takes_a_file_from_who_is_signed_in_by_cookie(admin, name, method, has_header):
    opened = open_session(admin)
    client = APIClient(enforce_csrf_checks=True)
    client.get(LOGIN)
    client.cookies["__Host-authx_access"] = opened.access_token
    client.cookies["__Host-authx_refresh"] = opened.refresh_token
    token = {"HTTP_X_CSRFTOKEN": client.cookies["csrftoken"].value} if has_header else {}
    takes_no_file(client, method, ROUTES[name], **token)


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("method", UNSAFE)
def test_no_route_takes_a_file_by_bearer(admin, name, method):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {open_session(admin).access_token}")
    takes_no_file(client, method, ROUTES[name])


NEEDS_A_BODY = {
    "login": "POST",
    "reauthenticate": "POST",
    "introspect": "POST",
    "revoke": "POST",
    "staff-kick": "POST",
    "staff-kick-user": "POST",
}


@pytest.mark.parametrize("name", NEEDS_A_BODY)
def test_where_a_body_is_needed_an_upload_is_415(admin, name):
    client = APIClient()
    if name in {"reauthenticate", "staff-kick", "staff-kick-user"}:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {open_session(admin).access_token}")
    answer = takes_no_file(client, "POST", ROUTES[name])
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_where_a_body_is_needed_a_patch_that_uploads_is_415(ada):
    opened = open_session(ada)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {opened.access_token}")
    path = f"{API}sessions/{opened.session.pk}/"
    assert takes_no_file(client, "PATCH", path).status_code == 415
    assert takes_no_file(client, "DELETE", path).status_code == 204


def test_a_login_by_cookie_is_415_before_it_asks_for_csrf(ada, password):
    client = APIClient(enforce_csrf_checks=True)
    client.cookies["csrftoken"] = "a" * 32
    body = upload(username="ada", password=password, transport="cookie", csrfmiddlewaretoken="a" * 32)
    answer = client.generic("POST", LOGIN, body, content_type=UPLOAD)
    assert (answer.status_code, noted) == (415, [])
    assert not DeviceSession.objects.exists()


def test_a_logout_does_without_the_body(ada):
    opened = open_session(ada)
    client = APIClient(enforce_csrf_checks=True)
    client.get(LOGIN)
    client.cookies["__Host-authx_refresh"] = opened.refresh_token
    token = client.cookies["csrftoken"].value
    body = upload(csrfmiddlewaretoken=token)
    assert client.generic("POST", LOGOUT, body, content_type=UPLOAD).status_code == 403
    assert takes_no_file(client, "POST", LOGOUT, HTTP_X_CSRFTOKEN=token).status_code == 204


class ReadsPost:
    """A middleware of a site's own that looks into every form."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.POST.get("looked-for")
        return self.get_response(request)


def test_what_another_middleware_has_parsed_is_no_login(ada, password, settings):
    settings.MIDDLEWARE = [f"{__name__}.ReadsPost", *settings.MIDDLEWARE]
    body = upload(username="ada", password=password)
    answer = APIClient().generic("POST", LOGIN, body, content_type=UPLOAD)
    assert answer.status_code in {400, 415}
    assert not DeviceSession.objects.exists()


def test_a_logout_by_a_form_may_carry_the_csrf_token_in_it(ada):
    opened = open_session(ada)
    client = APIClient(enforce_csrf_checks=True)
    client.get(LOGIN)
    client.cookies["__Host-authx_refresh"] = opened.refresh_token
    body = urlencode({"csrfmiddlewaretoken": client.cookies["csrftoken"].value})
    assert client.generic("POST", LOGOUT, body, content_type=FORM).status_code == 204


@pytest.mark.parametrize(
    "kind", ["MULTIPART/Form-Data; boundary=x", "multipart/mixed; boundary=x", UPLOAD + "; a=b"]
)
def test_however_it_is_spelled(db, kind):
    client = APIClient(enforce_csrf_checks=True)
    client.cookies.load({"csrftoken": "a" * 32, "__Host-authx_refresh": "x"})
    for path, status in ((LOGIN, 415), (REFRESH, 403), (LOGOUT, 403)):
        answer = client.generic("POST", path, upload(), content_type=kind)
        assert (answer.status_code, noted) == (status, [])


# --- large ones

LARGEST = 2_621_440  # Django's DATA_UPLOAD_MAX_MEMORY_SIZE


def large(kind, size):
    body = b'{"username": "ada", "password": "x", "a": "' if kind == JSON else b"username=ada&password=x&a="
    end = b'"}' if kind == JSON else b""
    return body + b"x" * (size - len(body) - len(end)) + end


@pytest.mark.parametrize("kind", [JSON, FORM, "text/plain"])
@pytest.mark.parametrize(
    "path", [LOGIN, REFRESH, LOGOUT, API + "reauthenticate/", API + "staff/users/1/kick/"]
)
def test_more_than_anybody_needs_to_send_is_413(db, path, kind):
    answer = APIClient().generic("POST", path, large(kind, LARGEST + 1), content_type=kind)
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("kind", [JSON, FORM])
def test_the_largest_is_read(ada, kind):
    answer = APIClient().generic("POST", LOGIN, large(kind, LARGEST), content_type=kind)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


def test_the_longest_values_fit_in_both_forms(ada):
    values = {"username": "\U0001f98a" * 254, "password": "\U0001f98a" * 4096}
    assert APIClient().post(LOGIN, values, format="json").status_code == 401
    assert APIClient().generic("POST", LOGIN, urlencode(values), content_type=FORM).status_code == 401


@pytest.mark.parametrize("kind", [JSON, FORM])
def test_where_the_site_sets_no_bound_there_is_none(ada, password, settings, kind):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    fields = {"username": ada.get_username(), "password": password, "pad": "x" * 4_000_000}
    body = json.dumps(fields) if kind == JSON else urlencode(fields)
    assert APIClient().generic("POST", LOGIN, body, content_type=kind).status_code == 200


def test_nothing_of_it_is_read(db):
    class Unread:
        def read(self, *args):
            raise AssertionError("the body is being read")

        readline = read

    length = {"CONTENT_LENGTH": str(10**9), "wsgi.input": Unread(), "CONTENT_TYPE": JSON}
    for path in (LOGIN, REFRESH, LOGOUT, API + "introspect/"):
        answer = APIClient().request(PATH_INFO=path, REQUEST_METHOD="POST", **length)
        assert answer.status_code == (401 if "introspect" in path else 413)


def asgi(path, *chunks, headers=()):
    """What an ASGI server gets: the status, for a body that comes in chunks and says no length."""
    sent, messages = [], [{"type": "http.request", "body": c, "more_body": True} for c in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    waiting = asyncio.Event()

    async def receive():
        if messages:
            return messages.pop(0)
        await waiting.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"next=%ff",
        "headers": [(b"host", b"testserver"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
    asyncio.run(ASGIHandler()(scope, receive, send))
    return sent[0]["status"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", [JSON, FORM])
@pytest.mark.parametrize("said", [[], [(b"content-length", b"10")]])
def test_more_than_was_said_is_413_too(kind, said):
    chunks = [b'{"username": "a", "x": "' + b"x" * LARGEST]
    headers = [(b"content-type", kind.encode()), *said]
    assert asgi(LOGIN, *chunks, headers=headers) == 413
    assert asgi(LOGOUT, *chunks, headers=headers) == 413


def test_too_many_fields_are_a_400_of_ours(db):
    body = "&".join(f"a{number}" for number in range(2000))
    answer = APIClient().generic("POST", LOGIN, body, content_type=FORM)
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


# --- charsets

NONE_OF_TEXT = [
    "base64", "bz2", "hex", "quopri", "rot13", "uu", "zlib", "zip",
    "idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "utf-7", "charmap", "PunyCode",
]  # fmt: skip
UNKNOWN = ["nonsense", "x" * 9000, "utf-8,utf-8", "é"]
#: Django fails on these before there is a request; on some of them its older releases do not.
UNREADABLE = ["charset=\x00", "charset=utf-8\x00", "charset*=utf-8''%00", "charset*=bogus''utf-8", "a*=b''x",
    "charset*=undefined''x", "charset*=raw_unicode_escape''%5Cudcff",
    "charset*=utf-8''a; charset*0=b", "boundary*=bogus''x", "charset*=" + "9" * 5000 + "''x"]  # fmt: skip
TEXT = ["utf-8", "UTF8", "utf-8-sig", "utf-16", "latin-1", "iso-8859-15", "windows-1252", "ascii", "koi8-r",
    "shift_jis", "euc-jp", "gb18030", "big5", "cp037", "mac-roman", "iso-2022-jp", ""]  # fmt: skip

PAGES = [
    "/account/login/",
    "/account/logout/",
    "/account/devices/end-others/",
    f"/account/devices/{SID}/end/",
]
ADMIN = ["/admin/login/", "/admin/authx/devicesession/", "/admin/logout/"]
POSTED = [*(path for name, path in ROUTES.items()), *PAGES, *ADMIN, "/whoami/"]
ASKED = ["/account/login/", "/admin/login/", "/admin/authx/devicesession/", API + "staff/sessions/", LOGIN,
    API + "revocations/", "/.well-known/authx-ready", "/whoami/", "/no/such/page/"]  # fmt: skip


def kinds(parameter):
    return [f"{kind}; {parameter}" for kind in (FORM, "multipart/form-data; boundary=x")]


@pytest.fixture
def signed_in(admin, password):
    client = Client()
    assert client.login(username=admin.get_username(), password=password)
    return client


@pytest.mark.parametrize("charset", [*NONE_OF_TEXT, *UNKNOWN])
def test_a_form_in_what_is_no_charset_is_400_at_every_door(signed_in, charset):
    for path in POSTED:
        for kind in kinds(f"charset={charset}"):
            body = upload() if "multipart" in kind else b"username=%ff&password=x"
            answer = signed_in.generic("POST", path, body, content_type=kind)
            assert answer.status_code == 400, (path, kind)
    assert noted == []


@pytest.mark.parametrize("charset", [*NONE_OF_TEXT, *UNKNOWN])
@pytest.mark.parametrize("path", ROUTES.values(), ids=ROUTES)
def test_json_in_what_is_no_charset_is_400(signed_in, charset, path):
    for method in ("POST", "PATCH", "DELETE"):
        answer = signed_in.generic(method, path, b"{}", content_type=f"{JSON}; charset={charset}")
        assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


@pytest.mark.parametrize("kind", [JSON, FORM, "text/plain", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("charset", NONE_OF_TEXT)
def test_so_is_a_query(signed_in, charset, kind):
    for path in ASKED:
        path += "?next=/%ff&user=%ff&expect=a%ff&q=%ff&o=\xff"
        answer = signed_in.generic("GET", path, CONTENT_TYPE=f"{kind}; charset={charset}")
        assert answer.status_code == 400, path


@pytest.mark.parametrize("parameter", UNREADABLE, ids=lambda text: text[:30])
def test_a_content_type_that_makes_no_request_is_400_too(signed_in, parameter):
    for path in [*POSTED, *ASKED]:
        for kind in (JSON, FORM, "multipart/form-data; boundary=x"):
            for method in ("GET", "POST"):
                answer = signed_in.generic(method, path, b"{}", f"{kind}; {parameter}")
                if makes_a_request(parameter):
                    assert answer.status_code < 500, (path, kind)
                else:
                    assert answer.status_code == 400, (path, kind)
    assert noted == []


def makes_a_request(parameter):
    """Whether this Django makes something of a content type with this parameter."""
    try:
        RequestFactory().generic("POST", "/", b"", f"{FORM}; {parameter}")
    except Exception:
        return False
    return True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/account/login/", "/admin/login/", LOGIN, LOGOUT, "/whoami/"])
@pytest.mark.parametrize(
    "charset", ["charset=punycode", "charset=zlib", "charset=nonsense", *UNREADABLE[2:6]]
)
def test_and_under_asgi(path, charset):
    kind = f"{FORM}; {charset}".encode()
    status = asgi(path, b"a=b", headers=[(b"content-type", kind)])
    assert status < 500 if charset in UNREADABLE and makes_a_request(charset) else status == 400


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/account/login/", "/admin/login/", LOGIN])
def test_and_for_an_async_client(path):
    async def ask():
        client = AsyncClient()
        return [
            (await client.generic(method, path, b"a=b", f"{FORM}; charset={charset}")).status_code
            for method in ("GET", "POST")
            for charset in (*NONE_OF_TEXT, "\x00")
        ]

    assert set(asyncio.run(ask())) == {400}


@pytest.mark.parametrize("charset", TEXT)
def test_what_is_written_in_a_charset_of_text_is_read(ada, charset, password):
    body = urlencode({"username": "ada", "password": password}, encoding=charset or "ascii").encode()
    kind = f"{FORM}; charset={charset}"
    is_ascii = "ada".encode(charset or "ascii") == b"ada"
    answer = APIClient().generic("POST", LOGIN, body, content_type=kind)
    assert answer.status_code == 200 if is_ascii else answer.status_code in {200, 400}
    text = f'{{"username": "ada", "password": "{password}"}}'.encode(charset or "ascii")
    assert (
        APIClient().generic("POST", LOGIN, text, content_type=f"{JSON}; charset={charset}").status_code == 200
    )


@pytest.fixture
def josé(make_user):
    """Somebody whose name is another's in another charset, or without what cannot be decoded."""
    make_user("jos")
    make_user("josÃ©", email="other@example.com")
    return make_user("josé", email="jose@example.com")


def written(name, password, charset, kind):
    """A form with a name and a password, as a client writes it that says which charset that is."""
    try:
        fields = {
            "username": name.encode(charset or "utf-8"),
            "password": password.encode(charset or "utf-8"),
        }
    except UnicodeEncodeError:
        fields = {"username": name.encode(), "password": password.encode()}
    if kind == FORM:
        return urlencode(fields).encode()
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    return b"".join(part % (key.encode(), value) for key, value in fields.items()) + b"--x--\r\n"


@pytest.mark.parametrize("kind", [FORM, "multipart/form-data; boundary=x"], ids=["urlencoded", "multipart"])
@pytest.mark.parametrize("charset", [*TEXT, "utf-16-le", "utf-32", "us-ascii", "utf_8", '"utf-8"'])
@pytest.mark.parametrize("door", ["/account/login/", "/django-login/", LOGIN])
def test_a_form_in_any_charset_signs_in_whom_it_names_or_nobody(door, charset, kind, josé, password):
    client = Client(raise_request_exception=True)
    body = written("josé", password, charset.strip('"'), kind)
    answer = client.generic("POST", door, body, content_type=f"{kind}; charset={charset}")
    assert answer.status_code in {200, 302, 400, 401, 415}
    if answer.status_code == 200 and door == LOGIN:
        assert answer.json()["user_id"] == str(josé.pk)
    else:
        assert client.get("/whoami/").json()["user"] in {None, "josé"}
    if charset.strip('"').lower() in {"utf-8", ""} and not (door == LOGIN and kind != FORM):
        assert answer.status_code == (200 if door == LOGIN else 302)


@pytest.mark.parametrize("name", ["ada", "grace"], ids=["odd", "even"])
@pytest.mark.parametrize("charset", ["utf-16", "utf-16-be", "utf-32", "cp037"])
def test_what_is_not_written_on_ascii_is_no_charset_of_a_form(charset, name, make_user, password):
    """What is between ``&`` and ``=`` is ASCII (WHATWG URL §5): else a length decided how it is read."""
    make_user(name)
    body = urlencode({"username": name, "password": password}).encode()
    answer = APIClient().generic("POST", LOGIN, body, content_type=f"{FORM}; charset={charset}")
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


def test_what_only_the_sites_own_views_read_is_theirs(client):
    """An odd charset of no form and without a codec changes nothing that Django does."""
    assert client.generic("POST", "/whoami/", b"x", content_type="application/octet-stream; charset=binary")


def test_a_codec_that_a_library_has_registered_is_no_charset():
    import codecs

    ours = codecs.CodecInfo(*codecs.lookup("latin-1")[:4], name="rot-library")
    codecs.register(lambda name: ours if name == "rot_library" else None)
    assert not is_ordinary("rot_library")


def test_the_page_is_the_sites_own_and_the_api_speaks_json(client, db):
    page = client.generic("POST", "/account/login/", b"a=b", content_type=f"{FORM}; charset=punycode")
    assert page["Content-Type"].startswith("text/html")
    answer = client.generic("POST", LOGIN, b"a=b", content_type=f"{FORM}; charset=punycode")
    assert (answer["Content-Type"], answer.json()["code"]) == ("application/json", "parse_error")


def error_page(request, exception):
    """A site's own, that looks at the query."""
    return HttpResponse(repr(dict(request.GET)), status=400)


def test_the_sites_error_page_may_look_at_the_query(client, db, settings):
    settings.ROOT_URLCONF = __name__
    answer = client.generic("GET", "/nowhere/?q=%C3%A9", CONTENT_TYPE="text/plain; charset=punycode")
    assert (answer.status_code, answer.content.decode()) == (400, "{'q': ['é']}")


handler400 = error_page


@pytest.mark.parametrize("accept", ["a/b; c*=a''x; c*0=b", "text/html", "a/b; q*=bogus''1", "nonsense", ""])
def test_whatever_a_client_accepts_the_answer_is_json(db, accept):
    answer = APIClient().post(LOGIN, {}, format="json", headers={"Accept": accept})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")
