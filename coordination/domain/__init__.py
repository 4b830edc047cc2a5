"""What is true: rules, use cases, queries and tables, one folder a feature. No Flask, no messages."""
