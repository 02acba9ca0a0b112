"""The console's pages of this layer."""

from campaigns.admin.campaign.page import CampaignAdmin
from campaigns.admin.contact.page import ContactAdmin
from campaigns.admin.template.page import TemplateAdmin
from campaigns.models import Campaign, Contact, Template

PAGES = {Campaign: CampaignAdmin, Contact: ContactAdmin, Template: TemplateAdmin}
