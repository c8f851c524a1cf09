"""Shared caches in front: they keep no cookie of ours, and serve nobody a page made for another.

``SharedCache`` keeps all that RFC 9111 lets a shared cache keep, for as long as it may; Django's own
cache middleware is looked at beside it. What a page names is its visitor, so that one served to
somebody else is seen in its bytes.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import formatdate, parsedate_to_datetime
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import pytest
from django.conf import settings as site
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.db.models import F
from django.db.transaction import non_atomic_requests
from django.http import (
    Http404,
    HttpResponse,
    HttpResponseNotFound,
    HttpResponsePermanentRedirect,
    HttpResponseRedirect,
    HttpResponseServerError,
    StreamingHttpResponse,
)
from django.test import RequestFactory
from django.urls import include, path
from django.utils.http import parse_http_date
from django.views.decorators.cache import cache_control, cache_page
from django.views.decorators.vary import vary_on_cookie

from authx.conf import conf
from authx.models import DeviceSession, SessionEvent
from authx.sessions import open_session

pytestmark = [pytest.mark.exhaustive, pytest.mark.django_db, pytest.mark.urls(__name__)]

#: Requests of one crawl, and how many of them at least must be of each kind that it is about.
STEPS, MANY = 1000, 30
PUBLIC = "the same for everybody"
NOBODY = "a page for nobody in particular"


# The site


def named(request):
    return request.user.get_username() or NOBODY


def public(request):
    return HttpResponse(PUBLIC)


def expiring(request):
    return HttpResponse(PUBLIC, headers={"Expires": formatdate(time.time() + 600, usegmt=True)})


def greeting(request):
    return HttpResponse(named(request))


@non_atomic_requests
async def async_greeting(request):
    return HttpResponse((await request.auser()).get_username() or NOBODY)


def streamed(request):
    return StreamingHttpResponse(iter([named(request)]))


def streamed_late(request):
    """Look at the user only when the headers have left."""
    return StreamingHttpResponse(named(request) for _ in range(2))


def streamed_public(request):
    return StreamingHttpResponse(iter([PUBLIC]))


def tagged(request):
    return HttpResponse(named(request), headers={"ETag": '"one"'})


def tagged_public(request):
    return HttpResponse(PUBLIC, headers={"ETag": '"two"'})


def missing(request):
    raise Http404


def not_found(request):
    return HttpResponseNotFound(named(request))


def broken(request):
    raise RuntimeError("on purpose")


def moved(request):
    return HttpResponsePermanentRedirect(f"/whoami/?{named(request)}")


def sent_on(request):
    return HttpResponseRedirect("/whoami/")


def handler404(request, exception):
    return HttpResponseNotFound(named(request))


def handler500(request):
    return HttpResponseServerError(named(request))


kept_long = cache_control(public=True, max_age=600)
kept_briefly = cache_control(max_age=5)

urlpatterns = [
    path("public/", kept_long(public)),
    path("shared/", cache_control(s_maxage=600)(public)),
    path("expiring/", expiring),
    path("briefly/", kept_briefly(public)),
    path("plain/", public),
    path("must-ask/", cache_control(no_cache=True)(public)),
    path("greeting/", greeting),
    path("public-greeting/", kept_long(greeting)),
    path("brief-greeting/", kept_briefly(greeting)),
    path("async-greeting/", kept_long(async_greeting)),
    path("streamed/", streamed),
    path("public-streamed/", kept_long(streamed)),
    path("streamed-late/", streamed_late),
    path("public-streamed-late/", kept_long(streamed_late)),
    path("streamed-public/", kept_long(streamed_public)),
    path("tagged/", tagged),
    path("tagged-briefly/", kept_briefly(tagged_public)),
    path("missing/", missing),
    path("public-missing/", kept_long(not_found)),
    path("broken/", broken),
    path("moved/", moved),
    path("public-moved/", kept_long(moved)),
    path("sent-on/", sent_on),
    path("public-sent-on/", kept_long(sent_on)),
    path("cached-by-view/", cache_page(600)(public)),
    path("cached-by-view-varying/", cache_page(600)(vary_on_cookie(greeting))),
    path("", include("tests.urls")),
]

TO_VISIT = [
    *(f"/{pattern.pattern}" for pattern in urlpatterns[:-1] if "late" not in str(pattern.pattern)),
    "/whoami/",
    "/private/",
    "/untouched/",
    "/cached/",
    "/nowhere/",
    "/account/login/",
    "/account/devices/",
    "/admin/",
    "/.well-known/jwks.json",
    "/api/whoami/",
    "/api/public/",
    "/api/auth/login/",
    "/api/auth/session/",
    "/api/auth/sessions/",
]


DOORS = ["/account/login/", "/django-login/", "/api/auth/login/"]


# The cache


@dataclass
class Answer:
    """What came back, whoever gave it."""

    status: int
    headers: list
    body: bytes = b""

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name, default=""):
        return next(iter(self.all(name)), default)

    @property
    def control(self):
        """Cache-Control as a dict, its names in lower case."""
        parts = (part.partition("=") for part in ",".join(self.all("Cache-Control")).split(","))
        return {name.strip().lower(): value.strip('" ') for name, _, value in parts if name.strip()}

    def text(self):
        """All of it, as one could read it on the wire."""
        lines = [f"{name}: {value}" for name, value in self.headers]
        return "\n".join(lines) + "\n\n" + self.body.decode()


def ask(app, environ):
    """The application's answer, read to its end."""
    started = []
    result = app(dict(environ), lambda status, headers, exc_info=None: started.append((status, headers)))
    try:
        body = b"".join(result)
    finally:
        getattr(result, "close", lambda: None)()
    status, headers = started[0]
    return Answer(int(status[:3]), [(name, value.strip()) for name, value in headers], body)


