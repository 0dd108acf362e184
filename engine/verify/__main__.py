"""`python -m engine.verify RUN_FOLDER`: see `engine.verify.main`."""

import sys

from engine.verify.main import main

sys.exit(main())
