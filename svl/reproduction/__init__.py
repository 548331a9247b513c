"""The papers' figures, each a config: arms, rates to tune, claims. Run, drawn and judged by ``svl reproduce``."""
