"""Parent communication: notices of class teachers, and what their guardians see of them."""
