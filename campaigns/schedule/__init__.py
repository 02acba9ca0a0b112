"""When a campaign is sent: clocks, zones and series."""
