"""The training loop, and what makes it killable at any moment."""
