"""Tables and figures as values, and what writes them: text, Markdown, LaTeX, CSV, JSON, HTML, SVG, PNG, PDF. Pure."""
