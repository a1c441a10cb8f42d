"""``python -m ndr.cli`` is ``ndr``."""

import sys

from ndr.cli import main

sys.exit(main())
