"""FCM HTTP v1: app push and web push. The same code talks to Google and to the sandbox; only
addresses differ.

provider: what the registry knows · account: whose key, which addresses · message: our neutral
payload as FCM's · sender: batches out, outcomes back · codes: its answers in words · forms: the
key file on the connection page · sdk: Google's own firebase-admin, for "test connection" and as
the second transport of the conformance test.
"""
