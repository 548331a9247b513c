"""JAX's ``jit(vmap(scan))`` on the benchmark's task, as a process in its own environment.

Reads a number of steps from each line of standard input and prints the seconds that all replicas took for them.
"""

import sys
import time
from functools import partial

import jax
import jax.numpy as jnp

REPLICAS, BATCH, DIM, DEGREE, WIDTH, LR = map(int, sys.argv[1:7])


def initial(key):
    """PyTorch's default initialisation."""
    keys = jax.random.split(key, 4)
    shapes = ((WIDTH, DIM), (WIDTH,), (WIDTH,), ())
    bounds = (DIM**-0.5, DIM**-0.5, WIDTH**-0.5, WIDTH**-0.5)
    return [jax.random.uniform(k, s, minval=-b, maxval=b) for k, s, b in zip(keys, shapes, bounds, strict=True)]


def loss(params, x, y):
    """Logistic loss of a 2-layer ReLU MLP."""
    w, b, a, c = params
    outputs = jax.nn.relu(x @ w.T + b) @ a + c
    return jax.nn.softplus(-y * outputs).mean()


def train(params, key, steps):
    """SGD on fresh examples."""

    def step(carry, _):
        params, key = carry
        key, draw = jax.random.split(key)
        x = 2.0 * jax.random.bernoulli(draw, shape=(BATCH, DIM)) - 1.0
        y = jnp.prod(x[:, :DEGREE], axis=1)
        gradients = jax.grad(loss)(params, x, y)
        return ([p - LR * g for p, g in zip(params, gradients, strict=True)], key), None

    return jax.lax.scan(step, (params, key), None, length=steps)[0]


keys = jax.random.split(jax.random.key(0), REPLICAS)
params = jax.vmap(initial)(keys)
compiled = {}
for line in sys.stdin:
    steps = int(line)
    if steps not in compiled:
        compiled[steps] = jax.jit(jax.vmap(partial(train, steps=steps)))
        jax.block_until_ready(compiled[steps](params, keys))
    began = time.perf_counter()
    params, keys = jax.block_until_ready(compiled[steps](params, keys))
    print(time.perf_counter() - began, flush=True)
