import json, re
from datetime import timedelta
import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient
from authx.conf import conf
from authx.core.actor import NOBODY
from authx.errors import *
from authx.gate import verify_access_token
from authx.models import DeviceSession, SessionEvent
from authx.sessions import *
from authx.sessions import Device
from authx.sessions.continuing import continue_session
from tests.gate.test_stores import NAMES, QUICK, choose
from tests.branches import another_branch, read

pytestmark = pytest.mark.django_db(transaction=True)
AUTH="/api/auth/"; CONFIRM="/account/confirm/"; LOGIN="/account/login/"
ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"

def bearer(t): 
    c=APIClient(); c.credentials(HTTP_AUTHORIZATION=f"Bearer {t}"); return c
def page(user,password):
    c=Client(); assert c.post(LOGIN,{"username":user.get_username(),"password":password}).status_code==302
    c.get("/whoami/"); return c

@pytest.mark.parametrize("st", [("database", timedelta(0)), *QUICK], ids=["database", *NAMES])
def test_old_tokens_dead_at_once(settings, st, ada, password):
    choose(settings,*st)
    c=open_session(ada); api=bearer(c.access_token)
    assert api.get("/api/whoami/").status_code==200
    a=api.post(AUTH+"reauthenticate/",{"password":password}).json()
    r=api.get("/api/whoami/"); assert (r.status_code, r.json()["code"], r.json()["reason"])==(401,"session_ended","superseded")
    assert api.get(AUTH+"session/").status_code==401
    r=APIClient().post(AUTH+"refresh/",{"refresh_token":c.refresh_token}); assert (r.status_code,r.json()["reason"])==(401,"superseded")
    new=bearer(a["access_token"]); assert new.get("/api/whoami/").json()["sid"]==a["session_id"]
    b=new.post(AUTH+"reauthenticate/",{"password":password}).json()
    assert new.get("/api/whoami/").status_code==401
    assert bearer(b["access_token"]).get("/api/whoami/").status_code==200
    # a second: page by cookies
    cl=page(ada,password); old=cl.cookies[ACCESS].value; oldr=cl.cookies[REFRESH].value
    cl.post(CONFIRM,{"password":password})
    assert bearer(old).get("/api/whoami/").status_code==401
    thief=Client(); thief.cookies[ACCESS]=old; thief.cookies[REFRESH]=oldr
    assert thief.get("/api/whoami/").status_code==401
    assert cl.get("/api/whoami/").status_code==200

def chain(user,n=3):
    c=open_session(user, device=Device(id="d1")); line=[c]
    for _ in range(n): line.append(continue_session(line[-1].session,NOBODY,methods=["pwd"],came_back=True))
    return line

def left(): return DeviceSession.objects.live()

def test_chain_api_delete(ada):
    line=chain(ada); me=open_session(ada)
    assert bearer(me.access_token).delete(f"{AUTH}sessions/{line[0].session.pk}/").status_code==204
    assert list(left())==[me.session]
    assert DeviceSession.objects.get(pk=line[-1].session.pk).end_reason=="ended_by_user"
    assert bearer(me.access_token).delete(f"{AUTH}sessions/{line[0].session.pk}/").status_code==404
def test_chain_api_own_delete(ada):
    line=chain(ada)
    assert bearer(line[-1].access_token).delete(f"{AUTH}sessions/{line[0].session.pk}/").status_code==204
    assert DeviceSession.objects.get(pk=line[-1].session.pk).end_reason=="logout"
def test_chain_staff(ada,admin):
    line=chain(ada); me=open_session(admin)
    for n in (1,0):
        r=bearer(me.access_token).post(f"{AUTH}staff/sessions/{line[0].session.pk}/kick/",{}); assert r.json()=={"ended":n}
    line=chain(ada); me2=bearer(me.access_token)
    assert me2.post(f"{AUTH}staff/users/{ada.pk}/kick/",{}).json()=={"ended":1}
def test_chain_admin(ada,admin,password):
    line=chain(ada); cl=page(admin,password)
    d={"action":"kick","_selected_action":[str(line[0].session.pk), str(line[1].session.pk)],"post":"yes","reason":"x"}
    r=cl.post("/admin/authx/devicesession/",d,follow=True)
    assert "1 session was ended" in r.content.decode()
    assert not left().filter(user=ada).exists()
    r=cl.post("/admin/authx/devicesession/",d,follow=True)
    assert "0 sessions were ended" in r.content.decode()
def test_chain_admin_everywhere(ada,admin,password):
    line=chain(ada); cl=page(admin,password)
    d={"action":"kick_everywhere","_selected_action":[str(line[0].session.pk)],"post":"yes","reason":"x"}
    r=cl.post("/admin/authx/devicesession/",d,follow=True)
    assert "1 session was ended" in r.content.decode()
def test_chain_others(ada,bob,password):
    line=chain(ada); me=open_session(bob)
    assert bearer(me.access_token).delete(f"{AUTH}sessions/{line[0].session.pk}/").status_code==404
    assert left().count()==2
def test_patch_old_id(ada):
    line=chain(ada)
    r=bearer(line[-1].access_token).patch(f"{AUTH}sessions/{line[0].session.pk}/",{"name":"x"}); assert r.status_code==200 and r.json()["id"]==str(line[-1].session.pk) and r.json()["current"]

def test_bearer_with_cookies_beside(ada,bob,password):
    cl=page(bob,password); c=open_session(ada)
    before={k:v.value for k,v in cl.cookies.items()}
    r=cl.post(AUTH+"reauthenticate/",{"password":password},content_type="application/json",headers={"authorization":f"Bearer {c.access_token}"})
    assert r.status_code==200 and "refresh_token" in r.json() and not r.cookies
    assert {k:v.value for k,v in cl.cookies.items()}==before
    assert cl.get("/whoami/").json()["user"]=="bob"
