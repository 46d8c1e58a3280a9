"""Nobody comes in without the token and from elsewhere: every route, every method, every way, from the route table."""

import re

import pytest

from maquette.core.errors import UsageError
from maquette.faces.http import routes
from maquette.faces.http.access import Access, is_loopback
from maquette.faces.http.server import _token
from maquette.operations.studio import Studio
from maquette.store.workspace import Workspace
from tests.faces.http.served import TOKEN, Direct, finished, opened, tree

HOST = ("host", "127.0.0.1:8737")
BEARER = ("authorization", f"Bearer {TOKEN}")
ORIGIN = ("origin", "http://127.0.0.1:8737")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
REFUSED = {
    "no token": [HOST],
    "an empty token": [HOST, ("authorization", "Bearer ")],
    "a wrong token": [HOST, ("authorization", "Bearer wrong-token-of-these-tests")],
    "another scheme": [HOST, ("authorization", f"Basic {TOKEN}")],
    "two tokens": [HOST, BEARER, BEARER],
    "a wrong cookie": [HOST, ("cookie", "maquette-8737=wrong")],
    "the cookie of another port": [HOST, ("cookie", f"maquette-8738={TOKEN}")],
    "a foreign Host": [("host", "evil.example:8737"), BEARER],
    "a Host that begins like ours": [("host", "127.0.0.1.evil.example:8737"), BEARER],
    "an address that is not ours": [("host", "10.0.0.1:8737"), BEARER],
    "no Host": [BEARER],
    "a port that only looks like a number": [("host", "localhost:\u00b2"), BEARER],
    "two Hosts": [HOST, ("host", "evil.example"), BEARER],
    "a foreign Origin": [HOST, BEARER, ("origin", "http://evil.example")],
    "the Origin of another port": [HOST, BEARER, ("origin", "http://127.0.0.1:9999")],
    "a null Origin": [HOST, BEARER, ("origin", "null")],
    "a foreign Origin beside ours": [HOST, BEARER, ORIGIN, ("origin", "http://evil.example")],
    "another site": [HOST, BEARER, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")],
    "another port of this machine": [HOST, BEARER, ("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")],
    "a form of another site": [
        HOST, ("cookie", f"maquette-8737={TOKEN}"), ("origin", "http://evil.example"),
        ("content-type", "application/x-www-form-urlencoded"),
    ],
}  # fmt: skip


def filled(path, samples=None):
    """A path with words in it."""
    return re.sub(r"{(\w+)(:path)?}", lambda found: (samples or {}).get(found[1], "first"), path)


def test_all_that_is_served_stands_in_the_table(furnished):
    served = {(method, route.path) for route in routes.application(Direct(furnished).studio).routes
              for method in route.methods - {"HEAD"}}  # fmt: skip
    assert served == {(one.method, one.path) for one in routes.table()}


def test_every_route_refuses_every_method_and_every_stranger_and_nothing_changes(furnished):
    before = tree(furnished)

    async def ask():
        direct = Direct(furnished)
        for path in sorted({filled(one.path, one.samples) for one in routes.table()}):
            for method in METHODS:
                for why, headers in REFUSED.items():
                    answer = await direct(method, path, headers, b"{}")
                    assert answer.status in (401, 403), (why, method, path, answer)
                    assert answer.headers["x-content-type-options"] == "nosniff"
                    assert "default-src 'none'" in answer.headers["content-security-policy"]
                    assert "access-control-allow-origin" not in answer.headers
                    assert "set-cookie" not in answer.headers and TOKEN.encode() not in answer.content

    finished(ask())
    assert tree(furnished) == before


def test_the_token_lets_in_as_header_and_as_cookie(furnished):
    async def ask():
        direct = Direct(furnished)
        for headers in ([HOST, BEARER], [HOST, BEARER, ORIGIN], [HOST, ("cookie", f"a=b; maquette-8737={TOKEN}")],
                        [("host", "localhost:9000"), BEARER], [("host", "[::1]:8737"), BEARER],
                        [HOST, BEARER, ("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")]):  # fmt: skip
            answer = await direct("GET", "/health", headers)
            assert answer.status == 200, headers

    finished(ask())


def test_the_address_with_the_token_sets_a_cookie_and_loses_the_token(furnished):
    async def ask():
        direct = Direct(furnished)
        answer = await direct("GET", f"/?token={TOKEN}", [HOST])
        assert (answer.status, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert (await direct("GET", "/", [HOST, ("cookie", cookie.partition(";")[0])])).status == 200
        many = "&".join(["a=b"] * 20)
        for path in (
            f"/?{many}",
            f"/?{many}&token={TOKEN}",
            "/?token=%FF",
            "/?token=wrong",
            f"/?token={TOKEN}&token={TOKEN}",
            f"/api?token={TOKEN}",
        ):
            assert (await direct("GET", path, [HOST])).status == 401
        for headers in ([("host", "evil.example")], [HOST, ("origin", "null")]):
            assert (await direct("GET", f"/?token={TOKEN}", headers)).status == 403

    finished(ask())


def test_a_stale_token_is_told_from_none(furnished):
    async def ask():
        direct = Direct(furnished)
        stale = await direct("GET", "/api", [HOST, ("cookie", "maquette-8737=old")])
        none = await direct("GET", "/api", [HOST])
        assert "any more" in stale.json["error"] and "needs the studio's token" in none.json["error"]
        page = await direct("GET", "/", [HOST])
        assert page.status == 401 and "maquette studio" in page.content.decode()

    finished(ask())


def test_what_is_no_request_for_a_page_is_closed(furnished):
    sent = []

    async def ask():
        async def send(message):
            sent.append(message)

        await Direct(furnished).app({"type": "websocket", "headers": [], "path": "/"}, None, send)

    finished(ask())
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_names_of_a_proxy_are_let_in_when_they_were_given():
    def refused(access, host):
        headers = [(b"host", host.encode()), (b"authorization", b"Bearer " + TOKEN.encode())]
        return access.refusal({"method": "GET", "path": "/api", "headers": headers})

    assert refused(Access(TOKEN, "127.0.0.1", 8737), "studio.example") is not None
    assert refused(Access(TOKEN, "127.0.0.1", 8737, ["studio.example"]), "Studio.example") is None
    assert refused(Access(TOKEN, "0.0.0.0", 8737), "192.168.1.7:8737") is None
    assert refused(Access(TOKEN, "0.0.0.0", 8737), "rebound.example:8737") is not None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.com", ""])
def test_an_address_that_others_reach_needs_a_token_of_ones_own(host, tmp_path, monkeypatch):
    monkeypatch.delenv("MAQUETTE_TOKEN", raising=False)
    assert not is_loopback(host)
    with pytest.raises(UsageError, match="needs a token of yours"):
        _token(Studio(host=host), Workspace(tmp_path))
    with pytest.raises(UsageError, match="16 to 200"):
        _token(Studio(host=host, token="short"), Workspace(tmp_path))
    monkeypatch.setenv("MAQUETTE_TOKEN", "from-the-environment")
    assert _token(Studio(host=host), Workspace(tmp_path)) == "from-the-environment"


def test_the_workspaces_own_token_is_kept_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("MAQUETTE_TOKEN", raising=False)
    first = _token(Studio(), Workspace(tmp_path))
    file = tmp_path / "studio" / "token"
    assert len(first) >= 40 and file.stat().st_mode & 0o077 == 0
    assert _token(Studio(), Workspace(tmp_path)) == first
    assert _token(Studio(new_token=True), Workspace(tmp_path)) != first
    file.chmod(0o644)
    assert _token(Studio(), Workspace(tmp_path)) not in (first, file.parent)


def test_over_a_real_connection(workspace):
    with opened(workspace) as client:
        assert client("GET", "/api").status == 200
        assert client("GET", "/api", token=None).status == 401
        assert client("GET", "/api", headers={"host": "evil.example"}).status == 403
        assert client("GET", "/api", headers={"origin": "null"}).status == 403
        answer = client("GET", "/api")
        assert answer.headers["x-maquette-version"] == answer.json["version"] and "server" not in answer.headers
