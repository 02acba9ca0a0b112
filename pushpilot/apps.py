from django.apps import AppConfig


class PushPilotConfig(AppConfig):
    name = "pushpilot"
    verbose_name = "PushPilot"

    def ready(self) -> None:
        """Both admin sites stand before the system checks run: Django checks the pages of the sites it knows."""
        import pushpilot.sites  # noqa: F401
