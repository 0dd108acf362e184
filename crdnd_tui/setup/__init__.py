"""A preset on its way to a run: form, draft, cost, start. Nothing here draws."""
