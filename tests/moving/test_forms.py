"""Bodies as DRF reads them by default: an old client may send any of its three forms."""

from io import BytesIO

import pytest
from django.core.files.uploadhandler import FileUploadHandler
from knox.models import AuthToken
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.tokens import RefreshToken

from authx.models import DeviceSession

pytestmark = pytest.mark.django_db

FORMS = ["json", "multipart", "urlencoded"]


@pytest.fixture
def send(client):
    def post(path, form, **body):
        if form == "json":
            return client.post(path, body, content_type="application/json")
        if form == "multipart":
            return client.post(path, body)
        text = "&".join(f"{name}={value}" for name, value in body.items())
        return client.post(path, text, content_type="application/x-www-form-urlencoded")

    return post


@pytest.mark.parametrize("form", FORMS)
def test_a_client_goes_on_in_the_form_it_has_always_used(send, form, ada, password):
    new = send("/api/token/", form, username="ada", password=password)
    assert new.status_code == 200, new.content
    for token in (new.json()["refresh"], str(RefreshToken.for_user(ada))):
        answer = send("/api/token/refresh/", form, refresh=token)
        assert answer.status_code == 200, answer.content
        assert send("/api/token/verify/", form, token=answer.json()["access"]).status_code == 200
        assert send("/api/token/blacklist/", form, refresh=token).status_code == 200
        assert send("/api/token/verify/", form, token=answer.json()["access"]).status_code == 401


@pytest.mark.parametrize("form", FORMS)
def test_so_it_does_where_it_exchanges_a_token(send, form, ada):
    assert send("/api/knox/", form, token=AuthToken.objects.create(ada)[1]).status_code == 200
    answer = send("/api/authtoken/", form, token=Token.objects.create(user=ada).key)
    assert (answer.status_code, list(answer.json())) == (400, ["device"]), "a form cannot say it"


def test_files_are_not_kept(send, ada, monkeypatch):
    monkeypatch.setattr(FileUploadHandler, "new_file", lambda *arguments: pytest.fail("kept"))
    file = BytesIO(b"x" * 10_000)
    file.name = "refresh"
    answer = send("/api/token/refresh/", "multipart", refresh=file)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    file.seek(0)
    token = str(RefreshToken.for_user(ada))
    assert send("/api/token/refresh/", "multipart", refresh=token, more=file).status_code == 200
    assert DeviceSession.objects.count() == 1


@pytest.mark.parametrize(
    "kind", ["", "; boundary=", "; boundary=é", "; boundary=x", "; boundary=x; charset=nothing"]
)
@pytest.mark.parametrize(
    "body", [b"", b"--x", b"--x\r\n\r\n", b"\xff\xfe", b"--x\r\nContent-Disposition: form-data\r\n\r\n"]
)
def test_what_is_no_form_is_no_error_of_ours(client, kind, body):
    answer = client.generic("POST", "/api/token/refresh/", body, content_type=f"multipart/form-data{kind}")
    assert answer.status_code in {400, 401}, answer.content
    huge = b"--x\r\n" + b'Content-Disposition: form-data; name="a"\r\n\r\n1\r\n--x\r\n' * 1100
    answer = client.generic(
        "POST", "/api/token/refresh/", huge, content_type="multipart/form-data; boundary=x"
    )
    assert answer.status_code == 400
