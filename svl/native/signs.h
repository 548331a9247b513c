// The first layer on inputs that are all -1 or 1: what four coordinates add to a unit's pre-activation is one of sixteen numbers,
// looked up instead of multiplied.

#pragma once

#include <type_traits>

#include "activations.h"

constexpr int GROUP = 4, CODES = 1 << GROUP;
typedef uint8_t bytes16 __attribute__((vector_size(16)));

// Of one thread, for strips of inputs.
struct Signs {
    const int dim, width, groups, padded;
    Floats table;               // [units side by side, group, code, unit]
    std::vector<uint8_t> code;  // [example, padded]: a group's lies at its first coordinate

    Signs(int dim, int width, int strip)
        : dim(dim), width(width), groups((dim + GROUP - 1) / GROUP), padded(pad(dim)), table((int64_t)groups * CODES * width),
          code((int64_t)strip * padded) {}

    // Of weights [groups GROUP, width], with zeros behind row dim, and of what every pre-activation [width] begins with.
    void begin(const float* weights, const float* start) {
        side_by_side([&](auto vectors, int first) {
            float* row = &table[(int64_t)first * groups * CODES];
            for (int g = 0; g < groups; g++, row += CODES * vectors * LANES)
                for (int q = 0; q < vectors; q++) {
                    const int j = first + q * LANES;
                    vec sums[CODES] = {g ? vec{} : load(start + j)};
                    for (int i = 0; i < GROUP; i++) {
                        const vec w = load(weights + (int64_t)(g * GROUP + i) * width + j);
                        for (int c = 0; c < 1 << i; c++) {
                            sums[c | 1 << i] = sums[c] + w;
                            sums[c] -= w;
                        }
                    }
                    for (int c = 0; c < CODES; c++) store(row + (c * vectors + q) * LANES, sums[c]);
                }
        });
    }

    // activation(start + x W) of a strip x [count, dim].
    template <int ACTIVATION>
    void product(int count, const float* x, float* after, float* slope) {
        encode(count, x);
        side_by_side([&](auto vectors, int first) {
            const float* own = &table[(int64_t)first * groups * CODES];
            for (int b = 0; b < count; b++) {
                const uint8_t* codes = &code[(int64_t)b * padded];
                vec sums[vectors] = {};
                for (int g = 0; g < groups; g++)
                    for (int q = 0; q < vectors; q++) sums[q] += load(own + ((g * CODES + codes[g * GROUP]) * vectors + q) * LANES);
                for (int q = 0; q < vectors; q++) {
                    const int64_t at = (int64_t)b * width + first + q * LANES;
                    activate<ACTIVATION>(sums[q], after + at, slope + at);
                }
            }
        });
    }

  private:
    void encode(int count, const float* x) {
        const float* end = x + (int64_t)count * dim;
        for (int i = 0; i < dim; i += LANES) {
            ivec digit = {1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
            for (int k = dim - i; k < LANES; k++) digit[k] = 0;
            const float* row = x + i;
            uint8_t* to = code.data() + i;
            for (int b = 0; b < count; b++, row += dim, to += padded) {
                ivec codes = (load(row, end) > vec{}) & digit;
                codes |= __builtin_shuffle(codes, ivec{1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14});
                codes |= __builtin_shuffle(codes, ivec{2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13});
                const auto bytes = __builtin_convertvector(codes, bytes16);
                memcpy(to, &bytes, sizeof bytes);
            }
        }
    }

    // work(vectors, first unit) for units that have as many vectors of registers, a constant.
    template <class Work>
    void side_by_side(Work work) const {
        int j = 0;
        for (; j + 4 * LANES <= width; j += 4 * LANES) work(std::integral_constant<int, 4>{}, j);
        for (; j + 2 * LANES <= width; j += 2 * LANES) work(std::integral_constant<int, 2>{}, j);
        for (; j < width; j += LANES) work(std::integral_constant<int, 1>{}, j);
    }
};