@dataclass
class Kept:
    """A stored answer, and the request's fields that its Vary names (RFC 9111 §4.1)."""

    answer: Answer
    at: float
    selected_by: dict = field(default_factory=dict)


def field_of(environ, name):
    return environ.get("HTTP_" + name.strip().upper().replace("-", "_"), "")


class SharedCache:
    """Keeps all that a shared cache may, and uses it as long as it may; ``now`` is its clock."""

    #: Kept without a word about freshness (RFC 9110 §15.1).
    HEURISTIC = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
    A_DAY = 86400
    #: Not used once stale (§4.2.4); what may be kept though its request had an Authorization (§3.5).
    MUST_ASK = frozenset({"no-cache", "must-revalidate", "s-maxage"})
    FOR_ALL = frozenset({"public", "must-revalidate", "s-maxage"})

    def __init__(self, origin):
        self.origin, self.now = origin, time.time()
        self.kept, self.ever, self.served = {}, [], Counter()

    def __call__(self, environ, start_response):
        answer = self.answer(environ)
        start_response(f"{answer.status} -", answer.headers)
        return [answer.body]

    def answer(self, environ):
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return self.pass_on(environ)
        found = self.find(environ)
        if found is None:
            answer = ask(self.origin, environ)
            self.keep(environ, answer)
            return answer
        if self.now - found.at < self.lifetime(found.answer):
            self.served["fresh"] += 1
            return self.reuse(found, environ)
        return self.validate(found, environ)

    def pass_on(self, environ):
        """An unsafe request that went well makes what is kept of its URL invalid (§4.4)."""
        answer = ask(self.origin, environ)
        if answer.status < 400:
            self.kept.pop(self.key(environ), None)
        return answer

    def key(self, environ):
        return environ["PATH_INFO"], environ.get("QUERY_STRING", "")

    def find(self, environ):
        for kept in reversed(self.kept.get(self.key(environ), [])):
            if all(field_of(environ, name) == value for name, value in kept.selected_by.items()):
                return kept
        return None

    def reuse(self, found, environ):
        answer = found.answer
        headers = [*answer.headers, ("Age", str(int(self.now - found.at)))]
        known = field_of(environ, "If-None-Match")
        if known and known == answer.get("ETag"):
            return Answer(304, headers)
        return Answer(answer.status, headers, b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body)

    def validate(self, found, environ):
        """Ask whether a stale answer is still good (§4.3); a broken origin's is, for want of a better."""
        tag = found.answer.get("ETag")
        asked = {**environ, "HTTP_IF_NONE_MATCH": tag} if tag else environ
        answer = ask(self.origin, asked)
        if answer.status == 304 and tag:
            self.served["validated"] += 1
            return self.freshen(found, answer, environ)
        if answer.status >= 500 and not {"no-cache", "must-revalidate", "s-maxage"} & set(
            found.answer.control
        ):
            self.served["stale"] += 1
            return self.reuse(found, environ)
        self.keep(environ, answer)
        return answer

    def freshen(self, found, answer, environ):
        """The stored body under the fields of the 304 (§3.2); kept so, unless that forbids it."""
        told = {name.lower() for name, _ in answer.headers}
        older = [pair for pair in found.answer.headers if pair[0].lower() not in told]
        merged = Answer(found.answer.status, [*older, *answer.headers], found.answer.body)
        self.keep({**environ, "REQUEST_METHOD": "GET"}, merged)
        return merged

    def keep(self, environ, answer):
        kept = self.kept.setdefault(self.key(environ), [])
        if environ["REQUEST_METHOD"] == "GET" and self.may_keep(environ, answer):
            vary = [name for name in ",".join(answer.all("Vary")).split(",") if name.strip()]
            if "*" in (name.strip() for name in vary):
                return
            new = Kept(answer, self.now, {name.strip(): field_of(environ, name) for name in vary})
            kept[:] = [old for old in kept if old.selected_by != new.selected_by]
            kept.append(new)
            self.ever.append(answer)

    def may_keep(self, environ, answer):
        """RFC 9111 §3, for a shared cache."""
        control = answer.control
        if answer.status in {206, 304} or {"no-store", "private"} & set(control):
            return False
        if field_of(environ, "Authorization") and not {"public", "s-maxage", "must-revalidate"} & set(
            control
        ):
            return False
        told = {"public", "max-age", "s-maxage"} & set(control) or answer.get("Expires")
        return bool(told) or answer.status in self.HEURISTIC

    def lifetime(self, answer):
        """Seconds for which it is fresh (§4.2.1); where nothing is said, as long as a day."""
        control = answer.control
        if "no-cache" in control:
            return 0
        for name in ("s-maxage", "max-age"):
            if name in control:
                return int(control[name])
        if answer.get("Expires"):
            return parse_http_date(answer.get("Expires")) - self.now
        return self.A_DAY


