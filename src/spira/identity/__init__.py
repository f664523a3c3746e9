"""Who may do what: users, hospitals, sign-in, tokens."""
