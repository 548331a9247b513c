// Outputs and loss gradients of one multi-layer perceptron, a strip of examples at a time, so that weights,
// activations and their derivatives stay in the first-level cache.

#pragma once

#include <algorithm>
#include <optional>

#include "loss.h"
#include "products.h"
#include "signs.h"

// The shape, and the buffers of one thread. A replica's gradient is begin(), strips, end(). In matrices of units these are
// padded to whole vectors with zeros.
template <int ACTIVATION>
struct Network {
    const int hidden, products;  // hidden layers; and with the last one, where this has several outputs: those computed by matrix products
    const std::vector<int> dims;
    std::vector<int> width;       // dims, padded
    std::vector<int64_t> offset;  // of each weight and bias in one replica's gradient; -1 for no bias
    int64_t total = 0;
    // Of each of these: activations, or outputs, which their derivatives replace; slopes of hidden layers, where kept; weights [in, out]
    // and, behind the first, [out, in]; biases; and the sums of both's gradients over the strips.
    std::vector<Floats> after, slope, flipped, padded, start, weight_sum, bias_sum;
    Floats last, last_sum, below;  // the weights of a last layer with one output
    float last_start = 0.0f, last_start_sum = 0.0f;
    alignas(vec) float f[STRIP] = {}, d[STRIP] = {};  // the only output
    const float* class_weight = nullptr;  // of the cross-entropy
    std::optional<Signs> signs;  // where inputs are
    std::vector<uint32_t> encoded;
    const uint32_t* words = nullptr;  // of the present strip

    Network(std::vector<int> dims_, const float* const* params, bool has_signs = false)
        : hidden((int)dims_.size() - 2), products(hidden + (dims_.back() > 1)), dims(std::move(dims_)), after(products), slope(products),
          flipped(products), padded(products), start(products), weight_sum(products), bias_sum(products) {
        int widest = 0;
        for (int n : dims) {
            width.push_back(pad(n));
            widest = std::max(widest, pad(n));
        }
        for (int l = 0; l <= hidden; l++) {
            offset.push_back(total);
            total += (int64_t)dims[l] * dims[l + 1];
            offset.push_back(params[2 * l + 1] ? total : -1);
            if (params[2 * l + 1]) total += dims[l + 1];
        }
        for (int l = 0; l < products; l++) {
            const int n = width[l + 1];
            after[l].assign(STRIP * n, 0.0f);
            if (KEEPS_SLOPE<ACTIVATION> && l < hidden) slope[l].assign(STRIP * n, 0.0f);
            flipped[l].assign((int64_t)pad(dims[l]) * n, 0.0f);
            if (l) padded[l].assign((int64_t)dims[l + 1] * width[l], 0.0f);
            start[l].assign(n, 0.0f);
            weight_sum[l].resize((int64_t)dims[l] * n);
            bias_sum[l].resize(n);
        }
        if (has_signs && hidden) {
            signs.emplace(dims[0], width[1]);
            encoded.resize(STRIP * words_of(dims[0]));
        }
        last.assign(widest, 0.0f);
        last_sum.resize(widest);
        below.resize(products > 1 ? STRIP * widest : 0);
    }

    void begin(const float* const* params) {
        for (int l = 0; l < products; l++) {
            const int out = dims[l + 1], in = dims[l];
            transpose(params[2 * l], out, in, in, flipped[l].data(), width[l + 1]);
            if (params[2 * l + 1]) memcpy(start[l].data(), params[2 * l + 1], out * sizeof(float));
            for (int j = 0; l && j < out; j++) memcpy(&padded[l][(int64_t)j * width[l]], params[2 * l] + (int64_t)j * in, in * sizeof(float));
            std::fill(weight_sum[l].begin(), weight_sum[l].end(), 0.0f);
            std::fill(bias_sum[l].begin(), bias_sum[l].end(), 0.0f);
        }
        if (signs) signs->begin(flipped[0].data(), start[0].data());
        if (is_single()) memcpy(last.data(), params[2 * hidden], dims[hidden] * sizeof(float));
        std::fill(last_sum.begin(), last_sum.end(), 0.0f);
        last_start = params[2 * hidden + 1] ? *params[2 * hidden + 1] : 0.0f;
        last_start_sum = 0.0f;
    }

