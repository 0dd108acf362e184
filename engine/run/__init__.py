"""Run a folder: begin or resume, train, evaluate, end with a sentence and an exit code."""
