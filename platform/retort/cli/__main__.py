"""``python -m retort.cli``."""

import sys

from retort.cli import main

sys.exit(main())