def test_bearer_of_same_session_as_cookies(ada,password):
    cl=page(ada,password)
    r=cl.post(AUTH+"reauthenticate/",{"password":password},content_type="application/json",headers={"authorization":f"Bearer {cl.cookies[ACCESS].value}"})
    assert r.status_code==200
    print(r.cookies, cl.get("/whoami/").json())

@pytest.mark.parametrize("atomic",[False,True])
def test_confirm_doors(ada,password,settings,atomic):
    from django.db import connection
    settings.DATABASES["default"]["ATOMIC_REQUESTS"]=atomic
    connection.settings_dict["ATOMIC_REQUESTS"]=atomic
    try:
        cl=page(ada,password); sid=left().get().pk
        for r in (cl.get(CONFIRM,{"password":password}), cl.head(CONFIRM), cl.head(CONFIRM,{"password":password}), cl.options(CONFIRM), cl.put(CONFIRM,json.dumps({"password":password}),content_type="application/json"), cl.put(CONFIRM,f"password={password}",content_type="application/x-www-form-urlencoded"), cl.post(CONFIRM+"?password="+password), cl.post(CONFIRM,json.dumps({"password":password}),content_type="application/json"), cl.delete(CONFIRM), cl.patch(CONFIRM)):
            assert r.status_code in (200,405), r.status_code
            assert "no-store" in r["Cache-Control"] and "private" in r["Cache-Control"], r.headers
            assert "Cookie" in r["Vary"], r.headers
            assert left().get().pk==sid
        r=cl.post(CONFIRM,{"password":password}); assert r.status_code==302 and "no-store" in r["Cache-Control"]
        assert left().get().pk!=sid
        anon=Client().get(CONFIRM); assert "no-store" in anon["Cache-Control"]; print(anon.headers)
        anon=Client().head(CONFIRM); assert anon.status_code==302
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"]=False
        settings.DATABASES["default"]["ATOMIC_REQUESTS"]=False

HOSTILE=["https://evil.example/","//evil.example","///evil.example","/\\evil.example","\\\\evil.example","http:///evil.example","https:evil.example","javascript:alert(1)","data:text/html,x"," //evil.example","\t//evil.example","/\t/evil.example","/\n/evil.example","//testserver@evil.example/","http://testserver:80@evil.example/","\x00//evil","http://[::1","/%0d%0aSet-Cookie:a=b","/\r\nSet-Cookie: a=b", "ſ//evil.example", "/x"*5000, "http://testserver.evil.example/","ftp://testserver/","﹨﹨evil.example"]
@pytest.mark.parametrize("wanted",range(len(HOSTILE)))
@pytest.mark.parametrize("where",["get","post"])
def test_hostile(ada,password,wanted,where):
    cl=page(ada,password); w=HOSTILE[wanted]
    g=cl.get(CONFIRM,{"next":w}); assert g.status_code==200
    r=cl.post(CONFIRM,{"password":password,"next":w}) if where=="post" else cl.post(CONFIRM+"?"+__import__("urllib.parse",fromlist=["x"]).urlencode({"next":w}),{"password":password})
    assert r.status_code==302
    loc=r["Location"]; assert "\n" not in loc and "\r" not in loc
    from urllib.parse import urljoin, urlsplit
    j=urlsplit(urljoin("http://testserver/account/confirm/",loc.replace("\\","/").replace("\t","").strip()))
    assert (j.scheme in("http","https") and j.netloc=="testserver"),loc

def test_locked(ada,password,django_user_model):
    cl=page(ada,password)
    django_user_model.objects.filter(pk=ada.pk).update(is_active=False)
    r=cl.post(CONFIRM,{"password":password}); assert r.status_code==302 and LOGIN in r["Location"]
    assert not left().exists()
    assert DeviceSession.objects.get().end_reason=="user_disabled"

def test_locked_between(ada,password,django_user_model,monkeypatch):
    "disabled while the password is being hashed"
    cl=page(ada,password)
    api=bearer(cl.cookies[ACCESS].value)
    r=api.post(AUTH+"reauthenticate/",{"password":"wrong"}); assert r.status_code==401, r.json()
    assert r.json()["code"]=="invalid_credentials"

def test_secret_key_rotation_t1b(ada,settings):
    c=open_session(ada)
    settings.SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]; settings.SECRET_KEY="new-"+"k"*60
    r=APIClient().post(AUTH+"refresh/",{"refresh_token":c.refresh_token}); assert r.status_code==200
    t=r.json()["refresh_token"]; print(t==c.refresh_token)
    assert read(t).branch==read(c.refresh_token).branch
    new=continue_session(c.session,NOBODY,methods=["pwd"],came_back=True)
    settings.SECRET_KEY_FALLBACKS=[]
    assert APIClient().post(AUTH+"refresh/",{"refresh_token":new.refresh_token}).status_code==200

def test_t1b_cookies(ada,password):
    cl=page(ada,password); before=cl.cookies[REFRESH].value
    del cl.cookies[ACCESS]
    r=cl.get("/whoami/"); assert ACCESS in r.cookies and REFRESH not in r.cookies
    r=cl.post(AUTH+"refresh/",content_type="application/json"); assert r.status_code==200 and REFRESH not in r.cookies and ACCESS in r.cookies and "refresh_token" not in r.json()
    DeviceSession.objects.update(rotated_at=timezone.now()-timedelta(hours=1))
    del cl.cookies[ACCESS]
    r=cl.get("/whoami/"); assert REFRESH in r.cookies and r.cookies[REFRESH].value!=before

@pytest.mark.parametrize("path",["/whoami/"])
def test_1970(client,ada,settings,path): pass
