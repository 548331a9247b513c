"""Networks as plain ``torch.nn.Module``s."""

from svl.models.mlp import MLP

__all__ = ["MLP"]
