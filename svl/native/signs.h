// The first layer on inputs that are all -1 or 1. Four coordinates add one of sixteen numbers to a unit's pre-activation, which is
// looked up instead of multiplied. Backwards, an example's derivative is added to the same one of sixteen sums, from which the weights'
// gradients follow.

#pragma once

#include "activations.h"

constexpr int GROUP = 4, CODES = 1 << GROUP, WORD = 32, GROUPS_OF_WORD = WORD / GROUP;
static int words_of(int dim) { return (dim + WORD - 1) / WORD; }

// Words [count, words_of(dim)] of inputs x [count, dim]: a coordinate's bit is set where it is positive.
static inline void encode(int64_t count, int dim, const float* x, uint32_t* words) {
    const float* end = x + count * dim;
    for (int64_t b = 0; b < count; b++, x += dim)
        for (int first = 0; first < dim; first += WORD) {
            uint32_t word = 0;
            const int here = std::min(WORD, dim - first);
            for (int i = 0; i < here; i += LANES) word |= bits_of(load(x + first + i, end) > vec{}) << i;
            *words++ = here < WORD ? word & ((1u << here) - 1) : word;
        }
}

// The reverse.
static inline void decode(int64_t count, int dim, const uint32_t* words, float* x) {
    for (int64_t b = 0; b < count; b++, words += words_of(dim))
        for (int i = 0; i < dim; i++) *x++ = words[i / WORD] >> i % WORD & 1 ? 1.0f : -1.0f;
}

// What the codes of some weights, by default the sixteen of four, add to as many units as there are lanes.
template <int BITS = GROUP>
static inline void sums_of_codes(vec start, const vec* weights, vec* sums) {
    sums[0] = start;
    for (int i = 0; i < BITS; i++)
        for (int c = 0; c < 1 << i; c++) {
            sums[c | 1 << i] = sums[c] + weights[i];
            sums[c] -= weights[i];
        }
}

// The reverse, a Walsh-Hadamard transform: the sums' differences along the coordinates; their total is left in sums[0].
template <int BITS = GROUP>
static inline void differences_of_codes(vec* sums, vec* differences) {
    for (int i = BITS - 1; i >= 0; i--) {
        differences[i] = vec{};
        for (int c = 0; c < 1 << i; c++) {
            differences[i] += sums[c | 1 << i] - sums[c];
            sums[c] += sums[c | 1 << i];
        }
    }
}

// work(row) for each group's row of a table [group, code, units], which an example's words select.
template <class Table, class Work>
static inline void each_row(int groups, int units, const uint32_t* words, Table* table, Work work) {
    for (; groups > 0; groups -= GROUPS_OF_WORD) {
        uint32_t word = *words++;
        for (int g = std::min(groups, GROUPS_OF_WORD); g > 0; g--, word >>= GROUP, table += CODES * units) work(table + word % CODES * units);
    }
}

// Of one thread.
struct Signs {
    const int dim, width, groups;
    Floats table, sum;  // [units side by side, group, code, unit]: pre-activations, and sums of their derivatives

    Signs(int dim, int width) : dim(dim), width(width), groups((dim + GROUP - 1) / GROUP), table((int64_t)groups * CODES * width), sum(table.size()) {}

    // Of weights [groups GROUP, width], with zeros behind row dim, and of what every pre-activation [width] begins with.
    void begin(const float* weights, const float* start) {
        std::fill(sum.begin(), sum.end(), 0.0f);
        side_by_side(width, [&](auto vectors, int first) {
            for (int g = 0; g < groups; g++)
                for (int q = 0; q < vectors; q++) {
                    const int j = first + q * LANES;
                    vec rows[GROUP], sums[CODES];
                    for (int i = 0; i < GROUP; i++) rows[i] = load(weights + (int64_t)(g * GROUP + i) * width + j);
                    sums_of_codes(g ? vec{} : load(start + j), rows, sums);
                    for (int c = 0; c < CODES; c++) store(&table[at(vectors, first, g, c)] + q * LANES, sums[c]);
                }
        });
    }

    // activation(start + x W) of a strip of inputs.
    template <int ACTIVATION>
    void product(int count, const uint32_t* words, float* after, float* slope) const {
        const int row = words_of(dim), to_row = width, n = groups;
        side_by_side(width, [=](auto vectors, int first) {
            const float* own = &table[at(vectors, first, 0, 0)];
            for (int b = 0; b < count; b++) {
                vec sums[vectors] = {};
                each_row(n, vectors * LANES, words + (int64_t)b * row, own, [&](const float* selected) {
                    for (int q = 0; q < vectors; q++) sums[q] += load(selected + q * LANES);
                });
                for (int q = 0; q < vectors; q++) {
                    const int64_t to = (int64_t)b * to_row + first + q * LANES;
                    activate<ACTIVATION>(sums[q], after + to, slope + to);
                }
            }
        });
    }

    // Adds the derivatives [count, width] with respect to a strip's pre-activations to the sums.
    void add(int count, const uint32_t* words, const float* derivatives) {
        const int row = words_of(dim), from_row = width, n = groups;
        side_by_side(width, [=](auto vectors, int first) {
            float* own = &sum[at(vectors, first, 0, 0)];
            for (int b = 0; b < count; b++) {
                vec values[vectors];
                for (int q = 0; q < vectors; q++) values[q] = load(derivatives + (int64_t)b * from_row + first + q * LANES);
                each_row(n, vectors * LANES, words + (int64_t)b * row, own, [&](float* selected) {
                    for (int q = 0; q < vectors; q++) add_to(selected + q * LANES, values[q]);
                });
            }
        });
    }

    // The weights' gradients [dim, width].
    void end(float* gradients) const {
        side_by_side(width, [&](auto vectors, int first) {
            for (int g = 0; g < groups; g++)
                for (int q = 0; q < vectors; q++) {
                    vec sums[CODES], rows[GROUP];
                    for (int c = 0; c < CODES; c++) sums[c] = load(&sum[at(vectors, first, g, c)] + q * LANES);
                    differences_of_codes(sums, rows);
                    for (int i = 0; i < std::min(GROUP, dim - g * GROUP); i++)
                        store(gradients + (int64_t)(g * GROUP + i) * width + first + q * LANES, rows[i]);
                }
        });
    }

    int64_t at(int vectors, int first, int group, int code) const {
        return (int64_t)first * groups * CODES + (group * CODES + code) * vectors * LANES;
    }
};
