"""All settings. A first run needs no environment variable; docs/configuration.md lists what each
one does."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pushpilot.lib import env

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env.folder("DATA_DIR", BASE_DIR / "var")

# --- where it runs --------------------------------------------------------------------------------
DEBUG = env.flag("DEBUG")
PUBLIC_URL = env.public_url("PUBLIC_URL", "http://localhost:8000")
_public = urlsplit(PUBLIC_URL)
_HTTPS = _public.scheme == "https"
# Behind https nobody comes by another name; who asks the machine itself gets /healthz, whatever
# they call it.
_LOCAL = set() if _HTTPS else {"localhost", "127.0.0.1", "[::1]"}
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", sorted({_public.hostname or "", *_LOCAL}))
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECRET_KEY = env.secret("SECRET_KEY", DATA_DIR / "secret_key")
SECRET_KEY_FALLBACKS = env.secrets_list("SECRET_KEY_FALLBACKS")
# Provider credentials have keys of their own: rotating SECRET_KEY must not make them unreadable.
# First key encrypts, all decrypt.
ENCRYPTION_KEYS = env.secrets_list("ENCRYPTION_KEYS") or [
    env.secret("ENCRYPTION_KEY", DATA_DIR / "encryption_key")
]
# How many reverse proxies of ours stand in front: that many X-Forwarded-For entries are believed,
# no more.
PROXY_COUNT = env.integer("PROXY_COUNT", 0, most=5)

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = SECURE_SSL_REDIRECT = _HTTPS
# With this prefix a browser takes them from this host alone, and over https: no page of another
# host in the domain can set one.
_OURS = "__Host-" if _HTTPS else ""
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{_OURS}sessionid", f"{_OURS}csrftoken"
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PROXY_COUNT else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

# --- data -----------------------------------------------------------------------------------------
# The third tenant wall: every connection carries the active scope, and PostgreSQL's policies read
# it.
ROW_SECURITY = env.flag("ROW_SECURITY")
DATABASES = {
    "default": env.database(
        "DATABASE_URL",
        f"sqlite:////{DATA_DIR / 'pushpilot.sqlite3'}",
        base=BASE_DIR,
        guard=("ROW_SECURITY", "tenants.postgres") if ROW_SECURITY else None,
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.redis("REDIS_URL")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    # Shared by the processes of one machine, so that rate limits hold across them without Redis.
    else {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(DATA_DIR / "cache"),
        # of 300, Django's default, a third is thrown away at random when full
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
}
MEDIA_ROOT = DATA_DIR / "media"
# Behind pushpilot.bodies, which refuses a body by its address before it is read.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 4

# --- apps -----------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.import_export",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "guardian",
    "allauth",
    "allauth.account",
    "allauth.headless",  # its flows, without its addresses: tenants.api has ours
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.google",  # without a client id a provider's addresses are 404
    "allauth.socialaccount.providers.apple",
    "allauth.usersessions",
    "django_q",
    "django_filters",
    "import_export",
    "ninja",
    "tenants",
    "campaigns",
    "delivery",
    "reports",
    "pushpilot",
]
MIDDLEWARE = [
    "pushpilot.middleware.OwnAddress",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "pushpilot.middleware.SafeHeaders",
    "django.middleware.locale.LocaleMiddleware",
    "pushpilot.lib.display.ReaderLocale",
    "pushpilot.middleware.ApiProblems",
    "pushpilot.bodies.BodyLimits",
    "pushpilot.middleware.NoNul",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tenants.middleware.WorkspaceMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "pushpilot.proof.AskAgain",
]
ROOT_URLCONF = "pushpilot.urls"
WSGI_APPLICATION = "pushpilot.wsgi.application"


def _files_of_channels(kind: str) -> list[Path]:
    """The folders of this name of the channels' room and of each channel in it."""
    room = BASE_DIR / "campaigns" / "channels"
    return [folder for folder in (room / kind, *sorted(room.glob(f"*/{kind}"))) if folder.is_dir()]


TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "pushpilot" / "templates", *_files_of_channels("templates")],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "libraries": {"theme": "pushpilot.lib.theme", "words": "pushpilot.lib.words"},
            "builtins": ["django.templatetags.i18n", "pushpilot.lib.display_tags"],
        },
    }
]
FORM_RENDERER = "pushpilot.lib.forms.AsWritten"
STATIC_URL = "/static/"
STATICFILES_DIRS = _files_of_channels("static")
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True  # no collectstatic step before the first run
# tenants.access.WorkspaceBackend answers from guardian's rows; guardian's own backend would answer
# per object.
SILENCED_SYSTEM_CHECKS = ["guardian.W001"]

