from django.apps import AppConfig
from django.db.backends.signals import connection_created

from pushpilot.lib.sqlite import teach_like


class PushPilotConfig(AppConfig):
    name = "pushpilot"
    verbose_name = "PushPilot"

    def ready(self) -> None:
        """Both admin sites stand before the system checks run: Django checks the pages of the
        sites it knows."""
        import pushpilot.sites  # noqa: F401

        connection_created.connect(teach_like)
