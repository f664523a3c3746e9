"""What every Flask process shares: problem details, request ids, the access check, health, the API document."""
