"""One architecture, one file. Each offers `build(spec, classes, image) -> nn.Module`, `image` being (C, H, W)."""
