"""What screens are made of. A widget is handed values; it reads no files."""
