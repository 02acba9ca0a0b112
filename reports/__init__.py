"""What happened: events in, roll-ups, every number on every chart."""
