"""The Triton kernel of :mod:`.fused_sgd`: one program trains one replica, whose weights stay on chip.

A step of the (20, 6)-parity's network (20-64-1, batch 128) is 4 x 128 x 20 x 64 operations in the two products of the
first layer, whose inputs need no gradient, and 6 x 128 x 64 in the second: 0.7 million. 40 million steps a second, the
goal on an H200, are 28 TFLOP/s, 42 % of its 67 in float32. So the products are left to tensor cores: inputs are signs,
which bfloat16 holds, and a float32 is the sum of three bfloat16, so three products, inputs padded to 32, are as exact:
3.1 million operations a step, 126 of 989 TFLOP/s. Memory holds only the examples' counters: 1 KB written and read again
a step, 80 GB/s of 4800. A replica's weights, velocities and gradients are 96 registers in each of 128 threads, and 8 KB
of shared memory hold the factors of a product. What limits is the number of instructions: compiled for compute
capability 9.0, a step is about 15 thousand of a warp, of which 132 processors at 2 GHz issue at most 68 million steps'
a second. None of this is measured: no GPU was at hand.
"""

from typing import no_type_check

import triton
import triton.language as tl


@no_type_check  # its signatures are Triton's
@triton.jit
def _parity(word):
    """1 where a 32-bit word has an odd number of digits 1."""
    for shift in tl.static_range(5):
        word = word ^ (word >> (16 >> shift))
    return word & 1


@no_type_check
@triton.jit
def _leading(values):
    """The first 8 of a float32's 24 binary digits, which bfloat16 holds."""
    return (values.to(tl.uint32, bitcast=True) & 0xFFFF0000).to(tl.float32, bitcast=True)


@no_type_check
@triton.jit
def _times_signs(values, signs):
    """A matrix product in float32 on tensor cores: signs are exact in bfloat16, other values in three of them."""
    high = _leading(values)
    rest = values - high
    middle = _leading(rest)
    low = (rest - middle).to(tl.bfloat16).to(signs.dtype)
    high, middle = high.to(tl.bfloat16).to(signs.dtype), middle.to(tl.bfloat16).to(signs.dtype)
    return tl.dot(high, signs, tl.dot(middle, signs, tl.dot(low, signs)))


@no_type_check
@triton.jit
def _descend(weight, velocity, gradient, moves, rate, hyper):
    """One step of SGD: learning rate, momentum and weight decay are the first three numbers at ``hyper``."""
    momentum, decay = tl.load(hyper + 1).to(tl.float32), tl.load(hyper + 2).to(tl.float32)
    moves = tl.where(moves, tl.load(hyper + 3), 0.0) > 0
    moved = momentum * velocity + (gradient + decay * weight)
    lr = (tl.load(hyper) * rate).to(tl.float32)
    return tl.where(moves, weight - lr * moved, weight), tl.where(moves, moved, velocity)


