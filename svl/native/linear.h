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
          sum((int64_t)pad_rows(flips ? in : out) * pad(flips ? out : in)), bias_sum((int64_t)out * LANES) {}

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
    }

    // From columns whose tokens are multiplied: derivatives and inputs; or, where it flips, inputs and derivatives.
    void add(Columns a, Columns b, Tokens& tokens) {
        tokens.put(flips ? out : in, b);
        outer(flips ? in : out, a, tokens, sum.data());
        add_columns(out, flips ? b : a, bias_sum.data());
    }

    // The gradient of the weights and biases of some outputs.
    void gradients(int first, int count, float* g_w, float* g_bias) const {
        if (flips) transpose(sum.data(), in, out, pad(out), g_w, in);
        for (int o = 0; o < count; o++) {
            g_bias[o] = total(load(&bias_sum[(int64_t)(first + o) * LANES]));
            if (!flips) memcpy(g_w + (int64_t)o * in, &sum[(int64_t)(first + o) * pad(in)], in * sizeof(float));
        }
    }

    // The same behind a norm with norm[0] as scale and norm[1] as shift, to whose gradients it adds.
    void gradients(int first, int count, float* g_w, float* g_bias, const float* const* norm, const float* w, float* g_scale, float* g_shift) const {
        gradients(first, count, g_w, g_bias);
        for (int o = 0; o < count; o++, g_w += in, w += in)
            for (int i = 0; i < in; i++) {
                g_scale[i] += w[i] * g_w[i];
                g_shift[i] += w[i] * g_bias[o];
                g_w[i] = norm[0][i] * g_w[i] + norm[1][i] * g_bias[o];
            }
    }
};
