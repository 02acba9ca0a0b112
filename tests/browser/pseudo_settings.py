"""The product's settings, and the pseudo language (tests/pseudo.py) of the folder in
PSEUDO_WORDS."""

import os

from pushpilot.settings import *  # noqa: F403
from pushpilot.settings import LANGUAGES, LOCALE_PATHS
from tests.pseudo import LANGUAGE

LANGUAGES = [*LANGUAGES, (LANGUAGE, "Pseudo")]
LOCALE_PATHS = [os.environ["PSEUDO_WORDS"], *LOCALE_PATHS]
