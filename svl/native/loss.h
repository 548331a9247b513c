// Losses of an output against a target, as what backpropagation begins with.

#pragma once

#include "activations.h"

constexpr int STRIP = 128;  // examples that are worked on at once

enum Loss { LOGISTIC = 0, HINGE = 1, SQUARED = 2, CORRELATION = 3 };

// The loss's derivative with respect to the output f.
static inline vec derivative(int loss, vec f, vec y) {
    if (loss == LOGISTIC) return -y * sigmoid(-y * f);
    if (loss == HINGE) return y * f < splat(1.0f) ? -y : vec{};
    if (loss == SQUARED) return 2.0f * (f - y);
    return -y;
}

// log(1 + exp(x)), with a small relative error everywhere: log(1 + t) = 2 artanh(t / (2 + t)). NaN stays NaN.
static inline vec softplus(vec x) {
    const vec t = exp_(x < vec{} ? x : -x), s = t / (2.0f + t), q = s * s;
    vec p = splat(1.0f / 15);
    p = p * q + 1.0f / 13;
    p = p * q + 1.0f / 11;
    p = p * q + 1.0f / 9;
    p = p * q + 1.0f / 7;
    p = p * q + 1.0f / 5;
    p = p * q + 1.0f / 3;
    p = p * q + 1.0f;
    return positive(x) + 2.0f * s * p;
}

static inline vec value_of(int loss, vec f, vec y) {
    if (loss == LOGISTIC) return softplus(-y * f);
    if (loss == HINGE) return positive(1.0f - y * f);
    if (loss == SQUARED) return (f - y) * (f - y);
    return -y * f;
}

// A batch's weighted sums of losses, and of ones for outputs that have the sign of their target.
struct Score {
    vec loss = {}, correct = {};
};

// d[b]: the weighted loss's derivative with respect to output b of a strip, whose buffers are whole vectors. Returns the sum of d.
static inline float slopes_of_loss(int count, int loss, const float* f, const float* y, const float* weight, float uniform, float* d, Score* score) {
    vec sum = {};
    for (int b = 0; b < count; b += LANES) {
        vec target = {}, w = splat(uniform);
        const int part = std::min(LANES, count - b);
        memcpy(&target, y + b, part * sizeof(float));
        if (weight) memcpy(&w, weight + b, part * sizeof(float));
        // Behind the strip's end may lie anything: not even its product with 0 is 0.
        vec outputs = load(f + b);
        for (int i = part; i < LANES; i++) outputs[i] = w[i] = 0.0f;
        const vec v = w * derivative(loss, outputs, target);
        store(d + b, v);
        sum += v;
        if (!score) continue;
        score->loss += w * value_of(loss, outputs, target);
        score->correct += outputs * target > vec{} ? w : vec{};
    }
    return total(sum);
}
