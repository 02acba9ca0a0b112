"""Every address of the product. Under /w/<slug> the console lives; tenants.middleware moves that
prefix away."""

from django.urls import include, path

from pushpilot import views
from pushpilot.api import api
from pushpilot.lib import words
from pushpilot.sites import console, platform
from tenants import social_sign_in
from tenants import views as tenant_views
from tenants.sessions import SessionsView

handler500 = views.server_error
urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("words/<str:language>.js", words.catalogue, name="words"),
    path("accounts/profile/", tenant_views.profile, name="account_profile"),
    # Ours stand before allauth's: a session can be ended alone; what comes back from a provider is
    # verified whole.
    path("accounts/sessions/", SessionsView.as_view(), name="usersessions_list"),
    path("accounts/google/login/callback/", social_sign_in.google_callback, name="google_callback"),
    path(
        "accounts/apple/login/callback/finish/",
        social_sign_in.apple_finish,
        name="apple_finish_callback",
    ),
    path("accounts/", include("allauth.urls")),
    path("invitations/", tenant_views.waiting_invitations, name="waiting_invitations"),
    path("invitations/<str:token>/", tenant_views.invitation, name="invitation"),
    path("workspaces/deleted/", tenant_views.deleted, name="deleted_workspaces"),
    path("admin/", console.urls),
    path("platform/", platform.urls),
    path("api/v1/reference", views.api_reference, name="api_reference"),
    path("api/v1/", api.urls),
]
