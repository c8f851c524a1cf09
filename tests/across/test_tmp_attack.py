import json, re
from datetime import timedelta
import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from django.utils import timezone
from rest_framework.test import APIClient
from authx.conf import conf
from authx.core.actor import NOBODY
from authx.errors import *
from authx import signals
from authx.models import DeviceSession, SessionEvent
from authx.sessions import *
from authx.sessions import Device
from authx.sessions.continuing import continue_session
from authx.pages.decorators import recently_authenticated
from tests import urls as site
from tests.racing import race
from tests.branches import another_branch, read

pytestmark = pytest.mark.django_db(transaction=True)
AUTH="/api/auth/"; CONFIRM="/account/confirm/"; LOGIN="/account/login/"
ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"

@recently_authenticated(timedelta(minutes=5))
def secrets(request): return HttpResponse("secrets")
urlpatterns=[path("secrets/",secrets), *site.urlpatterns]
@pytest.fixture(autouse=True)
def _u(settings): settings.ROOT_URLCONF=__name__
@pytest.fixture(params=[False,True],ids=["plain","atomic"],autouse=True)
def atomic(request):
    connection.settings_dict["ATOMIC_REQUESTS"]=request.param; yield; connection.settings_dict["ATOMIC_REQUESTS"]=False

def bearer(t): 
    c=APIClient(); c.credentials(HTTP_AUTHORIZATION=f"Bearer {t}"); return c
def page(user,password):
    c=Client(); assert c.post(LOGIN,{"username":user.get_username(),"password":password}).status_code==302
    c.get("/whoami/"); return c
def past(): DeviceSession.objects.update(rotated_at=timezone.now()-timedelta(hours=1))
def jar(c, **kw):
    n=Client(**kw)
    for k,v in c.cookies.items(): n.cookies[k]=v.value
    return n
def visit(c, path="/whoami/"):
    c.cookies.pop(ACCESS,None); return c.get(path, headers={"accept":"text/html"})
def kinds(**f): return list(SessionEvent.objects.filter(**f).order_by("pk").values_list("kind","outcome"))

def test_two_jars_pages(ada,password):
    flagged=[]
    def h(sender,session,alarm,**k): flagged.append(alarm)
    signals.session_flagged.connect(h)
    owner=page(ada,password); thief=jar(owner, REMOTE_ADDR="198.51.100.9", HTTP_USER_AGENT="curl/8")
    past()
    served=[]
    for n in range(4):
        past()
        visit(owner)   # rotates
        r=visit(thief) # only after
        served.append(r.json()["user"] if r.status_code==200 and r["Content-Type"].startswith("application/json") else r.status_code)
        r2=visit(thief)
    print(served, flagged, kinds())
    signals.session_flagged.disconnect(h)
    assert flagged.count("copied")==2 and DeviceSession.objects.get().end_reason=="reused"
    e=SessionEvent.objects.filter(kind="copied")
    assert {(x.ip,x.other_ip,x.user_agent,x.other_user_agent) for x in e}=={("198.51.100.9","127.0.0.1","curl/8","")}
    assert visit(owner).json()["user"] is None
    assert "copied" in owner.get(LOGIN).content.decode()

def test_api_twins(ada):
    c=open_session(ada); t=another_branch(c)
    api=APIClient()
    past(); r=api.post(AUTH+"refresh/",{"refresh_token":c.refresh_token}).json()
    r2=api.post(AUTH+"refresh/",{"refresh_token":t}); assert r2.status_code==200
    past(); r3=api.post(AUTH+"refresh/",{"refresh_token":r["refresh_token"]}).json()
    r4=api.post(AUTH+"refresh/",{"refresh_token":r2.json()["refresh_token"]}); assert (r4.status_code,r4.json()["code"])==(401,"refresh_reused")
    r5=api.post(AUTH+"refresh/",{"refresh_token":r3["refresh_token"]}); assert (r5.json()["code"],r5.json()["reason"])==("session_ended","reused")
    assert bearer(r3["access_token"]).get("/api/whoami/").status_code==401
    assert DeviceSession.objects.get().end_reason=="reused"