@no_type_check
@triton.jit(do_not_specialize=["first_step", "steps", "replicas"])
def sgd_steps(
    index,  # int64 [step, replica, batch]: counters of the examples
    rates,  # float64 [step]: factors on the learning rates
    seed,  # int64 [replica]: Philox key of the examples
    support,  # int32 [replica, 4]: digits of an example's 128 that its label depends on
    hyper,  # float64 [replica, parameter, 4]: learning rate, momentum, weight decay, 1 for what is not frozen
    params,  # float32 [replica, number]: all parameters one after the other; changed, as all that follow
    velocities,  # float32 [replica, number]
    loss_sum,  # float32 [replica]
    correct_sum,  # float32 [replica]
    steps_done,  # int64 [replica]
    diverged_at,  # int64 [replica]
    first_step,
    steps,
    replicas,
    batch,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    BIAS: tl.constexpr,
    LOSS: tl.constexpr,
    ROWS: tl.constexpr,  # examples at a time
    INPUTS: tl.constexpr,  # DIM and
    UNITS: tl.constexpr,  # WIDTH, padded
    FACTOR: tl.constexpr,  # what signs are held in: bfloat16, but Triton's interpreter multiplies none
):
    """Some steps of SGD of one 2-layer ReLU network on parity, as :class:`.step_by_step.StepByStep` takes them."""
    replica = tl.program_id(0).to(tl.int64)
    i, h, row = tl.arange(0, INPUTS), tl.arange(0, UNITS), tl.arange(0, ROWS)
    # The network's own order is weight, bias, weight, bias. Here a bias is the weight of one more input, which is 1.
    number: tl.constexpr = WIDTH * (DIM + 1) + BIAS * (WIDTH + 1)
    second: tl.constexpr = WIDTH * (DIM + BIAS)
    has_unit, is_bias = h < WIDTH, (i >= DIM).to(tl.int32)
    has_w = has_unit[:, None] & (i < DIM + BIAS)[None, :]
    at_w = replica * number + tl.where(is_bias[None, :] > 0, WIDTH * DIM + h[:, None], h[:, None] * DIM + i[None, :])
    at_a, at_c = replica * number + second + h, replica * number + second + WIDTH
    w, vw = tl.load(params + at_w, has_w, 0.0), tl.load(velocities + at_w, has_w, 0.0)
    a, va = tl.load(params + at_a, has_unit, 0.0), tl.load(velocities + at_a, has_unit, 0.0)
    c, vc = tl.load(params + at_c, BIAS > 0, 0.0), tl.load(velocities + at_c, BIAS > 0, 0.0)
    hyper += replica * (8 + 8 * BIAS)
    key = tl.load(seed + replica)
    s0, s1 = tl.load(support + replica * 4), tl.load(support + replica * 4 + 1)
    s2, s3 = tl.load(support + replica * 4 + 2), tl.load(support + replica * 4 + 3)
    s0, s1, s2, s3 = s0.to(tl.uint32), s1.to(tl.uint32), s2.to(tl.uint32), s3.to(tl.uint32)
    diverged = tl.load(diverged_at + replica)
    losses, hits, count = tl.load(loss_sum + replica), tl.load(correct_sum + replica), tl.load(steps_done + replica)

    for step in range(steps):
        gw = tl.zeros([UNITS, INPUTS], tl.float32)
        ga = tl.zeros([UNITS], tl.float32)
        gc, loss, correct = 0.0, 0.0, 0.0
        for first in range(0, batch, ROWS):
            has_row = first + row < batch
            counter = tl.load(index + (step * replicas + replica) * batch + first + row, has_row, 0)
            w0, w1, w2, w3 = tl.randint4x(key, counter)
            odd = _parity((w0 & s0) ^ (w1 & s1) ^ (w2 & s2) ^ (w3 & s3))
            y = 1.0 - 2.0 * odd.to(tl.float32)
            # Units lie along the first axis throughout: a product leaves its result where the next one needs it.
            word = tl.where((i < DIM)[:, None], w0[None, :], 0)
            if DIM > 32:
                word = tl.where(((i >= 32) & (i < DIM))[:, None], w1[None, :], word)
            if DIM > 64:
                word = tl.where(((i >= 64) & (i < DIM))[:, None], w2[None, :], word)
                word = tl.where(((i >= 96) & (i < DIM))[:, None], w3[None, :], word)
            x = (1 - 2 * ((word >> (i & 31).to(tl.uint32)[:, None]) & 1).to(tl.int32)).to(FACTOR)

            z = _times_signs(w, x)
            active = z > 0
            hidden = tl.where(z < 0, 0.0, z)  # keeps NaN
            f = tl.sum(hidden * a[:, None], 0) + c
            margin = y * f
            if LOSS == "logistic":
                # One exponential of a negative number serves both.
                e = tl.exp(-tl.abs(margin))
                each = tl.where(margin > 0, 0.0, -margin) + tl.log(1.0 + e)
                df = -y * tl.where(margin > 0, e, 1.0) / (1.0 + e)
            elif LOSS == "hinge":
                each = tl.where(margin > 1, 0.0, 1.0 - margin)
                df = tl.where(margin < 1, -y, 0.0)
            elif LOSS == "squared":
                each = (f - y) * (f - y)
                df = 2.0 * (f - y)
            else:
                each = -margin
                df = -y
            df = tl.where(has_row, df / batch, 0.0)
            loss += tl.sum(tl.where(has_row, each, 0.0), 0)
            correct += tl.sum(tl.where(has_row & (margin > 0), 1.0, 0.0), 0)
            dz = tl.where(active, df[None, :] * a[:, None], 0.0)
            gw += _times_signs(dz, tl.trans(x))
            ga += tl.sum(hidden * df[None, :], 1)
            gc += tl.sum(df, 0)

        loss, correct = loss / batch, correct / batch
        was_alive = diverged < 0
        alive = was_alive & (tl.abs(loss) < float("inf"))
        diverged = tl.where(was_alive & (alive == 0), first_step + step, diverged)
        losses += tl.where(alive, loss, 0.0)
        hits += tl.where(alive, correct, 0.0)
        count += alive.to(tl.int64)
        rate = tl.load(rates + step)
        w, vw = _descend(w, vw, gw, alive & has_w, rate, hyper + 4 * is_bias[None, :])
        a, va = _descend(a, va, ga, alive & has_unit, rate, hyper + (4 + 4 * BIAS))
        c, vc = _descend(c, vc, gc, alive & (BIAS > 0), rate, hyper + (4 + 8 * BIAS))

    tl.store(params + at_w, w, has_w)
    tl.store(velocities + at_w, vw, has_w)
    tl.store(params + at_a, a, has_unit)
    tl.store(velocities + at_a, va, has_unit)
    tl.store(params + at_c, c, BIAS > 0)
    tl.store(velocities + at_c, vc, BIAS > 0)
    tl.store(loss_sum + replica, losses)
    tl.store(correct_sum + replica, hits)
    tl.store(steps_done + replica, count)
    tl.store(diverged_at + replica, diverged)
