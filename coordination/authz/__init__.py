"""Who may do what. Knows no feature: rules work on scope attributes alone."""
