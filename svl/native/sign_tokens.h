// The first block's queries, keys and values where every token is a sign: a position has two tokens then, and not one for each sequence,
// so that norms and products are those of all positions' two tokens.

#pragma once

#include "linear.h"

// What is made of the token s at a position is middle + s half, and its derivatives are wanted only as their sums with and without s.
struct SignTokens {
    int positions, width, columns;
    Buffer x, normal, heads, d_heads, d_x, narrow;  // with token 2 position + (s > 0) in lane % LANES of column / LANES
    Floats factor;
    Floats middle, half;                      // [position][3 width of q, k, v; width of x]
    Floats sum, signed_sum;                   // the same [LANES]

    SignTokens(int positions_, int width_) : positions(positions_), width(width_), columns((2 * positions + LANES - 1) / LANES) {
        x = normal = d_x = narrow = Buffer(width, columns), heads = d_heads = Buffer(3 * width, columns);
        factor.resize(columns * LANES);
        middle.resize((int64_t)positions * 4 * width), half = middle;
        sum.resize(middle.size() * LANES), signed_sum = sum;
    }

    float& at(Buffer& buffer, int token, int row) { return buffer.of(1)[token / LANES][row * LANES + token % LANES]; }

    // Of a network whose embedding is s scale + shift + position.
    void begin(const float* scale, const float* shift, const float* position, const Linear& qkv) {
        for (int i = 0; i < positions; i++)
            for (int r = 0; r < width; r++) {
                const float v = shift[r] + position[i * width + r];
                at(x, 2 * i, r) = v - scale[r], at(x, 2 * i + 1, r) = v + scale[r];
                middle[(int64_t)i * 4 * width + 3 * width + r] = v, half[(int64_t)i * 4 * width + 3 * width + r] = scale[r];
            }
        for (int c = 0; c < columns; c++) normalise<true>(width, LAYER_EPS, x.of(1)[c], normal.of(1)[c], &factor[c * LANES]);
        product<STORES>(qkv.forward, qkv.start.data(), normal.of(columns), heads.of(columns));
        for (int i = 0; i < positions; i++)
            for (int r = 0; r < 3 * width; r++) {
                const float minus = at(heads, 2 * i, r), plus = at(heads, 2 * i + 1, r);
                middle[(int64_t)i * 4 * width + r] = 0.5f * (plus + minus), half[(int64_t)i * 4 * width + r] = 0.5f * (plus - minus);
            }
    }

    void clear() {
        std::fill(sum.begin(), sum.end(), 0.0f);
        std::fill(signed_sum.begin(), signed_sum.end(), 0.0f);
    }

    // A column of q, k, v and of x, at one position of LANES sequences.
    void put(int position, vec signs, float* to_heads, float* to_x) const {
        const float *m = &middle[(int64_t)position * 4 * width], *h = &half[(int64_t)position * 4 * width];
        for (int r = 0; r < 3 * width; r++) store(to_heads + r * LANES, splat(m[r]) + signs * h[r]);
        for (int r = 3 * width; r < 4 * width; r++) store(to_x + (r - 3 * width) * LANES, splat(m[r]) + signs * h[r]);
    }

    // Its derivatives.
    void add(int position, vec signs, const float* from_heads, const float* from_x) {
        float *to = &sum[(int64_t)position * 4 * width * LANES], *signed_to = &signed_sum[(int64_t)position * 4 * width * LANES];
        for (int r = 0; r < 4 * width; r++, to += LANES, signed_to += LANES) {
            const vec d = load(r < 3 * width ? from_heads + r * LANES : from_x + (r - 3 * width) * LANES);
            add_to(to, d);
            add_to(signed_to, signs * d);
        }
    }

    // To the gradients' sums of the layer and of the embedding, at the end.
    void end(Linear& qkv, Tokens& tokens, Linear& embed, float* position_sum) {
        for (int i = 0; i < positions; i++)
            for (int r = 0; r < 4 * width; r++) {
                const int64_t place = ((int64_t)i * 4 * width + r) * LANES;
                const float all = total(load(&sum[place])), signed_all = total(load(&signed_sum[place]));
                Buffer& to = r < 3 * width ? d_heads : d_x;
                const int row = r < 3 * width ? r : r - 3 * width;
                at(to, 2 * i, row) = 0.5f * (all - signed_all), at(to, 2 * i + 1, row) = 0.5f * (all + signed_all);
            }
        qkv.add(d_heads.of(columns), normal.of(columns), tokens);
        product<STORES>(qkv.backward, nullptr, d_heads.of(columns), narrow.of(columns));
        for (int c = 0; c < columns; c++) before_norm<true, true>(width, normal.of(1)[c], &factor[c * LANES], narrow.of(1)[c], d_x.of(1)[c]);
        for (int i = 0; i < positions; i++)
            for (int r = 0; r < width; r++) {
                const float minus = at(d_x, 2 * i, r), plus = at(d_x, 2 * i + 1, r);
                position_sum[((int64_t)i * width + r) * LANES] += plus + minus;
                embed.bias_sum[(int64_t)r * LANES] += plus + minus;
                embed.sum[r] += plus - minus;
            }
    }
};
