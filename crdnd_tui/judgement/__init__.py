"""What attacks did to single images: examples and confusion matrices, read without trust. Nothing here draws."""
