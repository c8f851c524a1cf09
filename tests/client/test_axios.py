"""axios, as it is on npm, over the same token and the same refresh."""

import json

import pytest

from authx.models import DeviceSession
from authx.sessions import end_sessions
from tests.client.conftest import REFRESH, WHOAMI
from tests.client.test_calls import INVALID, SLOW, down, refuse

pytestmark = pytest.mark.slow

START = """
() => import("/app/axios.js").then(({ default: axios }) => {
    window.axios = axios;
    window.http = auth.axios(axios.create({ baseURL: "/api/" }));
    window.get = (...rest) => http.get(...rest).then(({ status }) => status,
        (error) => error.response?.status ?? error.code ?? error.name);
    return http === auth.axios(http) ? "twice" : "once";
})
"""


@pytest.fixture
def tab(browser, site, npm, ada, password):
    """A tab in which ada has signed in a while ago, with an axios instance that carries the token."""
    code = (npm / "node_modules/axios/dist/esm/axios.js").read_bytes()
    site.front.files["/app/axios.js"] = ("text/javascript", code)
    found = browser.tab(before=lambda page: page.clock.install())
    found.login("ada", password)
    found.run(START.replace('http === auth.axios(http) ? "twice" : "once"', "null"))
    found.page.clock.fast_forward(5000)
    site.front.forget()
    return found


def test_a_call_carries_the_token(tab, site):
    assert tab.run("get('whoami/')") == 200
    assert site.front.last(WHOAMI).bearer == tab.run("auth.token()")


def test_fetch_and_axios_refresh_once_together(tab, site):
    tab.page.clock.fast_forward("01:00:00")
    statuses = tab.run(
        f"""() => Promise.all([1, 2, 3, 4, 5, 6].map((number) =>
            number % 2 ? get("whoami/") : auth.fetch("{WHOAMI}").then(({{ status }}) => status)))"""
    )
    assert statuses == [200] * 6
    assert site.front.count(REFRESH) == 1


def test_a_401_is_cured_by_one_refresh(tab, site):
    refuse(site.front, WHOAMI)
    assert tab.run("get('whoami/')") == 200
    assert [seen.path for seen in site.front.seen] == [WHOAMI, REFRESH, WHOAMI]


def test_a_401_that_no_refresh_cures_is_handed_over(tab, site):
    refuse(site.front, WHOAMI, times=100)
    assert tab.run("get('whoami/')") == 401
    assert tab.run("get('whoami/')") == 401
    assert site.front.count(REFRESH) == 1
    assert site.front.count(WHOAMI) == 3


def test_a_slow_server_that_refuses_everything_is_asked_twice(tab, site):
    tab.run(SLOW)
    tab.run("() => { http.interceptors.request.use((config) => (slowly(), config)); return null; }")
    refuse(site.front, WHOAMI, times=100)
    assert tab.run("get('whoami/')") == 401
    assert [seen.path for seen in site.front.seen] == [WHOAMI, REFRESH, WHOAMI]


def test_an_error_that_is_no_401_is_axioss_own(tab, site):
    site.front.answer(WHOAMI, 500, "{}")
    assert tab.run("http.get('whoami/').catch((error) => [error.isAxiosError, error.response.status])") == [
        True,
        500,
    ]
    site.front.answer(WHOAMI, 401, "{}", WWW_Authenticate=INVALID.format("invalid_credentials"))
    assert tab.run("get('whoami/')") == 401
    assert site.front.count(REFRESH) == 0


@pytest.mark.parametrize(
    "data",
    [
        '{ a: "1" }',
        "new URLSearchParams({ a: '1' })",
        "(() => { const f = new FormData(); f.append('a', '1'); return f; })()",
    ],
    ids=["json", "params", "form"],
)
def test_a_body_survives_being_sent_again(tab, site, data):
    refuse(site.front, WHOAMI)
    assert tab.run(f"http.post('whoami/', {data}).then(({{ status }}) => status)") == 200
    first, second = [seen for seen in site.front.seen if seen.path == WHOAMI]
    assert len(first.body) == len(second.body) > 0
    assert first.bearer != second.bearer


def test_other_interceptors_stay(tab):
    seen = tab.run(
        """async () => {
            const seen = [];
            http.interceptors.request.use((config) => (seen.push("request"), config));
            http.interceptors.response.use((response) => (seen.push("response"), response));
            await http.get("whoami/");
            await axios.get("/api/public/");
            return seen;
        }"""
    )
    assert seen == ["request", "response"]


def test_another_origin_and_the_apps_own_header_get_no_token(tab, site):
    site.front.sources = f"'self' {site.other}"
    tab.run("get('whoami/', { headers: { Authorization: 'Bearer mine' } })")
    assert site.front.last(WHOAMI).bearer == "mine"
    sent = tab.run(
        f"""() => http.get("{site.other}/whoami/", {{
            adapter: async (config) => ({{ status: 200, config, headers: {{}},
                data: config.headers.get("Authorization") ?? null }})
        }}).then(({{ data }}) => data)"""
    )
    assert sent is None


def test_the_end_is_told_and_the_401_handed_over(tab):
    end_sessions(DeviceSession.objects.all(), "kicked")
    assert tab.run("get('whoami/')") == 401
    assert tab.endings == ["kicked"]
    assert tab.run("get('whoami/')") == "session_ended"


def test_an_outage_signs_nobody_out(tab, site):
    tab.page.clock.fast_forward("01:00:00")
    down(site.front, "503")
    assert tab.run("get('whoami/')") == "store_unavailable"
    assert tab.endings == []


def test_a_bogus_token_of_another_tab_is_cured(tab, browser, site):
    from tests.client.test_tabs import channel, forged

    other, session = browser.tab(), tab.session
    bogus = forged(tab, sid=session["sessionId"], sub=session["userId"])
    channel(other, bogus)
    assert tab.run("auth.token()") == bogus["token"]
    assert tab.run("get('whoami/')") == 200
    assert json.dumps(tab.endings) == "[]"


def test_a_call_that_the_app_sends_again_elsewhere_leaves_the_token_behind(tab, site):
    """As retrying packages do, with the config of the error and another server's address."""
    sent = tab.run(
        f"""async () => {{
            const fails = async (config) => {{ throw new axios.AxiosError("down", "ERR_NETWORK", config); }};
            const tells = async (config) => ({{ status: 200, config, headers: {{}},
                data: config.headers.get("Authorization") ?? null }});
            const config = await http.get("whoami/", {{ adapter: fails }}).catch((error) => error.config);
            const again = async (more) => (await http.request({{ ...config, adapter: tells, ...more }})).data;
            const other = {{ baseURL: "{site.other}/" }};
            return [await again({{}}), await again(other),
                await again({{ ...other, headers: {{ Authorization: "Bearer theirs" }} }})];
        }}"""
    )
    assert sent == [f"Bearer {tab.run('auth.token()')}", None, "Bearer theirs"]
