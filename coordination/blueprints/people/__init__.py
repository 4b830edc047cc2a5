"""The roster's pages: schools, classes and children; roles; imports."""