def test_conflict(ada):
    c=open_session(ada); api=APIClient(); past()
    r=api.post(AUTH+"refresh/",{"refresh_token":c.refresh_token}).json()
    bearer(r["access_token"]).get("/api/whoami/"); past()
    x=api.post(AUTH+"refresh/",{"refresh_token":c.refresh_token}); assert (x.status_code,x.json()["code"])==(409,"refresh_conflict")
    y=api.post(AUTH+"refresh/",{"refresh_token":another_branch(c)}); assert y.status_code==409
    print(kinds())
    assert api.post(AUTH+"logout/",{"refresh_token":c.refresh_token}).status_code==204
    assert DeviceSession.objects.get().end_reason=="logout"

@pytest.mark.parametrize("alarm",["copied","late_replay","state_rollback"])
def test_end_alarm_api(ada,settings,alarm):
    settings.AUTHX_ALARMS={alarm:"end"}
    c=open_session(ada); api=APIClient(); past()
    old=c.refresh_token
    if alarm=="state_rollback":
        r=api.post(AUTH+"refresh/",{"refresh_token":old}).json(); old=r["refresh_token"]
        DeviceSession.objects.update(generation=1,confirmed_generation=1)
    else:
        r=api.post(AUTH+"refresh/",{"refresh_token":old}).json()
        if alarm=="late_replay": bearer(r["access_token"]).get("/api/whoami/"); past()
        else: old=another_branch(c)
    x=api.post(AUTH+"refresh/",{"refresh_token":old}); assert (x.status_code,x.json()["code"])==(401,"refresh_reused"), x.json()
    assert "access_token" not in x.json()
    print(kinds())
    assert DeviceSession.objects.get().end_reason=="reused"
    assert not DeviceSession.objects.get().answers_lost

def test_recent(ada,password):
    assert Client().get("/secrets/")["Location"]=="/account/login/?next=/secrets/"
    c=open_session(ada)
    assert Client().get("/secrets/",headers={"authorization":f"Bearer {c.access_token}"})["Location"]=="/account/login/?next=/secrets/"
    cl=page(ada,password); assert cl.get("/secrets/").status_code==200
    from authx.core.auth_time import AUTH_TIME_UNKNOWN
    DeviceSession.objects.update(auth_time=AUTH_TIME_UNKNOWN)
    assert cl.get("/secrets/")["Location"].startswith(CONFIRM)
    r=cl.get("/secrets/",headers={"authorization":f"Bearer {c.access_token}"}); assert r.status_code==302 and LOGIN in r["Location"]
    assert cl.post(CONFIRM,{"password":password,"next":"/secrets/"}).status_code==302
    assert cl.get("/secrets/").status_code==200
    # bearer permission
    for m in ("head","options","put","patch","delete"):
        DeviceSession.objects.update(auth_time=AUTH_TIME_UNKNOWN)
        assert getattr(cl,m)("/secrets/").status_code==302

def test_adopted(ada,password,settings):
    mw=settings.MIDDLEWARE
    settings.AUTHX_BIND_DJANGO_LOGIN=False; settings.MIDDLEWARE=[m for m in mw if "authx" not in m]
    cl=Client(); cl.force_login(ada)
    s=cl.session
    for k in [k for k in dict(s.items()) if k.startswith("_authx")]: del s[k]
    s.save()
    settings.AUTHX_BIND_DJANGO_LOGIN=True; settings.MIDDLEWARE=mw
    r=cl.get("/secrets/"); print(r.get("Location")); assert r["Location"].startswith(CONFIRM)
    assert DeviceSession.objects.get().auth_time.year==1970
    assert cl.post(CONFIRM,{"password":password,"next":"/secrets/"})["Location"]=="/secrets/"
    assert cl.get("/secrets/").status_code==200
    assert DeviceSession.objects.live().get().amr==["pwd"]

