"""The console's pages of this layer."""

from campaigns.admin.campaigns import CampaignAdmin
from campaigns.admin.contacts import ContactAdmin
from campaigns.admin.templates import TemplateAdmin
from campaigns.models import Campaign, Contact, Template

PAGES = {Campaign: CampaignAdmin, Contact: ContactAdmin, Template: TemplateAdmin}
