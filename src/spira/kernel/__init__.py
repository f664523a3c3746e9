"""What every part agrees on: errors, ids, time, settings, topics and messages. Imports nothing of ours."""
