"""JAX's ``jit(vmap(scan))`` of the parity Transformer, as a process in its own environment.

Reads a number of steps from each line of standard input and prints the seconds that all replicas took for them.
"""

import sys
import time
from functools import partial

import jax
import jax.numpy as jnp

REPLICAS, BATCH, DIM, DEGREE, WIDTH, DEPTH, HEADS = map(int, sys.argv[1:8])
LR, BETA1, BETA2, EPS, DECAY = float(sys.argv[8]), 0.9, 0.999, 1e-8, 0.01


def linear(key, inputs, outputs):
    """PyTorch's default initialisation."""
    weight_key, bias_key = jax.random.split(key)
    bound = inputs**-0.5
    weight = jax.random.uniform(weight_key, (inputs, outputs), minval=-bound, maxval=bound)
    return {"weight": weight, "bias": jax.random.uniform(bias_key, (outputs,), minval=-bound, maxval=bound)}


def norm():
    return {"weight": jnp.ones(WIDTH), "bias": jnp.zeros(WIDTH)}


def initial(key):
    keys = iter(jax.random.split(key, 3 + 6 * DEPTH))

    def block():
        parts = {name: linear(next(keys), WIDTH, WIDTH) for name in ("q", "k", "v", "out")}
        feed_forward = {"up": linear(next(keys), WIDTH, 4 * WIDTH), "down": linear(next(keys), 4 * WIDTH, WIDTH)}
        return parts | feed_forward | {"attention_norm": norm(), "feed_forward_norm": norm()}

    return {
        "embed": linear(next(keys), 1, WIDTH),
        "positions": 0.02 * jax.random.normal(next(keys), (DIM, WIDTH)),
        "blocks": [block() for _ in range(DEPTH)],
        "norm": norm(),
        "head": linear(next(keys), WIDTH, 1),
    }


def apply(layer, x):
    return x @ layer["weight"] + layer["bias"]


def normalised(layer, x):
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * layer["weight"] + layer["bias"]


def forward(params, x):
    x = apply(params["embed"], x[..., None]) + params["positions"]
    for block in params["blocks"]:
        h = normalised(block["attention_norm"], x)
        q, k, v = (apply(block[name], h).reshape(BATCH, DIM, HEADS, WIDTH // HEADS) for name in ("q", "k", "v"))
        x = x + apply(block["out"], jax.nn.dot_product_attention(q, k, v).reshape(BATCH, DIM, WIDTH))
        h = apply(block["up"], normalised(block["feed_forward_norm"], x))
        x = x + apply(block["down"], jax.nn.gelu(h, approximate=False))
    return apply(params["head"], normalised(params["norm"], x).mean(1))[:, 0]


def loss(params, x, y):
    return jax.nn.softplus(-y * forward(params, x)).mean()


def train(state, key, steps):
    """AdamW on fresh examples."""

    def step(carry, _):
        (params, mean, square, count), key = carry
        key, draw = jax.random.split(key)
        x = 2.0 * jax.random.bernoulli(draw, shape=(BATCH, DIM)) - 1.0
        y = jnp.prod(x[:, :DEGREE], axis=1)
        gradients = jax.grad(loss)(params, x, y)
        count = count + 1
        mean = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, mean, gradients)
        square = jax.tree.map(lambda s, g: BETA2 * s + (1 - BETA2) * g * g, square, gradients)

        def update(p, m, s):
            m, s = m / (1 - BETA1**count), s / (1 - BETA2**count)
            return p * (1 - LR * DECAY) - LR * m / (jnp.sqrt(s) + EPS)

        return ((jax.tree.map(update, params, mean, square), mean, square, count), key), None

    return jax.lax.scan(step, (state, key), None, length=steps)[0]


keys = jax.random.split(jax.random.key(0), REPLICAS)
params = jax.vmap(initial)(keys)
zeros = jax.tree.map(jnp.zeros_like, params)
state = (params, zeros, zeros, jnp.zeros(REPLICAS))
compiled = {}
for line in sys.stdin:
    steps = int(line)
    if steps not in compiled:
        compiled[steps] = jax.jit(jax.vmap(partial(train, steps=steps)))
        jax.block_until_ready(compiled[steps](state, keys))
    began = time.perf_counter()
    state, keys = jax.block_until_ready(compiled[steps](state, keys))
    print(time.perf_counter() - began, flush=True)
