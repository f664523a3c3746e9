"""What an inference is, which recordings and metadata it takes, and how it ends. Pure."""
