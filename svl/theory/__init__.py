"""The papers' theorems beside experiments: exact recursions, their bounds, and what training does."""
