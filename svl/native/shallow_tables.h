// What trains a network with one hidden ReLU layer on inputs that are all -1 or 1. With d an example's loss derivative, m whether a
// unit is active for it, z its pre-activation and a its outgoing weight, the sums S of d m over the examples of each code give all
// gradients: those of the first layer are a times the sums' differences, and a's own, the sum of d m z, is the product of the first
// layer's weights with these differences. Weights, tables and sums stay in the cache from step to step.

#pragma once

#include "examples.h"
#include "loss.h"
#include "update.h"

// Of one thread. Parameters are the first weight, its bias, the last weight and its bias, where either bias may be missing. A code has
// BITS coordinates.
template <int RULE, int BITS>
struct ShallowTables {
    static constexpr int TENSORS = 4, KEPT = 1 + STATES<RULE>, CODES = 1 << BITS;

    const int dim, units, width, groups;
    // The parameters, and behind them their optimizer states: [groups BITS, width], [width], [width], [LANES].
    Floats kept[TENSORS][KEPT];
    Floats table, sum;  // as in Signs
    Floats output;      // [example, lanes apart]
    std::vector<int32_t> is_unit;
    alignas(vec) float f[STRIP], d[STRIP];

    explicit ShallowTables(const std::vector<int>& dims)
        : dim(dims[0]), units(dims[1]), width(pad(units)), groups((dim + BITS - 1) / BITS), table((int64_t)groups * CODES * width),
          sum(table.size()), output(STRIP * LANES), is_unit(width) {
        const int64_t sizes[] = {(int64_t)groups * BITS * width, width, width, LANES};
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
                    vec rows[BITS];
                    for (int i = 0; i < BITS; i++) rows[i] = load(&kept[0][0][(int64_t)(g * BITS + i) * width + first + q * LANES]);
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

    // Updates the tensors whose rule is not null.
    void apply(const Update<RULE>* const* rules, float sum_of_d) {
        side_by_side(width, [&](auto vectors, int first) {
            for (int q = 0; q < vectors; q++) units_updated(rules, vectors, first, q);
        });
        if (rules[3]) updated(*rules[3], 3, 0, splat(sum_of_d));
    }

  protected:
    // A strip's outputs, from what each of their lanes adds to them.
    void add_lanes(int count) {
        for (int b = 0; b < count; b += LANES) {
            vec rows[LANES];
            for (int i = 0; i < LANES; i++) rows[i] = load(&output[(b + i) * LANES]);
            store(f + b, kept[3][0][0] + totals(rows, Lanes{}));
        }
    }

    int64_t at(int vectors, int first, int q, int group) const { return (int64_t)first * groups * CODES + (group * CODES * vectors + q) * LANES; }

  private:
    // As many units as there are lanes: from their sums, which are zero again, to the next step's tables.
    void units_updated(const Update<RULE>* const* rules, int vectors, int first, int q) {
        const int j = first + q * LANES;
        const vec outgoing = load(&kept[2][0][j]);
        vec of_outgoing = {};
        for (int g = 0; g < groups; g++) {
            vec sums[CODES], differences[BITS], rows[BITS];
            float* own = &sum[at(vectors, first, q, g)];
            for (int c = 0; c < CODES; c++) {
                sums[c] = load(own + c * vectors * LANES);
                store(own + c * vectors * LANES, vec{});
            }
            differences_of_codes<BITS>(sums, differences);
            if (!g) {
                of_outgoing += load(&kept[1][0][j]) * sums[0];
                if (rules[1]) updated(*rules[1], 1, j, sums[0] * outgoing);
            }
            for (int i = 0; i < BITS; i++) {
                const int64_t here = (int64_t)(g * BITS + i) * width + j;
                rows[i] = load(&kept[0][0][here]);
                of_outgoing += rows[i] * differences[i];
                if (rules[0] && g * BITS + i < dim) rows[i] = updated(*rules[0], 0, here, differences[i] * outgoing);
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
        sums_of_codes<BITS>(g ? vec{} : load(&kept[1][0][first + q * LANES]), rows, sums);
        float* own = &table[at(vectors, first, q, g)];
        for (int c = 0; c < CODES; c++) store(own + c * vectors * LANES, sums[c]);
    }
};
