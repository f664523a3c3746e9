"""Technologies of identity: argon2, JSON Web Tokens, key files."""
