"""How roles are named and coloured on the pages of people."""

from __future__ import annotations

from tenants.roles import Role

ROLE_WORDS: dict[str, str] = {
    Role.OWNER: "Owner: everything, including deleting the workspace",
    Role.ADMIN: "Admin: campaigns, people, connections and settings",
    Role.MEMBER: "Member: writes, schedules and sends campaigns",
    Role.VIEWER: "Viewer: looks at everything, changes nothing",
}
ROLE_COLOURS = {"Owner": "primary", "Admin": "info", "Member": "success", "Viewer": "default"}
