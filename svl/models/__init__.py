"""Networks as plain ``torch.nn.Module``s."""

from svl.models.mlp import MLP
from svl.models.transformer import Transformer

__all__ = ["MLP", "Transformer"]
