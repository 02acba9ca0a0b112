"""The root wiring: settings, URLs, API, admin sites and schedules. No models, no business rules."""