    bool is_single() const { return products == hidden; }

    // What the last layer reads, and how many numbers lie between two examples' of these.
    const float* top(const float* x) const { return hidden ? after[hidden - 1].data() : x; }
    int top_row() const { return hidden ? width[hidden] : dims[0]; }

    // Outputs of the strip that went forward, to [count, dims.back()]; before it goes backward.
    void copy_outputs(int count, float* to) const {
        if (is_single()) memcpy(to, f, count * sizeof(float));
        const int n = dims.back();
        for (int b = 0; !is_single() && b < count; b++) memcpy(to + (int64_t)b * n, &after[hidden][b * width.back()], n * sizeof(float));
    }

    // The outputs of a strip of inputs [count, dims[0]], to f or after.
    void forward(int count, const float* x) {
        if (signs) {
            encode(count, dims[0], x, encoded.data());
            forward(count, encoded.data());
            return;
        }
        if (hidden)
            product<ACTIVATION>(count, width[1], dims[0], x, dims[0], 1, flipped[0].data(), start[0].data(), after[0].data(), slopes(0));
        behind(count, x);
    }

    // Of a strip of signs.
    void forward(int count, const uint32_t* strip) {
        words = strip;
        signs->product<ACTIVATION>(count, words, after[0].data(), slopes(0));
        behind(count, nullptr);
    }

    // Adds the gradients of the strip that went forward to the sums.
    void backward(int count, const float* x, int loss, const float* y, const float* weight, float uniform, Score* score = nullptr) {
        if (is_single()) last_start_sum += slopes_of_loss(count, loss, f, y, weight, uniform, d, score);
        else last_layer(count, x, loss, y, weight, uniform, score);
        if (!hidden && is_single())
            for (int b = 0; b < count; b++)
                for (int i = 0; i < dims[0]; i++) last_sum[i] += d[b] * x[(int64_t)b * dims[0] + i];
        if (!hidden) return;
        before(count, bias_sum[0].data());
        if (signs) signs->add(count, words, after[0].data());
        else product<NOTHING, true>(dims[0], width[1], count, x, 1, dims[0], after[0].data(), nullptr, weight_sum[0].data());
    }

    // Adds the strip that went forward to the score, each example with weight 1.
    void score(int count, int loss, const float* y, Score& score) {
        if (is_single()) slopes_of_loss(count, loss, f, y, nullptr, 1.0f, d, &score);
        else slopes_of_outputs(count, loss, dims.back(), width.back(), after[hidden].data(), y, nullptr, 1.0f, class_weight, &score);
    }

    // The first layer's activations where its pre-activations are high [unit] + low [count, unit].
    void outer(int count, const float* high, const float* low) {
        const int n = width[1];
        for (int b = 0; b < count; b++)
            for (int j = 0; j < n; j += LANES)
                activate<ACTIVATION>(load(high + j) + load(low + b * n + j), after[0].data() + b * n + j, slopes(0) + b * n + j);
    }

    // Backward through a last layer with several outputs, to below.
    void last_layer(int count, const float* x, int loss, const float* y, const float* weight, float uniform, Score* score) {
        const int n = width.back();
        float *slopes = after[hidden].data(), *sums = bias_sum[hidden].data();
        slopes_of_outputs(count, loss, dims.back(), n, slopes, y, weight, uniform, class_weight, score);
        for (int j = 0; j < n; j += LANES) {
            vec sum = {};
            for (int b = 0; b < count; b++) sum += load(slopes + b * n + j);
            add_to(sums + j, sum);
        }
        product<NOTHING, true>(dims[hidden], n, count, top(x), 1, top_row(), slopes, nullptr, weight_sum[hidden].data());
        if (hidden) product<NOTHING>(count, width[hidden], dims.back(), slopes, n, 1, padded[hidden].data(), nullptr, below.data());
    }

