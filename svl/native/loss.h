// Losses of an output against a target, as what backpropagation begins with.

#pragma once

#include <cmath>

#include "activations.h"

constexpr int STRIP = 128;  // examples that are worked on at once

enum Loss { LOGISTIC = 0, HINGE = 1, SQUARED = 2, CORRELATION = 3, CROSS_ENTROPY = 4 };

// How many numbers an example's target has: a class or a number, or of the squared loss one for each output.
static inline int targets_of(int loss, int outputs) { return loss == SQUARED ? outputs : 1; }

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

// A batch's weighted sums of losses, and of ones for outputs that have the sign of their target, or the largest one at its class.
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

static inline float largest(vec v) {
    float most = v[0];
    for (int i = 1; i < LANES; i++) most = v[i] > most ? v[i] : most;
    return most;
}

// Cross-entropy of one example's outputs f [row], the first of which are real and the others free; they are replaced by the derivatives.
// Returns the loss; is_hit says whether the target is the first of the largest outputs.
static inline float cross_entropy(int outputs, int row, float* f, int target, float weight, bool* is_hit) {
    for (int j = outputs; j < row; j++) f[j] = -INFINITY;
    vec most = load(f), sum = {};
    for (int j = LANES; j < row; j += LANES) {
        const vec v = load(f + j);
        most = v > most ? v : most;
    }
    const float top = largest(most), own = f[target];
    *is_hit = own == top;
    for (int j = 0; *is_hit && j < target; j++) *is_hit = f[j] != top;
    for (int j = 0; j < row; j += LANES) {
        const vec e = exp_(load(f + j) - splat(top));
        store(f + j, e);
        sum += e;
    }
    const float whole = total(sum);
    const vec scale = splat(weight / whole);
    for (int j = 0; j < row; j += LANES) store(f + j, load(f + j) * scale);
    f[target] -= weight;
    return std::log(whole) + top - own;
}

// The squared loss of one example's outputs, its mean over them, in the same way.
static inline float squared(int outputs, int row, float* f, const float* y, float weight) {
    const float *end = y + outputs, share = 1.0f / outputs;
    vec sum = {};
    for (int j = 0; j < row; j += LANES) {
        const vec difference = load(f + j) - (j < outputs ? load(y + j, end) : vec{});
        sum += difference * difference;
        store(f + j, difference * splat(2.0f * weight * share));
    }
    return total(sum) * share;
}

// As slopes_of_loss for several outputs, rows f [count, row], which the derivatives replace. class_weight may be null for ones.
static inline void slopes_of_outputs(int count, int loss, int outputs, int row, float* f, const float* y, const float* weight, float uniform,
                                     const float* class_weight, Score* score) {
    alignas(vec) float losses[STRIP] = {}, hits[STRIP] = {};
    for (int b = 0; b < count; b++, f += row) {
        const float w = weight ? weight[b] : uniform;
        if (loss == SQUARED) {
            losses[b] = w * squared(outputs, row, f, y + (int64_t)b * outputs, w);
            continue;
        }
        bool is_hit;
        const int target = std::min(std::max(0, (int)y[b]), outputs - 1);
        const float own = class_weight ? w * class_weight[target] : w, value = cross_entropy(outputs, row, f, target, own, &is_hit);
        losses[b] = own * value;
        hits[b] = is_hit ? w : 0.0f;
    }
    for (int b = 0; score && b < count; b += LANES) {
        score->loss += load(losses + b);
        score->correct += load(hits + b);
    }
}
