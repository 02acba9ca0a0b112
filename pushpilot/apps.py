from django.apps import AppConfig


class PushPilotConfig(AppConfig):
    name = "pushpilot"
    verbose_name = "PushPilot"
