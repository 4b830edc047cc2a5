"""Calendar entries: a projection kept by reactions; audiences and feed tokens."""
