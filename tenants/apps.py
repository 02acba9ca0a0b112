from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Workspace"

    def ready(self) -> None:
        from tenants import rowsecurity  # noqa: F401 - registers its system check
