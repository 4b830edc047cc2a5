"""Whether a certificate of volunteer service stands: for anybody who holds the paper."""
