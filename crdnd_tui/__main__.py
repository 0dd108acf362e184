"""`python -m crdnd_tui` is `crdnd`."""

import sys

if not sys.flags.safe_path:
    sys.path.pop(0)  # the working folder, whose random.py or queue.py is not Python's

from crdnd_tui.cli.app import main

main()
