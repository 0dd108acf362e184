"""The terminal half: starts engines, reads run folders, prints. It never imports torch."""
