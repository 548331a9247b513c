// The same for full batches: all steps of a call have the same examples, whose codes are made once. Where they are in order, many
// neighbours have the same first coordinates. What these add to the pre-activations is looked up once for all of them, and their
// derivatives are added to the first coordinates' sums as one.

#pragma once

#include "shallow_tables.h"

constexpr int SET_BITS = 5;

// Codes of the examples of a set.
struct Codes {
    std::vector<uint8_t> of_example;  // [example, group]
    std::vector<uint8_t> is_first;    // whether an example's shared codes are not those of the one before, in the same strip
    int shared = 0;                   // so many codes, the first ones, are looked up once for all neighbours that share them

    void set(int count, int dim, int groups, const uint32_t* words) {
        const int row = words_of(dim);
        of_example.resize((int64_t)count * groups);
        is_first.resize(count);
        uint8_t* code = of_example.data();
        std::vector<int64_t> changes(groups + 1);  // by the first group in which an example differs from the one before
        for (int b = 0; b < count; b++, words += row, code += groups) {
            for (int g = 0, i = 0; g < groups; g++, i += SET_BITS) {
                const int word = i / WORD, bit = i % WORD;
                const uint64_t two = words[word] | (uint64_t)(word + 1 < row ? words[word + 1] : 0) << WORD;
                code[g] = two >> bit & ((1 << SET_BITS) - 1);
            }
            int same = 0;
            while (b && same < groups && code[same] == code[same - groups]) same++;
            changes[same]++;
        }
        // Looking up, and beginning anew, which takes as long as two.
        int64_t anew = 0, least = (int64_t)count * groups;
        shared = 0;
        for (int g = 1; g <= groups; g++) {
            anew += changes[g - 1];
            const int64_t cost = (int64_t)count * (groups - g) + anew * (g + 2);
            if (cost < least) shared = g, least = cost;
        }
        code = of_example.data();
        for (int b = 0; b < count; b++, code += groups) is_first[b] = b % STRIP == 0 || memcmp(code, code - groups, shared);
    }
};

template <int RULE>
struct ShallowSet : ShallowTables<RULE, SET_BITS> {
    typedef ShallowTables<RULE, SET_BITS> Tables;
    using Tables::dim, Tables::width, Tables::groups, Tables::kept, Tables::table, Tables::sum, Tables::output, Tables::f, Tables::d, Tables::CODES;

    Floats active;  // [example, unit] of side by side units: activations
    Codes codes;
    const uint32_t* coded = nullptr;  // the inputs of which the codes are
    const uint8_t *code = nullptr, *is_first = nullptr;  // of a strip

    ShallowSet(const std::vector<int>& dims, const float* const*, bool, bool, bool, const float*) : Tables(dims), active(STRIP * width) {}

    void begin(const Kept<RULE>* tensors) {
        Tables::begin(tensors);
        coded = nullptr;
    }

    // Adds a batch to the sums and to the score. Returns the sum of d.
    float gradients(int batch, const Examples& examples, int loss, Score& score) {
        float sum_of_d = 0.0f;
        encode(batch, examples);
        for (int b = 0; b < batch; b += STRIP) {
            const int count = std::min(STRIP, batch - b);
            const Examples strip = examples.from(b, dim, 1, 1);
            forward(b, count, strip);
            sum_of_d += slopes_of_loss(count, loss, f, strip.y, strip.weight, strip.uniform, d, &score);
            switch (groups - codes.shared) {
            case 1: backward<1>(count); break;
            case 2: backward<2>(count); break;
            default: backward<0>(count);
            }
        }
        return sum_of_d;
    }

    // Adds examples to the score, and leaves the sums as they are.
    void score(int count, const Examples& examples, int loss, Score& score) {
        encode(count, examples);
        for (int b = 0; b < count; b += STRIP) {
            const int part = std::min(STRIP, count - b);
            const Examples strip = examples.from(b, dim, 1, 1);
            forward(b, part, strip);
            slopes_of_loss(part, loss, f, strip.y, nullptr, 1.0f, d, &score);
        }
    }

