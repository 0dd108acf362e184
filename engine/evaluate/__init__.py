"""Every attack on every image, resumable at each batch."""
