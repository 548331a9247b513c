// Standard Gaussians of many counters by Philox and the transform of Box and Muller, as svl/random.py draws them operation by operation.

#pragma once

#include "philox.h"

// Cephes' logf for positive normal numbers: the exponent, and a polynomial on [sqrt(1/2) - 1, sqrt(2) - 1].
static inline vec log_(vec x) {
    const ivec shifted = (ivec)x - 0x3F3504F3;
    const vec e = __builtin_convertvector(shifted >> 23, vec), f = (vec)((shifted & 0x7FFFFF) + 0x3F3504F3) - 1.0f, z = f * f;
    vec p = splat(7.0376836292e-2f);
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    p = p * f * z - e * 2.12194440e-4f - 0.5f * z;
    return e * 0.693359375f + (f + p);
}

// Cephes' sinf and cosf for an angle in [0, 2 pi]: quarters of a turn, and polynomials on [-pi/4, pi/4].
static inline void sine_and_cosine(vec angle, vec& sine, vec& cosine) {
    const vec shifted = angle * 0.636619772f + 12582912.0f, quarter = shifted - 12582912.0f;  // rounds, as in activations.h
    const ivec turn = (ivec)shifted;
    const vec x = ((angle - quarter * 1.5703125f) - quarter * 4.837512969970703125e-4f) - quarter * 7.549789954e-8f, z = x * x;
    vec s = splat(-1.9515295891e-4f), c = splat(2.443315711809948e-5f);
    s = s * z + 8.3321608736e-3f;
    s = s * z - 1.6666654611e-1f;
    s = s * z * x + x;
    c = c * z - 1.388731625493765e-3f;
    c = c * z + 4.166664568298827e-2f;
    c = c * z * z - 0.5f * z + 1.0f;
    const ivec is_odd = -(turn & 1);
    const ivec sine_bits = (is_odd & (ivec)c) | (~is_odd & (ivec)s), cosine_bits = (is_odd & (ivec)s) | (~is_odd & (ivec)c);
    sine = (vec)(sine_bits ^ (turn & 2) << 30);
    cosine = (vec)(cosine_bits ^ ((turn + 1) & 2) << 30);
}

// The nearest numbers to words, as if converted one by one: the sum of both halves is rounded once.
static inline vec rounded(uvec word) {
    return __builtin_convertvector((ivec)(word >> 16), vec) * 65536.0f + __builtin_convertvector((ivec)(word & 0xFFFF), vec);
}

static inline void normal_pair(uvec first, uvec second, vec& one, vec& other) {
    const vec radius = root(log_((rounded(first) + 0.5f) * 2.3283064365386963e-10f) * -2.0f);
    const vec angle = __builtin_convertvector((ivec)(second >> 8), vec) * 5.9604644775390625e-8f * 6.283185307179586f;
    vec sine, cosine;
    sine_and_cosine(angle, sine, cosine);
    one = radius * cosine;
    other = radius * sine;
}

// Lanes of four vectors to rows of four numbers: lane l of the vectors becomes row 4 (l / 4) + l % 4, in part l / 4 of v[l % 4].
template <int... I>
static inline void rows_of_four(vec* v, std::integer_sequence<int, I...>) {
    const vec a = lanes_of<(I / 4 * 4 + I % 4 / 2 + (I % 2 ? LANES : 0))...>(v[0], v[1]), b = lanes_of<(I / 4 * 4 + I % 4 / 2 + (I % 2 ? LANES : 0))...>(v[2], v[3]);
    const vec c = lanes_of<(I / 4 * 4 + 2 + I % 4 / 2 + (I % 2 ? LANES : 0))...>(v[0], v[1]), d = lanes_of<(I / 4 * 4 + 2 + I % 4 / 2 + (I % 2 ? LANES : 0))...>(v[2], v[3]);
    v[0] = lanes_of<(I / 4 * 4 + I % 2 + (I % 4 / 2 ? LANES : 0))...>(a, b);
    v[1] = lanes_of<(I / 4 * 4 + 2 + I % 2 + (I % 4 / 2 ? LANES : 0))...>(a, b);
    v[2] = lanes_of<(I / 4 * 4 + I % 2 + (I % 4 / 2 ? LANES : 0))...>(c, d);
    v[3] = lanes_of<(I / 4 * 4 + 2 + I % 2 + (I % 4 / 2 ? LANES : 0))...>(c, d);
}

// count Gaussians for each of LANES counters, to rows of `out` that begin `count` numbers apart; the last `absent` rows are not written.
// Returns each row's product with `direction`(column), a vector whose lanes are those of the counters.
template <class Direction>
static inline vec normals(const Keys& keys, const Counters& counters, uint32_t stream, int count, int absent, float* out, Direction direction) {
    vec product = {};
    for (int first = 0; first < count; first += 4) {
        const int columns = std::min(4, count - first);
        uvec words[4];
        vec v[4];
        counters.draw(keys, first / 4, stream, words);
        normal_pair(words[0], words[1], v[0], v[1]);
        normal_pair(words[2], words[3], v[2], v[3]);
        for (int column = 0; column < columns; column++) product += v[column] * direction(first + column);
        rows_of_four(v, Lanes{});
        alignas(vec) float rows[4][LANES];
        for (int q = 0; q < 4; q++) store(rows[q], v[q]);
        for (int lane = 0; lane < LANES; lane++) {
            const int row = row_of(lane);
            if (row >= LANES - absent) continue;
            float* to = out + (int64_t)row * count + first;
            if (columns == 4) memcpy(to, rows[lane % 4] + lane / 4 * 4, 4 * sizeof(float));
            else memcpy(to, rows[lane % 4] + lane / 4 * 4, columns * sizeof(float));
        }
    }
    return product;
}