class Recording(LocMemCache):
    """Django's cache in memory, which remembers every page that was ever put into it."""

    pages = []

    def set(self, key, value, *args, **kwargs):
        if isinstance(value, HttpResponse):
            self.pages.append(Answer(value.status_code, wire_headers(value), value.content))
        super().set(key, value, *args, **kwargs)


def wire_headers(response):
    cookies = [("Set-Cookie", morsel.OutputString()) for morsel in response.cookies.values()]
    return [*response.items(), *cookies]


# The visitors


class Visitor(RequestFactory):
    """A browser with a jar, and whoever sits before it."""

    def __init__(self, app, user=None, password=""):
        super().__init__()
        self.app, self.user, self.password, self.tags = app, user, password, {}
        self.name = user.get_username() if user is not None else NOBODY

    def request(self, **request):
        environ = self._base_environ(**request)
        answer = ask(self.app, environ)
        for line in answer.all("Set-Cookie"):
            self.take(line)
        return answer

    def take(self, line):
        for name, morsel in SimpleCookie(line).items():
            gone = morsel["max-age"] == "0" or morsel["max-age"] == 0
            if gone or (morsel["expires"] and parsedate_to_datetime(morsel["expires"]).year < 2000):
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value

    def visit(self, path, method="GET"):
        headers = {"If-None-Match": self.tags[path]} if path in self.tags else {}
        answer = self.generic(method, path, headers=headers)
        self.tags.pop(path, None)
        if answer.get("ETag"):
            self.tags[path] = answer.get("ETag")
        return answer

    def post(self, path, data):
        headers = {"X-CSRFToken": self.cookies["csrftoken"].value}
        return super().post(path, urlencode(data), "application/x-www-form-urlencoded", headers=headers)

    def sign_in(self, door="/account/login/"):
        self.get("/api/auth/login/")
        form = {"username": self.name, "password": self.password, "transport": "cookie"}
        assert self.post(door, form).status in {200, 302}
        assert {conf.ACCESS_COOKIE, conf.REFRESH_COOKIE} <= set(self.cookies)

    def sign_out(self):
        if "csrftoken" in self.cookies:
            assert self.post("/account/logout/", {}).status == 200

    def lose_access(self, *, rotates=False):
        """The access cookie runs out; ``rotates``: so long after the last renewal that the next rotates."""
        self.cookies.pop(conf.ACCESS_COOKIE, None)
        if rotates:
            this = DeviceSession.objects.filter(user=self.user)
            this.update(rotated_at=F("rotated_at") - timedelta(minutes=10))

    def call(self, path):
        """As an app of the same person calls: by Bearer, with no cookies."""
        headers = {"Authorization": f"Bearer {open_session(self.user).access_token}"}
        return Visitor(self.app).get(path, headers=headers)


