"""Tests of tables and figures as text, pictures and pages."""
