"""The papers' theorems compared with experiments: exact recursions, their bounds, and actual training."""
