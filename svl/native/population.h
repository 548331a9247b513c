// Loss gradients of a perceptron over a population of inputs that is a product of two sets of halves. The first layer's
// pre-activations are outer sums of two tables, and its gradients come from the row and column sums of their derivatives; nothing
// larger than a block of both is ever stored.

#pragma once

#include <algorithm>

#include "network.h"

constexpr int HIGH = 4, LOW = REGISTERS / 8;  // a block: rows of the one half, and vectors of rows of the other

// Half inputs [rows, dim], laid out for products over either.
struct Half {
    const int rows, dim, padded;      // to whole blocks, and a little more: rows a power of two apart would share few lines of a cache
    Floats across, down;  // [dim, padded rows], [rows, padded dim]

    Half(int rows, int dim, const float* inputs)
        : rows(rows), dim(dim), padded((rows + LOW * LANES - 1) / (LOW * LANES) * LOW * LANES + LANES), across((int64_t)dim * padded), down((int64_t)rows * pad(dim)) {
        transpose(inputs, rows, dim, dim, across.data(), padded);
        for (int r = 0; r < rows; r++) memcpy(&down[(int64_t)r * pad(dim)], inputs + (int64_t)r * dim, dim * sizeof(float));
    }
};

// Activations that are as soon computed again as kept.
template <int ACTIVATION>
constexpr bool IS_CHEAP = ACTIVATION == RELU || ACTIVATION == QUADRATIC;

// Of networks with one hidden layer: the buffers of one thread. Lanes are rows of the lower half.
template <int ACTIVATION>
struct Shallow {
    const int units, loss;
    const Half &low, &high;
    // [unit, row]: pre-activations without what the other half adds to them; sums of d times the activation's slope.
    Floats low_table, high_table, low_sum, high_sum;
    Floats block_sum, last_sum, kept, slopes, product_of;  // lanes still apart: [unit, HIGH], [unit]
    alignas(vec) float f[HIGH][LOW * LANES], d[HIGH][LOW * LANES];

    Shallow(const std::vector<int>& dims, const float* const*, int loss, const Half& low, const Half& high)
        : units(dims[1]), loss(loss), low(low), high(high), low_table((int64_t)units * low.padded), high_table((int64_t)units * high.padded),
          low_sum(low_table.size()), high_sum(high_table.size()), block_sum(units * HIGH * LANES), last_sum(units * LANES),
          kept(IS_CHEAP<ACTIVATION> ? 0 : units * HIGH * LOW * LANES), slopes(KEEPS_SLOPE<ACTIVATION> ? kept.size() : 0),
          product_of(units * pad(std::max(low.dim, high.dim))) {}

    // The gradient of the examples with high rows [first, end), where params and g are weight, bias, last weight, last bias; y and
    // outputs begin at the population's.
    void gradient(const float* const* params, int first, int end, const float* y, float weight, float* outputs, float* g) {
        const int dim = low.dim + high.dim;
        product<NOTHING>(units, low.padded, low.dim, params[0], dim, 1, low.across.data(), nullptr, low_table.data());
        product<NOTHING>(units, high.padded, high.dim, params[0] + low.dim, dim, 1, high.across.data(), nullptr, high_table.data());
        for (int j = 0; params[1] && j < units; j++)
            for (int h = first; h < end; h++) high_table[(int64_t)j * high.padded + h] += params[1][j];
        for (auto* sums : {&low_sum, &high_sum, &last_sum}) std::fill(sums->begin(), sums->end(), 0.0f);
        float sum_of_d = 0.0f;
        for (int h = first; h < end; h += HIGH) {
            std::fill(block_sum.begin(), block_sum.end(), 0.0f);
            for (int l = 0; l < low.rows; l += LOW * LANES) sum_of_d += block(params, h, std::min(HIGH, end - h), l, y, weight, outputs);
            for (int j = 0; j < units; j++)
                for (int r = 0; r < HIGH; r++) high_sum[(int64_t)j * high.padded + h + r] = total(load(&block_sum[(j * HIGH + r) * LANES]));
        }
        halves(low, low_sum, params[2], g, dim);
        halves(high, high_sum, params[2], g + low.dim, dim);
        g += (int64_t)units * dim;
        if (params[1]) {
            for (int j = 0; j < units; j++, g++) {
                *g = 0.0f;
                for (int h = first; h < end; h++) *g += params[2][j] * high_sum[(int64_t)j * high.padded + h];
            }
        }
        for (int j = 0; j < units; j++) *g++ = total(load(&last_sum[j * LANES]));
        if (params[3]) *g = sum_of_d;
    }

