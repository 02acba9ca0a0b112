"""The WSGI application: `granian --interface wsgi pushpilot.wsgi:application`.

WSGI and not ASGI: under ASGI a request of ours cost 6-8 times the CPU and opened a database
session of its own.
"""

import os

from django.core.wsgi import get_wsgi_application

from pushpilot.startup import read_settings

os.umask(0o077)  # what it writes below DATA_DIR is for its own user
read_settings()
application = get_wsgi_application()
