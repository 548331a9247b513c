// Training of a network with one hidden ReLU layer on inputs that are all -1 or 1, for batches of any examples.

#pragma once

#include "shallow_tables.h"

template <int RULE>
struct ShallowSigns : ShallowTables<RULE, GROUP> {
    typedef ShallowTables<RULE, GROUP> Tables;
    using Tables::dim, Tables::width, Tables::groups, Tables::kept, Tables::table, Tables::sum, Tables::output, Tables::f, Tables::d;

    Floats active;  // [example, unit] of side by side units: activations
    std::vector<uint32_t> encoded;  // a strip of inputs that are given as numbers
    Made made;

    ShallowSigns(const std::vector<int>& dims, const float* const*, bool, bool has_words, bool has_source, const float*)
        : Tables(dims), active(STRIP * width), encoded(has_words ? 0 : STRIP * words_of(dim)), made(has_source, has_words, dim) {}

    // Adds a batch to the sums and to the score. Returns the sum of d.
    float gradients(int batch, const Examples& examples, int loss, Score& score) {
        float sum_of_d = 0.0f;
        for (int b = 0; b < batch; b += STRIP) {
            const int count = std::min(STRIP, batch - b);
            const Examples strip = made(count, examples.from(b, dim, 1, 1));
            const uint32_t* words = forward(count, strip);
            sum_of_d += slopes_of_loss(count, loss, f, strip.y, strip.weight, strip.uniform, d, &score);
            backward(count, words);
        }
        return sum_of_d;
    }

    // Adds examples to the score, and leaves the sums as they are.
    void score(int count, const Examples& examples, int loss, Score& score) {
        for (int b = 0; b < count; b += STRIP) {
            const int part = std::min(STRIP, count - b);
            const Examples strip = examples.from(b, dim, 1, 1);
            forward(part, strip);
            slopes_of_loss(part, loss, f, strip.y, nullptr, 1.0f, d, &score);
        }
    }

  private:
    // Returns the inputs as bits.
    const uint32_t* forward(int count, const Examples& strip) {
        if (!strip.words) encode(count, dim, strip.x, encoded.data());
        const uint32_t* words = strip.words ? strip.words : encoded.data();
        forward(count, words);
        if (strip.outputs) memcpy(strip.outputs, f, count * sizeof(float));
        return words;
    }

    void forward(int count, const uint32_t* words) {
        const int row = words_of(dim), n = groups;
        side_by_side(width, [&, row, n](auto vectors, int first) {
            const float* own = &table[(int64_t)first * groups * CODES];
            float *to = &active[STRIP * first], *out = output.data();
            vec outgoing[vectors];
            for (int q = 0; q < vectors; q++) outgoing[q] = load(&kept[2][0][first + q * LANES]);
            const uint32_t* bits = words;
            for (int b = 0; b < count; b++, bits += row, out += LANES, to += vectors * LANES) {
                vec sums[vectors] = {}, product = first ? load(out) : vec{};
                each_row(n, vectors * LANES, bits, own, [&](const float* selected) {
                    for (int q = 0; q < vectors; q++) sums[q] += load(selected + q * LANES);
                });
                for (int q = 0; q < vectors; q++) {
                    const vec value = positive(sums[q]);
                    store(to + q * LANES, value);
                    product += value * outgoing[q];
                }
                store(out, product);
            }
        });
        this->add_lanes(count);
    }

    void backward(int count, const uint32_t* words) {
        const int row = words_of(dim), n = groups;
        side_by_side(width, [&, row, n](auto vectors, int first) {
            float* own = &sum[(int64_t)first * groups * CODES];
            const float* from = &active[STRIP * first];
            const uint32_t* bits = words;
            for (int b = 0; b < count; b++, bits += row, from += vectors * LANES) {
                const vec slope = splat(d[b]);
                vec values[vectors];
                for (int q = 0; q < vectors; q++) values[q] = load(from + q * LANES) > vec{} ? slope : vec{};
                each_row(n, vectors * LANES, bits, own, [&](float* selected) {
                    for (int q = 0; q < vectors; q++) add_to(selected + q * LANES, values[q]);
                });
            }
        });
    }
};