class Crowd:
    """Two users and somebody unknown, all over the same URLs; remembers what they were shown."""

    def __init__(self, app, cache, users, password):
        self.cache, self.random = cache, random.Random(20)
        self.users = [Visitor(app, user, password) for user in users]
        self.visitors = [*self.users, Visitor(app)]
        self.seen = Counter()

    def crawl(self, steps):
        for user in self.users:
            user.sign_in()
        for _ in range(steps):
            self.step()

    def step(self):
        visitor = self.random.choice(self.visitors)
        self.let_time_pass()
        if visitor.user is not None:
            self.live(visitor)
        path = self.random.choice(TO_VISIT)
        if visitor.user is not None and self.random.random() < 0.05:
            answer = visitor.call(path)
        else:
            answer = visitor.visit(path, self.random.choice(["GET", "GET", "GET", "HEAD"]))
            is_known = conf.REFRESH_COOKIE in visitor.cookies
            assert not (is_known and NOBODY in answer.text()), (path, visitor.name)
        self.look(visitor, path, answer)

    def let_time_pass(self):
        if self.cache is not None:
            self.cache.now += self.random.choice([0, 1, 5, 60, 300])

    def live(self, visitor):
        dice = self.random.random()
        if dice < 0.03:
            visitor.sign_out()
        if conf.REFRESH_COOKIE not in visitor.cookies and dice < 0.5:
            visitor.sign_in(self.random.choice(DOORS))
        elif dice > 0.7:
            visitor.lose_access(rotates=dice > 0.85)

    def look(self, visitor, path, answer):
        text = answer.text()
        others = [other for other in self.users if other is not visitor]
        for other in others:
            assert other.name not in text, (path, visitor.name, text)
            for cookie in (conf.ACCESS_COOKIE, conf.REFRESH_COOKIE):
                assert cookie not in other.cookies or other.cookies[cookie].value not in text, path
        self.seen["own page"] += visitor.name in text
        self.seen["cookies"] += has_ours(answer)
        self.seen[answer.status] += 1


def has_ours(answer):
    return any(line.startswith("__Host-authx") for line in answer.all("Set-Cookie"))


def assert_kept_nothing_of_ours(pages, users, *, by_view=False):
    """Neither a cookie nor a token, nor a page that names somebody; one for nobody is not for all.

    ``by_view``: the site's own ``cache_page`` may keep what it says varies on cookies.
    """
    assert pages
    for page in pages:
        assert not has_ours(page), page
        assert not page.get("X-Access-Token"), page
        assert "sessionid" not in "".join(page.all("Set-Cookie")), page
        varies = "Cookie" in page.get("Vary")
        assert not any(user.name in page.text() for user in users) or (by_view and varies), page
        assert NOBODY not in page.text() or varies, page


@pytest.fixture
def users(make_user):
    return [make_user("ada-alone-may-read-this"), make_user("bob-alone-may-read-this")]


@pytest.fixture(autouse=True)
def cached_site(settings):
    """Validators on all pages, tokens in headers too, and no throttle."""
    Recording.pages.clear()
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Recording", "LOCATION": __name__}}
    caches["default"].clear()
    settings.MIDDLEWARE = ["django.middleware.http.ConditionalGetMiddleware", *site.MIDDLEWARE]
    settings.AUTHX_LOGIN_RATE = settings.AUTHX_REFRESH_RATE = None
    settings.AUTHX_EXPOSE_ACCESS_TOKEN = True


