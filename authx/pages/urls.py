"""Mount as ``path("account/", include("authx.pages.urls"))``."""

from django.contrib.auth.decorators import login_not_required
from django.db.transaction import non_atomic_requests
from django.urls import path

from authx.http.live import live_view
from authx.http.renewal import never_renew
from authx.pages import views
from authx.pages.confirm import ConfirmView
from authx.pages.device_actions import disconnect_app
from authx.pages.live import live

app_name = "authx"

urlpatterns = [
    path("login/", views.LoginView.as_view(), name="login"),
    path("logout/", never_renew(views.LogoutView.as_view()), name="logout"),
    # A failed try is recorded, and a session continued, even if the page then fails.
    path("confirm/", non_atomic_requests(ConfirmView.as_view()), name="confirm"),
    path("devices/", views.devices, name="devices"),
    path("devices/end-others/", views.end_others, name="devices-end-others"),
    path("devices/<uuid:sid>/end/", views.end_device, name="device-end"),
    path("devices/apps/<path:client_id>/disconnect/", disconnect_app, name="app-disconnect"),
    path("live/", live_view(never_renew(login_not_required(live))), name="live"),
]
