"""The WSGI application: `granian --interface wsgi pushpilot.wsgi:application`.

WSGI and not ASGI: under ASGI a request of ours cost 6-8 times the CPU and opened a database session of its own.
"""

import os

from django.core.wsgi import get_wsgi_application

os.umask(0o077)  # what it writes below DATA_DIR is for its own user
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pushpilot.settings")
application = get_wsgi_application()