  private:
    void encode(int count, const Examples& examples) {
        if (coded == examples.words) return;
        codes.set(count, dim, groups, examples.words);
        coded = examples.words;
    }

    void forward(int b, int count, const Examples& strip) {
        code = &codes.of_example[(int64_t)b * groups];
        is_first = &codes.is_first[b];
        switch (groups - codes.shared) {
        case 1: forward<1>(count); break;
        case 2: forward<2>(count); break;
        default: forward<0>(count);
        }
        this->add_lanes(count);
        if (strip.outputs) memcpy(strip.outputs, f, count * sizeof(float));
    }

    // OWN codes of each example follow the shared ones; 0 for any number.
    template <int OWN>
    void forward(int count) {
        const int n = groups, shared = codes.shared, own = OWN ? OWN : n - shared;
        side_by_side(width, [&, n, shared, own](auto vectors, int first) {
            constexpr int row = vectors * LANES;
            const float *rows = &table[(int64_t)first * n * CODES], *own_rows = rows + shared * CODES * row;
            float *to = &active[STRIP * first], *out = output.data();
            const uint8_t *at = code, *anew = is_first;
            vec outgoing[vectors], start[vectors] = {};
            for (int q = 0; q < vectors; q++) outgoing[q] = load(&kept[2][0][first + q * LANES]);
            for (int b = 0; b < count; b++, at += n, out += LANES, to += row) {
                if (anew[b]) {
                    for (int q = 0; q < vectors; q++) start[q] = vec{};
                    for (int g = 0; g < shared; g++)
                        for (int q = 0; q < vectors; q++) start[q] += load(rows + (g * CODES + at[g]) * row + q * LANES);
                }
                vec sums[vectors], product = first ? load(out) : vec{};
                for (int q = 0; q < vectors; q++) sums[q] = start[q];
                for (int g = 0; g < own; g++) {
                    const float* selected = own_rows + (g * CODES + at[shared + g]) * row;
                    for (int q = 0; q < vectors; q++) sums[q] += load(selected + q * LANES);
                }
                for (int q = 0; q < vectors; q++) {
                    const vec value = positive(sums[q]);
                    store(to + q * LANES, value);
                    product += value * outgoing[q];
                }
                store(out, product);
            }
        });
    }

    template <int OWN>
    void backward(int count) {
        const int n = groups, shared = codes.shared, own = OWN ? OWN : n - shared;
        side_by_side(width, [&, n, shared, own](auto vectors, int first) {
            constexpr int row = vectors * LANES;
            float *rows = &sum[(int64_t)first * n * CODES], *own_rows = rows + shared * CODES * row;
            const float* from = &active[STRIP * first];
            const uint8_t *at = code, *anew = is_first;
            vec together[vectors] = {};
            auto flush = [&](const uint8_t* of) {
                for (int g = 0; g < shared; g++)
                    for (int q = 0; q < vectors; q++) add_to(rows + (g * CODES + of[g]) * row + q * LANES, together[q]);
            };
            for (int b = 0; b < count; b++, at += n, from += row) {
                if (b && anew[b]) {
                    flush(at - n);
                    for (int q = 0; q < vectors; q++) together[q] = vec{};
                }
                const vec slope = splat(d[b]);
                vec values[vectors];
                for (int q = 0; q < vectors; q++) {
                    values[q] = load(from + q * LANES) > vec{} ? slope : vec{};
                    together[q] += values[q];
                }
                for (int g = 0; g < own; g++) {
                    float* selected = own_rows + (g * CODES + at[shared + g]) * row;
                    for (int q = 0; q < vectors; q++) add_to(selected + q * LANES, values[q]);
                }
            }
            flush(at - n);
        });
    }
};
