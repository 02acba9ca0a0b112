"""What can be said on a channel: content, limits, addresses, personalisation, preview. No
models, no queries."""
