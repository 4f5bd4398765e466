"""Views: the state in rows, numbers and words for people. They read the state, and never change it."""