@pytest.fixture(autouse=True)
def one_connection():
    """The test's transaction outlives its requests, as it does with Django's test client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def djangos_cache(settings):
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]


@pytest.fixture
def careless(settings):
    """As if authx said nothing to caches: what it says of its own responses is lost on the way out."""
    settings.MIDDLEWARE.insert(0, f"{__name__}.say_nothing")


def say_nothing(get_response):
    def middleware(request):
        response = get_response(request)
        response["Cache-Control"] = "max-age=600"
        del response["Vary"]
        return response

    return middleware


def assert_lived(crowd, steps):
    """The crawl saw what it is about: renewals, own pages, and answers of every kind."""
    assert min(crowd.seen["own page"], crowd.seen["cookies"]) > steps / MANY, crowd.seen
    assert {200, 204, 301, 302, 304, 401, 404, 500} <= set(crowd.seen), crowd.seen
    assert SessionEvent.objects.filter(outcome="T1").count() > steps / MANY
    assert not DeviceSession.objects.filter(end_reason="reused").exists()
    for user in crowd.users:
        user.sign_in()
        assert user.name in ask(WSGIHandler(), user._base_environ(PATH_INFO="/whoami/")).text()


def test_a_shared_cache_keeps_no_cookie_and_serves_nobody_a_page_of_another(users, password):
    cache = SharedCache(WSGIHandler())
    crowd = Crowd(cache, cache, users, password)
    crowd.crawl(STEPS)
    assert_kept_nothing_of_ours(cache.ever, crowd.users)
    assert_kept_nothing_of_ours(Recording.pages, crowd.users, by_view=True)
    assert min(cache.served[how] for how in ("fresh", "validated")) > STEPS / MANY, cache.served
    assert_lived(crowd, STEPS)


def test_nor_does_djangos_cache_middleware(users, password, djangos_cache):
    crowd = Crowd(WSGIHandler(), None, users, password)
    crowd.crawl(STEPS // 2)
    assert_kept_nothing_of_ours(Recording.pages, crowd.users, by_view=True)
    assert_lived(crowd, STEPS // 2)


def test_a_renewal_by_which_a_cache_validates_is_not_kept_with_the_page(users, password):
    cache = SharedCache(WSGIHandler())
    assert Visitor(cache).visit("/tagged-briefly/").body.decode() == PUBLIC
    (kept,) = cache.ever
    ada = Visitor(cache, users[0], password)
    ada.sign_in()
    ada.lose_access()
    cache.now += 60
    answer = ada.visit("/tagged-briefly/")
    assert (cache.served["validated"], answer.body.decode()) == (1, PUBLIC)
    assert has_ours(answer)
    assert answer.get("Cache-Control") == "private, no-store"
    assert not has_ours(Visitor(cache).visit("/tagged-briefly/"))
    assert_kept_nothing_of_ours([kept, *cache.ever], [ada])


# The caches above would keep it, if we let them


@pytest.mark.parametrize("page", ["/public/", "/plain/", "/moved/", "/missing/"])
def test_what_a_careless_site_says_is_kept_by_a_shared_cache(page, users, password, careless):
    cache = SharedCache(WSGIHandler())
    ada = Visitor(cache, users[0], password)
    ada.sign_in()
    ada.lose_access()
    ada.visit(page)
    assert has_ours(Visitor(cache).visit(page))
    with pytest.raises(AssertionError):
        assert_kept_nothing_of_ours(cache.ever, [ada])


def test_and_by_djangos(users, password, careless, djangos_cache):
    ada = Visitor(WSGIHandler(), users[0], password)
    ada.sign_in()
    ada.lose_access()
    ada.visit("/greeting/")
    assert ada.name in Visitor(WSGIHandler()).visit("/greeting/").text()
    with pytest.raises(AssertionError):
        assert_kept_nothing_of_ours(Recording.pages, [ada])


@pytest.mark.parametrize("page", ["/streamed-late/", "/public-streamed-late/"])
def test_a_page_that_looks_at_its_visitor_while_it_streams_is_nobody_elses(page, users, password):
    cache = SharedCache(WSGIHandler())
    ada = Visitor(cache, users[0], password)
    ada.sign_in()
    assert ada.name in ada.visit(page).text()
    assert ada.name not in Visitor(cache).visit(page).text()
