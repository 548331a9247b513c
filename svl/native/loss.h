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

// log(1 + t) for 0 <= t <= 1, with a small relative error everywhere: 2 artanh(t / (2 + t)).
static inline vec log_of_one_and(vec t) {
    const vec s = t / (2.0f + t), q = s * s;
    vec p = splat(1.0f / 15);
    p = p * q + 1.0f / 13;
    p = p * q + 1.0f / 11;
    p = p * q + 1.0f / 9;
    p = p * q + 1.0f / 7;
    p = p * q + 1.0f / 5;
    p = p * q + 1.0f / 3;
    p = p * q + 1.0f;
    return 2.0f * s * p;
}

// log(1 + exp(x)). NaN stays NaN.
static inline vec softplus(vec x) { return positive(x) + log_of_one_and(exp_(x < vec{} ? x : -x)); }

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

static inline void add_to_score(Score* score, vec value, vec outputs, vec target, vec w) {
    score->loss += w * value;
    score->correct += outputs * target > vec{} ? w : vec{};
}

// The logistic loss of whole vectors, as below: first all exponentials. One after another, a vector's would wait for what becomes of the
// last one's.
static inline vec logistic_slopes(int count, const float* f, const float* y, const float* weight, float uniform, float* d, Score* score) {
    alignas(vec) float up[STRIP], down[STRIP];
    for (int b = 0; b < count; b += LANES) {
        const vec margin = load(y + b) * load(f + b);
        store(up + b, exp_(margin));
        store(down + b, exp_(margin > vec{} ? -margin : margin));
    }
    vec sum = {};
    for (int b = 0; b < count; b += LANES) {
        const vec target = load(y + b), outputs = load(f + b), w = weight ? load(weight + b) : splat(uniform);
        const vec v = w * (-target * (1.0f / (1.0f + load(up + b))));
        store(d + b, v);
        sum += v;
        add_to_score(score, positive(-target * outputs) + log_of_one_and(load(down + b)), outputs, target, w);
    }
    return sum;
}

// d[b]: the weighted loss's derivative with respect to output b of a strip, whose buffers are whole vectors. Returns the sum of d.
static inline float slopes_of_loss(int count, int loss, const float* f, const float* y, const float* weight, float uniform, float* d, Score* score) {
    vec sum = {};
    int b = 0;
    if (loss == LOGISTIC && score) {
        b = count / LANES * LANES;
        sum = logistic_slopes(b, f, y, weight, uniform, d, score);
    }
    for (; b < count; b += LANES) {
        vec target = {}, w = splat(uniform), outputs = load(f + b);
        const int part = std::min(LANES, count - b);
        if (part == LANES) {
            target = load(y + b);
            if (weight) w = load(weight + b);
        } else {
            memcpy(&target, y + b, part * sizeof(float));
            if (weight) memcpy(&w, weight + b, part * sizeof(float));
            // Behind the strip's end may lie anything: not even its product with 0 is 0.
            for (int i = part; i < LANES; i++) outputs[i] = w[i] = 0.0f;
        }
        const vec v = w * derivative(loss, outputs, target);
        store(d + b, v);
        sum += v;
        if (score) add_to_score(score, value_of(loss, outputs, target), outputs, target, w);
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
