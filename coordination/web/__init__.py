"""The web floor: request context, guards, errors, headers, forms. Knows no feature's screens."""
