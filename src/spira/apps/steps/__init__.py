"""Wiring of the training steps: each use case with its inputs and outputs on the step's bench. One module per step."""
