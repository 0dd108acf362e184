"""What stands in front of a screen and is answered: a question, a line, one of many, several of many."""
