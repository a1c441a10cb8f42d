# ruff: noqa: INP001 - a script, and no module
"""What spark-submit starts, which takes files and no commands."""

from __future__ import annotations

import sys

from ndr.cli import main

sys.exit(main())
