"""`python -m crdnd_tui` is `crdnd`."""

from crdnd_tui.cli import main

main()
