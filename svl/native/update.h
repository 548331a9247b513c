// Optimizers: the semantics of svl/optim/sgd.py and svl/optim/adamw.py.

#pragma once

#include <array>
#include <cmath>

#include "vectors.h"

enum Rule { SGD = 0, ADAMW = 1 };

constexpr int NUMBERS = 5;  // of one tensor: lr, momentum, weight_decay; or lr, beta1, beta2, eps, weight_decay
template <int RULE>
constexpr int STATES = RULE == SGD ? 1 : 2;  // momentum_buffer; or exp_avg and exp_avg_sq

// A parameter tensor of one replica and its optimizer states.
template <int RULE>
using Kept = std::array<float*, 1 + STATES<RULE>>;

// AdamW's corrections for the moments' start at zero, at each of a call's steps. They are kept from one replica to the next, whose
// betas are mostly the same.
struct Corrections {
    double beta1 = NAN, beta2 = NAN;
    std::vector<double> first, second;

    void begin(double b1, double b2, int64_t start, int steps) {
        if (b1 == beta1 && b2 == beta2) return;
        beta1 = b1, beta2 = b2;
        first.clear(), second.clear();
        for (int s = 0; s < steps; s++) {
            const double count = (double)(start + s + 1);
            first.push_back(1 - std::pow(beta1, count));
            second.push_back(1 / std::sqrt(1 - std::pow(beta2, count)));
        }
    }
};

// One tensor's update at one step.
template <int RULE>
struct Update;

template <>
struct Update<SGD> {
    float lr, momentum, weight_decay;

    Update(const double* numbers, double rate, const Corrections&, int)
        : lr((float)(numbers[0] * rate)), momentum((float)numbers[1]), weight_decay((float)numbers[2]) {}

    vec operator()(vec p, vec g, vec* state) const {
        state[0] = g + weight_decay * p + momentum * state[0];
        return p - lr * state[0];
    }
};

template <>
struct Update<ADAMW> {
    float decay, lerp, beta2, share, eps, lr, correction;

    Update(const double* numbers, double rate, const Corrections& corrections, int step)
        : decay((float)(1 - numbers[0] * rate * numbers[4])), lerp((float)(1 - numbers[1])), beta2((float)numbers[2]),
          share((float)(1 - numbers[2])), eps((float)numbers[3]), lr((float)(numbers[0] * rate / corrections.first[step])),
          correction((float)corrections.second[step]) {}

    vec operator()(vec p, vec g, vec* state) const {
        state[0] += lerp * (g - state[0]);
        state[1] = beta2 * state[1] + share * g * g;
        return decay * p - lr * state[0] / (root(state[1]) * correction + eps);
    }
};

// Of the numbers from p to end, where state[i] are as many.
template <int RULE>
static inline void update(const Update<RULE>& rule, float* p, const float* end, const float* g, float* const* state) {
    const float* const g_end = g + (end - p);
    float* s[STATES<RULE>];
    const float* s_end[STATES<RULE>];
    for (int i = 0; i < STATES<RULE>; i++) s[i] = state[i], s_end[i] = state[i] + (end - p);
    for (; p < end; p += LANES, g += LANES) {
        vec states[STATES<RULE>];
        for (int i = 0; i < STATES<RULE>; i++) states[i] = load(s[i], s_end[i]);
        store(p, rule(load(p, end), load(g, g_end), states), end);
        for (int i = 0; i < STATES<RULE>; i++) store(s[i], states[i], s_end[i]), s[i] += LANES;
    }
}
