// A linear layer of columns: its weights as products read them, and the sums of its gradients.

#pragma once

#include <cmath>

#include "columns.h"

// A layer norm's scale and shift before the layer are multiplied into its weights, and their gradients follow from the weights'.
struct Linear {
    int in, out;
    bool flips;  // whether the weights' gradient is summed up as [in, out]: then the derivatives are transposed, not the inputs
    Packed forward, backward;
    Floats start, sum, bias_sum;

    Linear(int in_, int out_, bool flips_)
        : in(in_), out(out_), flips(flips_), forward(out, in), backward(in, out), start(pad_rows(out)),
          sum((int64_t)pad_rows(flips ? in : out) * pad(flips ? out : in)), bias_sum((int64_t)out * LANES), biases(out), norm_sum(2 * in) {}

    // Outputs first, ..., first + count - 1, of weights w [count, in].
    void put(int first, int count, const float* w, const float* bias, const float* scale = nullptr, const float* shift = nullptr) {
        forward.put_rows(first, count, w, scale);
        backward.put_columns(first, count, w, scale);
        for (int o = 0; o < count; o++) {
            float shifted = 0.0f;
            for (int i = 0; shift && i < in; i++) shifted += w[(int64_t)o * in + i] * shift[i];
            start[first + o] = bias[o] + shifted;
        }
    }

    void clear() {
        std::fill(sum.begin(), sum.end(), 0.0f);
        std::fill(bias_sum.begin(), bias_sum.end(), 0.0f);
        std::fill(norm_sum.begin(), norm_sum.end(), 0.0f);
    }

    // From columns whose tokens are multiplied: derivatives and inputs; or, where it flips, inputs and derivatives.
    void add(Columns a, Columns b, Tokens& tokens) {
        tokens.put(flips ? out : in, b);
        outer(flips ? in : out, a, tokens, sum.data());
        add_columns(out, flips ? b : a, bias_sum.data());
    }

    // The gradient of the weights and biases of some outputs, stored or added.
    void gradients(int first, int count, float* g_w, float* g_bias, bool adds) {
        of_biases(first, count, g_bias, adds);
        if (flips && !adds) transpose(sum.data(), in, out, pad(out), g_w, in);
        else if (flips) {
            flipped.resize((int64_t)out * in);
            transpose(sum.data(), in, out, pad(out), flipped.data(), in);
            for (int64_t i = 0; i < (int64_t)out * in; i++) g_w[i] += flipped[i];
        }
    }

    // The same behind a norm with norm[0] as scale and norm[1] as shift, whose gradients are summed up in norm_sum.
    void gradients(int first, int count, float* g_w, float* g_bias, bool adds, const float* const* norm, const float* w) {
        of_biases(first, count, g_bias, adds);
        for (int o = 0; o < count; o++, g_w += in, w += in) {
            const float d = biases[first + o], *__restrict from = &sum[(int64_t)(first + o) * pad(in)], *scale = norm[0], *shift = norm[1];
            float *__restrict to = g_w, *__restrict of_scale = norm_sum.data(), *__restrict of_shift = of_scale + in;
            for (int i = 0; i < in; i++) {
                of_scale[i] += w[i] * from[i];
                of_shift[i] += w[i] * d;
            }
            if (adds)
                for (int i = 0; i < in; i++) to[i] += scale[i] * from[i] + shift[i] * d;
            else
                for (int i = 0; i < in; i++) to[i] = scale[i] * from[i] + shift[i] * d;
        }
    }

    // The gradients of the norm, after those of all outputs.
    void of_norm(float* g_scale, float* g_shift, bool adds) const {
        for (int i = 0; i < in; i++) {
            g_scale[i] = norm_sum[i] + (adds ? g_scale[i] : 0.0f);
            g_shift[i] = norm_sum[in + i] + (adds ? g_shift[i] : 0.0f);
        }
    }

private:
    Floats flipped, biases, norm_sum;

    void of_biases(int first, int count, float* g_bias, bool adds) {
        for (int o = 0; o < count; o++) {
            biases[first + o] = total(load(&bias_sum[(int64_t)(first + o) * LANES]));
            g_bias[o] = biases[first + o] + (adds ? g_bias[o] : 0.0f);
        }
    }
};