    float block(const float* const* params, int h, int rows, int l, const float* y, float weight, float* outputs) {
        vec out[HIGH][LOW];
        for (auto& row : out)
            for (vec& one : row) one = splat(params[3] ? *params[3] : 0.0f);
        for (int j = 0; j < units; j++) {
            const float *lows = &low_table[(int64_t)j * low.padded + l], *highs = &high_table[(int64_t)j * high.padded + h];
            for (int r = 0; r < HIGH; r++)
                for (int q = 0; q < LOW; q++) {
                    vec slope = {};
                    const vec after = activated<ACTIVATION>(load(lows + q * LANES) + splat(highs[r]), slope);
                    const int at = ((j * HIGH + r) * LOW + q) * LANES;
                    if (!IS_CHEAP<ACTIVATION>) store(&kept[at], after);
                    if (!IS_CHEAP<ACTIVATION> && KEEPS_SLOPE<ACTIVATION>) store(&slopes[at], slope);
                    out[r][q] += after * splat(params[2][j]);
                }
        }
        const int count = std::min(LOW * LANES, low.rows - l);
        vec sum_of_d = {};
        for (int r = 0; r < HIGH; r++) {
            const int64_t at = (int64_t)(h + r) * low.rows + l;
            float target[LOW * LANES] = {};
            if (r < rows) memcpy(target, y + at, count * sizeof(float));
            for (int q = 0; q < LOW; q++) store(f[r] + q * LANES, out[r][q]);
            for (int q = 0; q < LOW; q++) store(d[r] + q * LANES, weight * derivative(loss, out[r][q], load(target + q * LANES)));
            // What is beyond the tables is no example.
            std::fill(d[r] + (r < rows ? count : 0), d[r] + LOW * LANES, 0.0f);
            if (r < rows) memcpy(outputs + at, f[r], count * sizeof(float));
            for (int q = 0; q < LOW; q++) sum_of_d += load(d[r] + q * LANES);
        }
        for (int j = 0; j < units; j++) {
            const float *lows = &low_table[(int64_t)j * low.padded + l], *highs = &high_table[(int64_t)j * high.padded + h];
            vec column[LOW] = {}, weights[LOW] = {};
            for (int r = 0; r < HIGH; r++) {
                vec row = load(&block_sum[(j * HIGH + r) * LANES]);
                for (int q = 0; q < LOW; q++) {
                    const vec before = load(lows + q * LANES) + splat(highs[r]), slope_of = load(d[r] + q * LANES);
                    const int at = ((j * HIGH + r) * LOW + q) * LANES;
                    vec slope = {};
                    const vec after = IS_CHEAP<ACTIVATION> ? activated<ACTIVATION>(before, slope) : load(&kept[at]);
                    if (!IS_CHEAP<ACTIVATION> && KEEPS_SLOPE<ACTIVATION>) slope = load(&slopes[at]);
                    const vec v = chained<ACTIVATION>(slope_of, ACTIVATION == RELU ? before : after, slope);
                    column[q] += v;
                    row += v;
                    weights[q] += ACTIVATION == RELU ? v * before : slope_of * after;
                }
                store(&block_sum[(j * HIGH + r) * LANES], row);
            }
            float* columns = &low_sum[(int64_t)j * low.padded + l];
            for (int q = 0; q < LOW; q++) add_to(columns + q * LANES, column[q]);
            for (int q = 1; q < LOW; q++) weights[0] += weights[q];
            add_to(&last_sum[j * LANES], weights[0]);
        }
        return total(sum_of_d);
    }

    // One half's columns of the first weight's gradient [unit, dim].
    void halves(const Half& half, const Floats& sums, const float* last, float* g, int dim) {
        const int n = pad(half.dim);
        product<NOTHING>(units, n, half.rows, sums.data(), half.padded, 1, half.down.data(), nullptr, product_of.data());
        for (int j = 0; j < units; j++)
            for (int i = 0; i < half.dim; i++) g[(int64_t)j * dim + i] = last[j] * product_of[j * n + i];
    }
};

// Of networks with more layers, whose units are lanes.
template <int ACTIVATION>
struct Deep {
    Network<ACTIVATION> network;
    const int loss, n;
    const Half &low, &high;
    Floats low_table, high_table, low_sum, high_sum;  // [row, unit], as above

    Deep(const std::vector<int>& dims, const float* const* params, int loss, const Half& low, const Half& high)
        : network(dims, params), loss(loss), n(network.width[1]), low(low), high(high), low_table((int64_t)low.rows * n),
          high_table((int64_t)high.rows * n), low_sum(low_table.size()), high_sum(high_table.size()) {}

    void gradient(const float* const* params, int first, int end, const float* y, float weight, float* outputs, float* g) {
        network.begin(params);
        const float* weights = network.flipped[0].data();
        product<NOTHING>(low.rows, n, low.dim, low.down.data(), pad(low.dim), 1, weights, nullptr, low_table.data());
        product<NOTHING>(high.rows, n, high.dim, high.down.data(), pad(high.dim), 1, weights + (int64_t)low.dim * n, network.start[0].data(),
                         high_table.data());
        std::fill(low_sum.begin(), low_sum.end(), 0.0f);
        std::fill(high_sum.begin(), high_sum.end(), 0.0f);
        for (int l = 0; l < low.rows; l += STRIP)
            for (int h = first; h < end; h++) {
                const int count = std::min(STRIP, low.rows - l);
                const int64_t at = (int64_t)h * low.rows + l;
                network.outer(count, &high_table[(int64_t)h * n], &low_table[(int64_t)l * n]);
                network.behind(count, nullptr);
                network.last_start_sum += slopes_of_loss(count, loss, network.f, y + at, nullptr, weight, network.d, nullptr);
                network.before(count, &high_sum[(int64_t)h * n]);
                for (int i = 0; i < count * n; i += LANES) add_to(&low_sum[(int64_t)l * n + i], load(&network.after[0][i]));
                memcpy(outputs + at, network.f, count * sizeof(float));
            }
        float* sums = network.weight_sum[0].data();
        product<NOTHING>(low.dim, n, low.rows, low.down.data(), 1, pad(low.dim), low_sum.data(), nullptr, sums);
        product<NOTHING>(high.dim, n, high.rows, high.down.data(), 1, pad(high.dim), high_sum.data(), nullptr, sums + (int64_t)low.dim * n);
        for (int h = first; h < end; h++)
            for (int j = 0; j < n; j++) network.bias_sum[0][j] += high_sum[(int64_t)h * n + j];
        network.end(g);
    }
};
