// The examples of one step of one replica.

#pragma once

#include "loss.h"
#include "signs.h"
#include "source.h"

constexpr int SEGMENT = 2048;  // examples whose gradients are summed up apart, as in mlp.cpp: a bound on rounding

struct Examples {
    const uint32_t* words;  // [batch, words_of(dim)] signs as bits; or null, and then
    const float *x;         // [batch, dim]
    const float *y, *weight;  // [batch, targets of an example], [batch] or null for
    float uniform;            // the weight of each
    float* outputs;           // [batch, outputs] to write the outputs to, or null
    const int64_t* index;     // [batch] counters, where a source makes inputs and targets, or null
    const Source* source;
    int64_t replica;

    // Those from number b on.
    Examples from(int64_t b, int dim, int targets, int outputs_of_each) const {
        return {words ? words + b * words_of(dim) : nullptr, x ? x + b * dim : nullptr, y ? y + b * targets : nullptr, weight ? weight + b : nullptr, uniform,
                outputs ? outputs + b * outputs_of_each : nullptr, index ? index + b : nullptr, source, replica};
    }
};

// Where a source puts a strip of examples; of one thread.
struct Made {
    std::vector<uint32_t, Aligned<uint32_t>> words;
    Floats x, y;

    // With a source, of words or of numbers.
    Made(bool has_source, bool has_words, int dim) {
        if (!has_source) return;
        if (has_words) words.resize(STRIP * words_of(dim));
        else x.resize(STRIP * dim);
        y.resize(STRIP);
    }

    // A strip with its inputs and targets.
    Examples operator()(int count, Examples strip) {
        if (!strip.index) return strip;
        strip.source->make(strip.source->task, strip.replica, count, strip.index, words.size() ? (void*)words.data() : (void*)x.data(), y.data());
        if (words.size()) strip.words = words.data();
        else strip.x = x.data();
        strip.y = y.data();
        return strip;
    }
};
