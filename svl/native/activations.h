// Activations of hidden layers.

#pragma once

#include "vectors.h"

enum Activation { RELU = 0, SIGMOID = 1, QUADRATIC = 2, GELU = 3 };
enum { NOTHING = -1 };  // no activation

// Whether the slope, which its value does not tell, is kept beside it.
template <int ACTIVATION>
constexpr bool KEEPS_SLOPE = ACTIVATION == QUADRATIC || ACTIVATION == GELU;

// Cephes' expf: 2^n times a polynomial on [-log(2)/2, log(2)/2]; relative error below 2e-7. NaN stays NaN.
static inline vec exp_(vec x) {
    vec bounded = x > splat(88.0f) ? splat(88.0f) : x;
    bounded = bounded < splat(-87.0f) ? splat(-87.0f) : bounded;
    const vec magic = splat(12582912.0f);  // adding and subtracting 1.5 * 2^23 rounds to the nearest integer
    vec n = (bounded * 1.44269504f + magic) - magic;
    vec r = bounded - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    ivec exponent = (__builtin_convertvector(n, ivec) + 127) << 23;
    return x != x ? x : p * (vec)exponent;
}

static inline vec sigmoid(vec z) { return 1.0f / (1.0f + exp_(-z)); }

// e^(-v^2 / 2), with an absolute error below 1e-7: a power of two and a polynomial, Taylor's of 2^r on [-1/2, 1/2].
static inline vec bell(vec v) {
    vec power = v * v * -0.721347520f;
    power = power < splat(-126.0f) ? splat(-126.0f) : power;
    const vec shifted = power + 12582912.0f, r = power - (shifted - 12582912.0f);  // rounds, as above
    vec p = splat(1.5403530e-4f);
    p = p * r + 1.3333558e-3f;
    p = p * r + 9.6181291e-3f;
    p = p * r + 5.5504109e-2f;
    p = p * r + 2.4022651e-1f;
    p = p * r + 6.9314718e-1f;
    p = p * r + 1.0f;
    return (vec)((ivec)p + ((ivec)shifted << 23));
}

// v Phi(v) and its slope Phi(v) + v phi(v), where phi and Phi are the Gaussian's density and distribution function; the latter
// after Hastings (Abramowitz and Stegun, 7.1.26), within 8e-8.
static inline vec gelu(vec v, vec& slope) {
    const vec positive = v < vec{} ? vec{} : v, size = positive + positive - v, t = 1.0f / (1.0f + 0.231641888f * size), e = bell(v);
    vec p = splat(0.5307027145f);
    p = p * t - 0.7265760135f;
    p = p * t + 0.7107068705f;
    p = p * t - 0.142248368f;
    p = p * t + 0.127414796f;
    const vec tail = p * (t * e);  // Phi(-size)
    slope = (v < vec{} ? tail : 1.0f - tail) + v * (0.398942280f * e);
    return positive - size * tail;
}

template <int ACTIVATION>
static inline vec activated(vec v, vec& slope) {
    if (ACTIVATION == RELU) return positive(v);
    if (ACTIVATION == SIGMOID) return sigmoid(v);
    if (ACTIVATION == GELU) return gelu(v, slope);
    if (ACTIVATION == QUADRATIC) {
        slope = v;
        return 0.5f * v * v;
    }
    return v;
}

// Stores the value and, where it is kept, the slope.
template <int ACTIVATION>
static inline void activate(vec v, float* value, float* slope) {
    vec s;
    store(value, activated<ACTIVATION>(v, s));
    if (KEEPS_SLOPE<ACTIVATION>) store(slope, s);
}

// The derivative with respect to what the activation was applied to, from that with respect to its value.
template <int ACTIVATION>
static inline vec chained(vec derivative, vec value, vec slope) {
    if (ACTIVATION == RELU) return value > vec{} ? derivative : vec{};
    if (ACTIVATION == SIGMOID) return derivative * value * (1.0f - value);
    return derivative * slope;
}
