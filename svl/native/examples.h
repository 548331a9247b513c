// The examples of one step of one replica.

#pragma once

#include "signs.h"

constexpr int SEGMENT = 2048;  // examples whose gradients are summed up apart, as in mlp.cpp: a bound on rounding

struct Examples {
    const uint32_t* words;  // [batch, words_of(dim)] signs as bits; or null, and then
    const float *x;         // [batch, dim]
    const float *y, *weight;  // [batch, targets of an example], [batch] or null for
    float uniform;            // the weight of each
    float* outputs;           // [batch, outputs] to write the outputs to, or null

    // Those from number b on.
    Examples from(int64_t b, int dim, int targets, int outputs_of_each) const {
        return {words ? words + b * words_of(dim) : nullptr, x ? x + b * dim : nullptr, y + b * targets, weight ? weight + b : nullptr, uniform,
                outputs ? outputs + b * outputs_of_each : nullptr};
    }
};