# --- people ---------------------------------------------------------------------------------------
AUTH_USER_MODEL = "tenants.User"
AUTHENTICATION_BACKENDS = ["tenants.access.EmailBackend", "tenants.access.WorkspaceBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]
ANONYMOUS_USER_NAME = None
GUARDIAN_RAISE_403 = True
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "tenants.access.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_SIGNUP_FORM_CLASS = "tenants.access.SignupForm"
ACCOUNT_FORMS = {
    "signup": "tenants.account_forms.SignupPageForm",
    "reset_password": "tenants.account_forms.ResetPasswordForm",
}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_MAX_EMAIL_ADDRESSES = 5
# An address is taken by who confirmed it, not by who wrote it down first.
ACCOUNT_PREVENT_ENUMERATION = "strict"
# Wrong passwords: by one client; for one address from one client; for one address from wherever
# (tenants.access).
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key", "login_failed_anywhere": "100/h/key"}
# Who finds an open browser may look, but needs the password or a passkey to change how to get in.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
SOCIALACCOUNT_FORMS = {"signup": "tenants.account_forms.SocialSignupForm"}
SOCIALACCOUNT_ADAPTER = "tenants.social_sign_in.SocialAccountAdapter"
# An address that the provider verified opens the account that has it; which accounts, the adapter
# says.
SOCIALACCOUNT_EMAIL_AUTHENTICATION = SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_PROVIDERS = {
    "google": {
        "provider_class": "tenants.social_sign_in.GoogleSignIn",
        "APPS": [
            {"client_id": env.text("GOOGLE_CLIENT_ID"), "secret": env.text("GOOGLE_CLIENT_SECRET")}
        ]
        if env.text("GOOGLE_CLIENT_ID")
        else [],
        "SCOPE": ["openid", "profile", "email"],
    },
    "apple": {
        "provider_class": "tenants.social_sign_in.AppleSignIn",
        "APPS": [
            {
                "client_id": env.text("APPLE_CLIENT_ID"),
                "secret": env.text("APPLE_KEY_ID"),
                "key": env.text("APPLE_TEAM_ID"),
                "settings": {"certificate_key": env.text("APPLE_PRIVATE_KEY")},
            }
        ]
        if env.text("APPLE_CLIENT_ID")
        else [],
    },
}
MFA_ADAPTER = "tenants.mfa.MFAAdapter"
MFA_FORMS = {
    "activate_totp": "tenants.account_forms.ActivateTOTPForm",
    "add_webauthn": "tenants.mfa.AddPasskeyForm",
    "login_webauthn": "tenants.mfa.PasskeyLoginForm",
    "authenticate_webauthn": "tenants.mfa.PasskeyStepForm",
    "reauthenticate_webauthn": "tenants.mfa.PasskeyReauthenticateForm",
}
MFA_TOTP_ISSUER = "PushPilot"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not _HTTPS
# The API's tokens: a session's access token is asked about at every request, so its end counts at
# once.
HEADLESS_TOKEN_STRATEGY = "tenants.api.tokens.TokenStrategy"  # noqa: S105 - a class
HEADLESS_JWT_ALGORITHM = "HS256"
HEADLESS_JWT_PRIVATE_KEY = hashlib.sha256(f"pushpilot.jwt:{SECRET_KEY}".encode()).hexdigest()
HEADLESS_JWT_STATEFUL_VALIDATION_ENABLED = HEADLESS_JWT_ROTATE_REFRESH_TOKEN = True
HEADLESS_JWT_ACCESS_TOKEN_EXPIRES_IN = 5 * 60
HEADLESS_JWT_REFRESH_TOKEN_EXPIRES_IN = SESSION_COOKIE_AGE = 14 * 86_400  # since the last refresh
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", f"PushPilot <no-reply@{_public.hostname}>")
vars().update(env.email("EMAIL_URL", (DATA_DIR / "mail").absolute().as_uri()))

# --- work in the background -----------------------------------------------------------------------
WORKERS = env.integer("WORKERS", 2, least=1, most=64)
Q_CLUSTER = {
    "name": "pushpilot",
    "orm": "default",
    "workers": WORKERS,
    # The retry clock starts at dequeue, so nothing may wait inside the cluster: one task fetched
    # per free worker.
    "queue_limit": 1,
    "bulk": 1,
    "timeout": 60,
    "retry": 240,
    "guard_cycle": 0.5,
    "poll": 0.2,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": 100,
    "recycle": 500,
    "label": "Queue",
    "ALT_CLUSTERS": {},
}
# What a bell (pushpilot.lib.wake) wakes. Only this file names every layer.
BELLS = {
    "tick": "delivery.tasks.tick",
    "work": "delivery.tasks.work",
    "digest": "reports.tasks.digest",
    "sweep": "pushpilot.schedules.sweep",
    "heartbeat": "delivery.tasks.beat",
}
# How long a worker may be silent before its shard is taken over; longer than a provider's answer
# may take (15 s).
LEASE_SECS = env.integer("LEASE_SECS", 30, least=1, most=600)
SEND_UNDO = timedelta(seconds=env.integer("SEND_UNDO_SECS", 30, most=600))
# Requests of a person, or with a key of a workspace of the free plan, in a minute
# (tenants.api.security).
API_PER_MINUTE = env.integer("API_PER_MINUTE", 600, least=1, most=1_000_000)
# Requests with one write key that are taken in a minute; more is answered 429.
EVENTS_PER_MINUTE = env.integer("EVENTS_PER_MINUTE", 600_000, least=1)
# Megabytes of events that public keys may store for a workspace of the free plan in a day
# (reports.allowance).
EVENT_MB_PER_DAY = env.integer("EVENT_MB_PER_DAY", 2_000, least=1, most=1_000_000)
# Who may sign up may mail strangers; tenants.limits counts.
INVITATIONS_PER_DAY = env.integer("INVITATIONS_PER_DAY", 200, least=1)
WORKSPACES_PER_DAY = env.integer("WORKSPACES_PER_DAY", 20, least=1)
# Which installation the database must belong to; machines that share one are told the same
# (delivery.engine.installation).
INSTANCE_ID = env.label("INSTANCE_ID", most=64)
SANDBOX_URL = env.public_url("SANDBOX_URL", "http://127.0.0.1:8765")

# --- the rest -------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
# Those that the product is translated into: else a page would mix ours with Django's and Unfold's.
LANGUAGES = [("en", "English")]
LOCALE_PATHS = [BASE_DIR / "pushpilot" / "locale"]
TIME_ZONE = "UTC"
USE_I18N = USE_TZ = True
FORMAT_MODULE_PATH = ["pushpilot.formats"]
FORMS_URLFIELD_ASSUME_HTTPS = True
IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True
IMPORT_EXPORT_USE_TRANSACTIONS = True
IMPORT_EXPORT_SKIP_ADMIN_CONFIRM = False
IMPORT_EXPORT_TMP_STORAGE_CLASS = "import_export.tmp_storages.CacheStorage"
DEFAULT_EXCEPTION_REPORTER_FILTER = "pushpilot.lib.redaction.SecretsHidden"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "pushpilot.lib.redaction.Line",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.choice("LOG_LEVEL", "WARNING", LOG_LEVELS)},
    "loggers": {"django-q": {"level": "WARNING"}},
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "PushPilot",
    "SITE_HEADER": "pushpilot.console.site_header",
    "SITE_SUBHEADER": "pushpilot.console.site_subheader",
    "SITE_SYMBOL": "rocket_launch",
    "SITE_ICON": "pushpilot.console.icon",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": "pushpilot.console.favicon"}
    ],
    "SITE_URL": None,
    "SITE_DROPDOWN": "pushpilot.console.workspace_switcher",
    "ENVIRONMENT": "pushpilot.console.environment",
    "DASHBOARD_CALLBACK": "pushpilot.console.dashboard",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "8px",
    "STYLES": ["pushpilot.console.stylesheet"],
    "SCRIPTS": ["pushpilot.console.words_script", "pushpilot.console.script"],
    "COMMAND": {"search_models": False, "show_history": False},
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "show_all_applications": False,
        "navigation": "pushpilot.console.navigation",
    },
    "TABS": "pushpilot.console.tabs",
    "ACCOUNT": {"navigation": "pushpilot.console.account_links"},
    "COLORS": {
        "primary": {
            "50": "#eff6ff",
            "100": "#dbeafe",
            "200": "#bfdbfe",
            "300": "#93c5fd",
            "400": "#60a5fa",
            "500": "#2b7fff",
            "600": "#155dfc",
            "700": "#1447e6",
            "800": "#193cb8",
            "900": "#1c398e",
            "950": "#162456",
        }
    },
}
# The operators' site has no workspace: its own navigation, and a colour that says where one is.
UNFOLD_PLATFORM = {
    **UNFOLD,
    "SITE_HEADER": "PushPilot",
    "SITE_SUBHEADER": "pushpilot.operations.site_subheader",
    "SITE_DROPDOWN": None,
    "ENVIRONMENT": "pushpilot.operations.environment",
    "DASHBOARD_CALLBACK": "pushpilot.operations.home",
    "STYLES": [*UNFOLD["STYLES"], "pushpilot.operations.stylesheet"],
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "show_all_applications": False,
        "navigation": "pushpilot.operations.navigation",
    },
    "TABS": [],
    "ACCOUNT": {"navigation": "pushpilot.operations.account_links"},
}

env.name_misspelt()
