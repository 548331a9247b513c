// Training of a network with one hidden ReLU layer on inputs that are all -1 or 1. With d an example's loss derivative, m whether a
// unit is active for it, z its pre-activation and a its outgoing weight, the sums S of d m over the examples of each code give all
// gradients: those of the first layer are a times the sums' differences, and a's own, the sum of d m z, is the product of the first
// layer's weights with these differences. Weights, tables and sums stay in the cache from step to step.

#pragma once

#include "examples.h"
#include "loss.h"
#include "update.h"

// Of one thread. Parameters are the first weight, its bias, the last weight and its bias, where either bias may be missing.
template <int RULE>
struct ShallowSigns {
    static constexpr int TENSORS = 4, KEPT = 1 + STATES<RULE>;

    const int dim, units, width, groups;
    // The parameters, and behind them their optimizer states: [groups GROUP, width], [width], [width], [LANES].
    Floats kept[TENSORS][KEPT];
    Floats table, sum;      // as in Signs
    Floats active, output;  // [example, unit] of side by side units: activations, [example, lanes apart]
    std::vector<int32_t> is_unit;
    std::vector<uint32_t> encoded;  // a strip of inputs that are given as numbers
    alignas(vec) float f[STRIP], d[STRIP];

    Made made;

    ShallowSigns(const std::vector<int>& dims, const float* const*, bool, bool has_words, bool has_source, const float*)
        : dim(dims[0]), units(dims[1]), width(pad(units)), groups((dim + GROUP - 1) / GROUP), table((int64_t)groups * CODES * width),
          sum(table.size()), active(STRIP * width), output(STRIP * LANES), is_unit(width),
          encoded(has_words ? 0 : STRIP * words_of(dim)), made(has_source, has_words, dim) {
        const int64_t sizes[] = {(int64_t)groups * GROUP * width, width, width, LANES};
        for (int p = 0; p < TENSORS; p++)
            for (Floats& part : kept[p]) part.resize(sizes[p]);
        std::fill(is_unit.begin(), is_unit.begin() + units, -1);
    }

    // tensors[p] are a parameter and its states, or null.
    void begin(const Kept<RULE>* tensors) {
        for (int part = 0; part < KEPT; part++) {
            if (tensors[0][part]) transpose(tensors[0][part], units, dim, dim, kept[0][part].data(), width);
            const int counts[] = {0, units, units, 1};
            for (int p = 1; p < TENSORS; p++)
                if (tensors[p][part]) memcpy(kept[p][part].data(), tensors[p][part], counts[p] * sizeof(float));
        }
        std::fill(sum.begin(), sum.end(), 0.0f);
        side_by_side(width, [&](auto vectors, int first) {
            for (int q = 0; q < vectors; q++)
                for (int g = 0; g < groups; g++) {
                    vec rows[GROUP];
                    for (int i = 0; i < GROUP; i++) rows[i] = load(&kept[0][0][(int64_t)(g * GROUP + i) * width + first + q * LANES]);
                    look_up(vectors, first, q, g, rows);
                }
        });
    }

    void end(const Kept<RULE>* tensors) const {
        for (int part = 0; part < KEPT; part++) {
            transpose(kept[0][part].data(), dim, units, width, tensors[0][part], dim);
            const int counts[] = {0, units, units, 1};
            for (int p = 1; p < TENSORS; p++)
                if (tensors[p][part]) memcpy(tensors[p][part], kept[p][part].data(), counts[p] * sizeof(float));
        }
    }

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

    // Updates the tensors whose rule is not null.
    void apply(const Update<RULE>* const* rules, float sum_of_d) {
        side_by_side(width, [&](auto vectors, int first) {
            for (int q = 0; q < vectors; q++) units_updated(rules, vectors, first, q);
        });
        if (rules[3]) updated(*rules[3], 3, 0, splat(sum_of_d));
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
        for (int b = 0; b < count; b += LANES) {
            vec rows[LANES];
            for (int i = 0; i < LANES; i++) rows[i] = load(&output[(b + i) * LANES]);
            store(f + b, kept[3][0][0] + totals(rows, Lanes{}));
        }
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

    // As many units as there are lanes: from their sums, which are zero again, to the next step's tables.
    void units_updated(const Update<RULE>* const* rules, int vectors, int first, int q) {
        const int j = first + q * LANES;
        const vec outgoing = load(&kept[2][0][j]);
        vec of_outgoing = {};
        for (int g = 0; g < groups; g++) {
            vec sums[CODES], differences[GROUP], rows[GROUP];
            float* own = &sum[at(vectors, first, q, g)];
            for (int c = 0; c < CODES; c++) {
                sums[c] = load(own + c * vectors * LANES);
                store(own + c * vectors * LANES, vec{});
            }
            differences_of_codes(sums, differences);
            if (!g) {
                of_outgoing += load(&kept[1][0][j]) * sums[0];
                if (rules[1]) updated(*rules[1], 1, j, sums[0] * outgoing);
            }
            for (int i = 0; i < GROUP; i++) {
                const int64_t here = (int64_t)(g * GROUP + i) * width + j;
                rows[i] = load(&kept[0][0][here]);
                of_outgoing += rows[i] * differences[i];
                if (rules[0] && g * GROUP + i < dim) rows[i] = updated(*rules[0], 0, here, differences[i] * outgoing);
            }
            look_up(vectors, first, q, g, rows);
        }
        if (rules[2]) updated(*rules[2], 2, j, of_outgoing);
    }

    vec updated(const Update<RULE>& rule, int p, int64_t here, vec gradient) {
        vec states[STATES<RULE>];
        for (int i = 0; i < STATES<RULE>; i++) states[i] = load(&kept[p][1 + i][here]);
        // Behind the last unit stay zeros, whatever the rule makes of them.
        const vec moved = rule(load(&kept[p][0][here]), gradient, states);
        const vec value = p == 3 ? moved : (vec)((ivec)moved & loaded_mask(here % width));
        store(&kept[p][0][here], value);
        for (int i = 0; i < STATES<RULE>; i++) store(&kept[p][1 + i][here], states[i]);
        return value;
    }

    ivec loaded_mask(int64_t j) const {
        ivec mask;
        memcpy(&mask, &is_unit[j], sizeof mask);
        return mask;
    }

    void look_up(int vectors, int first, int q, int g, const vec* rows) {
        vec sums[CODES];
        sums_of_codes(g ? vec{} : load(&kept[1][0][first + q * LANES]), rows, sums);
        float* own = &table[at(vectors, first, q, g)];
        for (int c = 0; c < CODES; c++) store(own + c * vectors * LANES, sums[c]);
    }

    int64_t at(int vectors, int first, int q, int group) const { return (int64_t)first * groups * CODES + (group * CODES * vectors + q) * LANES; }
};
