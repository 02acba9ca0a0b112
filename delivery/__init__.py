"""Gets it there: shards, the ledger of messages, pace, channels."""
