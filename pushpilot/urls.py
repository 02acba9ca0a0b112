"""Every address of the product. Under /w/<slug> the console lives; tenants.middleware moves that prefix away."""

from django.urls import include, path

from pushpilot import views
from pushpilot.api import api
from pushpilot.sites import console, platform

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("accounts/profile/", views.profile, name="account_profile"),
    path("accounts/", include("allauth.urls")),
    path("admin/", console.urls),
    path("platform/", platform.urls),
    path("api/v1/", api.urls),
]
