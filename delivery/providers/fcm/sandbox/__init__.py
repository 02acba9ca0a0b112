"""A real server that speaks FCM HTTP v1 on loopback, so that everything but the network to
Google is exercised.

replies: error bodies as Google words them · devices: what a device token says about itself ·
checks: is this a valid message · oauth: service-account keys and access tokens · log: what was
accepted, in memory and in SQLite · weather: latency, failures and storms · app: the routes ·
server: start and stop.
"""

from delivery.providers.fcm.sandbox.server import serve

__all__ = ["serve"]
