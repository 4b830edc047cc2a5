"""A file for each child of a class: handed in, looked at, put to a child, erased."""
