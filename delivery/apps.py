from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class DeliveryConfig(AppConfig):
    name = "delivery"
    verbose_name = gettext_lazy("Delivery")
