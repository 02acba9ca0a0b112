"""The pages that are looked at: {title: address}. Those of the console lie under its address."""

README_PAGES = {
    "dashboard": "",
    "editor": "campaigns/campaign/11/change/",
    "run": "campaigns/run/15/change/",
    "phone-wall": "campaigns/run/phone-wall/",
}
MORE_PAGES = {
    "campaigns": "campaigns/campaign/",
    "new-campaign": "campaigns/campaign/add/",
    "review": "campaigns/campaign/11/review/",
    "campaign": "campaigns/campaign/13/change/",
    "templates": "campaigns/template/",
    "import": "campaigns/template/import/",
    "contacts": "campaigns/contact/",
    "contact": "campaigns/contact/1/change/",
    "devices": "campaigns/contact/devices/",
    "runs": "campaigns/run/",
    "recipients": "campaigns/run/15/recipients/",
    "message": "campaigns/run/message/1/",
    "events": "reports/event/",
    "connections": "tenants/connection/",
    "keys": "tenants/apikey/",
    "members": "tenants/membership/",
    "invite": "tenants/invitation/add/",
    "invitations": "tenants/invitation/",
    "roles": "tenants/membership/roles/",
    "new-key": "tenants/apikey/add/",
    "audit": "tenants/auditentry/",
    "audit-entry": "tenants/auditentry/2/change/",
    "workspace": "tenants/workspace/1/change/",
}
# Looked at by axe-core alone.
UNPICTURED_PAGES = {
    "template": "campaigns/template/1/change/",
    "new-template": "campaigns/template/add/",
    "scheduled-campaign": "campaigns/campaign/2/change/",
    "cancelled-campaign": "campaigns/campaign/5/change/",
    "delete-campaign": "campaigns/campaign/11/delete/",
    "nothing-found": "campaigns/campaign/?q=nothing",
    "cancelled-run": "campaigns/run/9/change/",
    "event": "reports/event/1/change/",
    "connection": "tenants/connection/1/change/",
    "new-connection": "tenants/connection/add/",
    "key": "tenants/apikey/1/change/",
    "member": "tenants/membership/2/change/",
}
# Outside of the console, by their whole path.
ACCOUNT_PAGES = {
    "profile": "/accounts/profile/",
    "addresses": "/accounts/email/",
    "password": "/accounts/password/change/",
    "two-factor": "/accounts/2fa/",
    "authenticator": "/accounts/2fa/totp/activate/",
    "passkeys": "/accounts/2fa/webauthn/",
    "new-passkey": "/accounts/2fa/webauthn/add/",
    "sessions": "/accounts/sessions/",
    "waiting": "/invitations/",
    "deleted": "/workspaces/deleted/",
    "new-workspace": "/?new",
    "sign-out": "/accounts/logout/",
}
ENTRANCE_PAGES = {
    "sign-in": "/accounts/login/",
    "sign-up": "/accounts/signup/",
    "forgotten": "/accounts/password/reset/",
    "confirm": "/accounts/confirm-email/",
}
PLATFORM_PAGES = {
    "platform": "/platform/",
    "platform-users": "/platform/tenants/user/",
    "platform-workspaces": "/platform/tenants/workspace/",
    "platform-workers": "/platform/delivery/heartbeat/",
}
UNPICTURED_PLATFORM_PAGES = {
    "platform-user": "/platform/tenants/user/1/change/",
    "platform-workspace": "/platform/tenants/workspace/1/change/",
    "platform-addresses": "/platform/account/emailaddress/",
    "platform-address": "/platform/account/emailaddress/1/change/",
    "platform-logins": "/platform/socialaccount/socialaccount/",
    "platform-authenticators": "/platform/mfa/authenticator/",
    "platform-sessions": "/platform/usersessions/usersession/",
    "platform-actions": "/platform/admin/logentry/",
    "platform-queue": "/platform/django_q/ormq/",
    "platform-done": "/platform/django_q/success/",
    "platform-failed": "/platform/django_q/failure/",
    "platform-jobs": "/platform/django_q/schedule/",
    "platform-job": "/platform/django_q/schedule/1/change/",
}