def test_own_password_change_inside(ada,password):
    cl=page(ada,password); first=DeviceSession.objects.live().get()
    cl.post(CONFIRM,{"password":password})
    new="another-Horse-9-staple"
    r=cl.post("/password-change/",{"old_password":password,"new_password1":new,"new_password2":new}); assert r.status_code==302
    assert cl.get("/whoami/").json()["user"]=="ada"
    assert cl.post(CONFIRM,{"password":new}).status_code==302
    assert cl.get("/whoami/").json()["user"]=="ada"
    other=open_session(ada.__class__.objects.get(pk=ada.pk))
    r=bearer(other.access_token).delete(f"{AUTH}sessions/{first.pk}/"); assert r.status_code==204
    assert cl.get("/whoami/").json()["user"] is None
    assert "another of your devices" in cl.get(LOGIN).content.decode()

def test_admin_posts(admin,ada,password,settings):
    settings.AUTHX_STAFF_MAX_AUTH_AGE=timedelta(minutes=5)
    cl=page(admin,password); s=open_session(ada).session
    DeviceSession.objects.update(auth_time=timezone.now()-timedelta(days=1))
    d={"action":"kick","_selected_action":[str(s.pk)],"post":"yes","reason":"x"}
    r=cl.post("/admin/authx/devicesession/",d,headers={"referer":"http://testserver/admin/authx/devicesession/?q=ada"})
    assert r.status_code==302 and r["Location"].startswith(CONFIRM), r["Location"]
    assert DeviceSession.objects.live().filter(pk=s.pk).exists()
    assert "admin/authx/devicesession/%3Fq%3Dada" in r["Location"], r["Location"]
    g=cl.get(r["Location"]); assert "signed in too long ago" in g.content.decode()
    r=cl.post(CONFIRM,{"password":password,"next":"/admin/authx/devicesession/?q=ada"}); assert r["Location"]=="/admin/authx/devicesession/?q=ada"
    r=cl.post("/admin/authx/devicesession/",d,follow=True); assert "1 session was ended" in r.content.decode()
    # service clients / keys
    DeviceSession.objects.update(auth_time=timezone.now()-timedelta(days=1))
    for u in ("/admin/authx/serviceclient/add/",):
        r=cl.post(u,{}); assert r.status_code==302 and r["Location"].startswith(CONFIRM),r
    r=bearer(open_session(admin,auth_time=timezone.now()-timedelta(days=1)).access_token).post(f"{AUTH}staff/sessions/{s.pk}/kick/",{}); print(r.status_code,r.json(),r.get("WWW-Authenticate"))

def test_remember_through(ada,password):
    a=Client()
    r=a.post(AUTH+"login/",{"username":"ada","password":password,"transport":"cookie","remember":False},content_type="application/json"); assert r.status_code==200
    r=a.post(AUTH+"reauthenticate/",{"password":password},content_type="application/json")
    assert r.status_code==200 and r.cookies[REFRESH]["max-age"]=="" and r.cookies[ACCESS]["max-age"]=="" and "refresh_token" not in r.json()
    assert r["Cache-Control"]=="private, no-store" and "Cookie" in r["Vary"]
    r=a.post(CONFIRM,{"password":password}); assert r.cookies[REFRESH]["max-age"]==""
    a=Client()
    r=a.post(AUTH+"login/",{"username":"ada","password":password,"transport":"cookie"},content_type="application/json"); print(r.cookies[REFRESH]["max-age"])
    r=a.post(AUTH+"reauthenticate/",{"password":password},content_type="application/json"); assert r.cookies[REFRESH]["max-age"]==r.json()["refresh_expires_in"]

def test_device_known(ada,password):
    a=page(ada,password); dev=DeviceSession.objects.live().get().device_id; assert dev
    a.post(CONFIRM,{"password":password}); assert DeviceSession.objects.live().get().device_id==dev
    mine=DeviceSession.objects.live().get()
    b=Client(); b.cookies["__Host-authx_device"]=a.cookies["__Host-authx_device"].value
    b.post(LOGIN,{"username":"ada","password":password})
    assert DeviceSession.objects.live().count()==1
    mine.refresh_from_db(); assert mine.end_reason=="replaced", mine.end_reason
