"""JAX's ``jit(vmap(scan))`` on the benchmark's tasks, as a process in its own environment.

Arguments: replicas, batch size, coordinates, degree of parity (0 for Gaussian inputs with He_3 of one direction,
squared loss and GELU), width, learning rate, layers of weights, and 1 for AdamW. Reads a number of steps from each line
of standard input and prints the seconds that all replicas took for them.
"""

import sys
import time
from functools import partial

import jax
import jax.numpy as jnp

REPLICAS, BATCH, DIM, DEGREE, WIDTH = map(int, sys.argv[1:6])
LR, LAYERS, IS_ADAMW = float(sys.argv[6]), int(sys.argv[7]), int(sys.argv[8])
BETA1, BETA2, EPS, DECAY = 0.9, 0.999, 1e-8, 0.01


def initial(key):
    """PyTorch's default initialisation."""
    dims = [DIM, *[WIDTH] * (LAYERS - 1)]
    outputs = [*[WIDTH] * (LAYERS - 1), 1]
    params = []
    for before, after, own in zip(dims, outputs, jax.random.split(key, LAYERS), strict=True):
        first, second = jax.random.split(own)
        weight = jax.random.uniform(first, (after, before), minval=-(before**-0.5), maxval=before**-0.5)
        bias = jax.random.uniform(second, (after,), minval=-(before**-0.5), maxval=before**-0.5)
        params.append((weight, bias))
    return params


def loss(params, x, y):
    """Logistic loss of a ReLU network on parity, or squared loss of a GELU network."""
    activation = jax.nn.relu if DEGREE else partial(jax.nn.gelu, approximate=False)
    for weight, bias in params[:-1]:
        x = activation(x @ weight.T + bias)
    weight, bias = params[-1]
    outputs = (x @ weight.T + bias)[:, 0]
    return jax.nn.softplus(-y * outputs).mean() if DEGREE else jnp.square(outputs - y).mean()


def examples(key):
    """A batch of fresh examples."""
    if DEGREE:
        x = 2.0 * jax.random.bernoulli(key, shape=(BATCH, DIM)) - 1.0
        return x, jnp.prod(x[:, :DEGREE], axis=1)
    x = jax.random.normal(key, (BATCH, DIM))
    z = x[:, 0]
    return x, z * (z * z - 3)


def update(params, moments, gradients, number):
    """One step of SGD or AdamW."""
    if not IS_ADAMW:
        return jax.tree.map(lambda p, g: p - LR * g, params, gradients), moments
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, moments[0], gradients)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, moments[1], gradients)
    scales = 1 - BETA1**number, 1 - BETA2**number

    def moved(p, m, v):
        return p * (1 - LR * DECAY) - LR * (m / scales[0]) / (jnp.sqrt(v / scales[1]) + EPS)

    return jax.tree.map(moved, params, first, second), (first, second)


def train(params, moments, key, steps):
    """Steps on fresh examples."""

    def step(carry, number):
        params, moments, key = carry
        key, draw = jax.random.split(key)
        gradients = jax.grad(loss)(params, *examples(draw))
        params, moments = update(params, moments, gradients, number)
        return (params, moments, key), None

    return jax.lax.scan(step, (params, moments, key), jnp.arange(1.0, steps + 1.0))[0]


keys = jax.random.split(jax.random.key(0), REPLICAS)
params = jax.vmap(initial)(keys)
moments = (jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)) if IS_ADAMW else ()
compiled = {}
for line in sys.stdin:
    steps = int(line)
    if steps not in compiled:
        compiled[steps] = jax.jit(jax.vmap(partial(train, steps=steps)))
        jax.block_until_ready(compiled[steps](params, moments, keys))
    began = time.perf_counter()
    params, moments, keys = jax.block_until_ready(compiled[steps](params, moments, keys))
    print(time.perf_counter() - began, flush=True)
