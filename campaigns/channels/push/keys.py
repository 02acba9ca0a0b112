"""The keys of the two push channels, as campaigns and endpoints keep them."""

APP_PUSH, WEB_PUSH = "app_push", "web_push"
