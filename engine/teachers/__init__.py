"""Find, check, read and write networks: teachers, students, other programs' files."""
