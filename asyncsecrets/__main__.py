"""``python -m asyncsecrets``: the ``asyncsecrets`` command."""

import sys

from asyncsecrets.cli import main

sys.exit(main())
