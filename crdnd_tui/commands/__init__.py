"""What each command does. `crdnd_tui.cli` imports one of these only when its command is called."""