    // From the first layer's activations in after[0] to the outputs.
    void behind(int count, const float* x) {
        for (int l = 1; l < hidden; l++)
            product<ACTIVATION>(count, width[l + 1], dims[l], after[l - 1].data(), width[l], 1, flipped[l].data(), start[l].data(), after[l].data(),
                                slopes(l));
        if (is_single()) output(count, x);
        else product<NOTHING>(count, width.back(), dims[hidden], top(x), top_row(), 1, flipped[hidden].data(), start[hidden].data(), after[hidden].data());
    }

    // From d or below back to the derivatives with respect to what the first layer's activations were made of, which replace these and are
    // added to first_sum.
    void before(int count, float* first_sum) {
        for (int l = hidden - 1; l >= 0; l--) {
            derivatives(l, count, l ? bias_sum[l].data() : first_sum);
            if (!l) break;
            product<NOTHING, true>(dims[l], width[l + 1], count, after[l - 1].data(), 1, width[l], after[l].data(), nullptr, weight_sum[l].data());
            product<NOTHING>(count, width[l], dims[l + 1], after[l].data(), width[l + 1], 1, padded[l].data(), nullptr, below.data());
        }
    }

    // Where slopes are written to; a valid pointer also where none is.
    float* slopes(int l) { return KEEPS_SLOPE<ACTIVATION> ? slope[l].data() : after[l].data(); }

    void output(int count, const float* x) {
        const float* a = top(x);
        const int row = top_row(), whole = row / LANES * LANES;
        for (int b = 0; b < count; b++, a += row) {
            vec sum = {};
            for (int j = 0; j < whole; j += LANES) sum += load(a + j) * load(&last[j]);
            f[b] = last_start + ::total(sum);
            for (int j = whole; j < row; j++) f[b] += a[j] * last[j];
        }
    }

    // From hidden layer l's activations to the derivatives with respect to what they were made of, some vectors of units at a time.
    void derivatives(int l, int count, float* sum) {
        const int n = width[l + 1];
        const bool is_last = is_single() && l == hidden - 1;
        side_by_side<4>(n, [&, n, is_last](auto vectors, int first) {
            // Pointers of their own: the compiler cannot know that a store leaves the buffers' addresses alone.
            float* at = after[l].data() + first;
            const float *kept = slopes(l) + first, *above = is_last ? at : below.data() + first;
            vec units[vectors] = {}, weights[vectors] = {}, outgoing[vectors];
            for (int q = 0; q < vectors; q++) outgoing[q] = load(&last[is_last ? first + q * LANES : 0]);
            for (int b = 0; b < count; b++, at += n, kept += n, above += n) {
                const vec s = splat(d[b]);
                for (int q = 0; q < vectors; q++) {
                    const vec value = load(at + q * LANES);
                    const vec v = chained<ACTIVATION>(is_last ? s * outgoing[q] : load(above + q * LANES), value, load(kept + q * LANES));
                    store(at + q * LANES, v);
                    units[q] += v;
                    weights[q] += s * value;
                }
            }
            for (int q = 0; q < vectors; q++) {
                add_to(sum + first + q * LANES, units[q]);
                if (is_last) add_to(&last_sum[first + q * LANES], weights[q]);
            }
        });
    }

    // The gradient of all parameters; the first layer's is summed up in weight_sum[0] and bias_sum[0].
    void end(float* g) {
        if (signs) signs->end(weight_sum[0].data());
        for (int l = 0; l < products; l++) {
            transpose(weight_sum[l].data(), dims[l], dims[l + 1], width[l + 1], g + offset[2 * l], dims[l]);
            if (offset[2 * l + 1] >= 0) memcpy(g + offset[2 * l + 1], bias_sum[l].data(), dims[l + 1] * sizeof(float));
        }
        if (!is_single()) return;
        memcpy(g + offset[2 * hidden], last_sum.data(), dims[hidden] * sizeof(float));
        if (offset[2 * hidden + 1] >= 0) g[offset[2 * hidden + 1]] = last_start_sum;
    }
};
