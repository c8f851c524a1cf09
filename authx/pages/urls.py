"""Mount as ``path("account/", include("authx.pages.urls"))``."""

from django.contrib.auth.decorators import login_not_required
from django.db.transaction import non_atomic_requests
from django.urls import path, register_converter

from authx.http.error_reports import SecretConverter
from authx.http.live import live_view
from authx.http.renewal import never_renew
from authx.pages import views
from authx.pages.activity import activity
from authx.pages.confirm import ConfirmView
from authx.pages.device_actions import disconnect_app
from authx.pages.live import live
from authx.pages.new_sign_ins import confirm_device
from authx.pages.not_me import not_me

register_converter(SecretConverter, "authx_secret")

app_name = "authx"

urlpatterns = [
    path("login/", views.LoginView.as_view(), name="login"),
    path("logout/", never_renew(views.LogoutView.as_view()), name="logout"),
    # A failed try is recorded, and a session continued, even if the page then fails.
    path("confirm/", non_atomic_requests(ConfirmView.as_view()), name="confirm"),
    path("devices/", views.devices, name="devices"),
    path("devices/end-others/", views.end_others, name="devices-end-others"),
    path("devices/<uuid:sid>/end/", views.end_device, name="device-end"),
    path("devices/<uuid:sid>/rename/", views.rename_device, name="device-rename"),
    path("devices/<uuid:sid>/confirm/", confirm_device, name="device-confirm"),
    path("devices/apps/<path:client_id>/disconnect/", disconnect_app, name="app-disconnect"),
    path("activity/", activity, name="activity"),
    path("live/", live_view(never_renew(login_not_required(live))), name="live"),
    path("not-me/<authx_secret:token>/", not_me, name="not-me"),
]
