"""升级: the school year's turn."""
