"""The training steps as data, the contract that each obeys, and who runs them: processes here, pods elsewhere."""
