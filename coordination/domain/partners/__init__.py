"""Community bodies and practice bases: vetting and documents."""
