// The shape of a Transformer, where its parameters are, and one of its blocks.

#pragma once

#include "attention.h"
#include "linear.h"

enum Readout { LAST = 0, MEAN = 1, ALL = 2 };
enum QKNorm { NO_NORM = 0, LAYER_NORM = 1, RMS_NORM = 2 };

// In the order in which the numbers are handed over.
struct Shape {
    int positions, token, vocabulary, width, depth, heads, hidden, is_causal, qk_norm, readout, outputs, has_signs;

    int dim() const { return width / heads; }
    int read_positions() const { return readout == ALL ? positions : 1; }
    int norm_tensors() const { return qk_norm == LAYER_NORM ? 2 : qk_norm == RMS_NORM ? 1 : 0; }  // of queries, and as many of keys
};

// Where each parameter is, in the order of the network's named_parameters; of one replica's gradient too.
struct Parameters {
    std::vector<int64_t> offset;
    int64_t total = 0;
    int embed, blocks, per_block, last;

    explicit Parameters(const Shape& s) {
        const auto add = [&](int64_t size) {
            offset.push_back(total);
            total += size;
        };
        const int64_t w = s.width, f = s.hidden;
        add(s.positions * w);
        embed = (int)offset.size();
        add(w * (s.vocabulary ? s.vocabulary : s.token));
        if (!s.vocabulary) add(w);
        blocks = (int)offset.size();
        per_block = 16 + 2 * s.norm_tensors();
        for (int l = 0; l < s.depth; l++) {
            for (int i = 0; i < 4; i++) add(w);  // two norms
            for (int i = 0; i < 4; i++) add(w * w), add(w);  // q, k, v, out
            for (int i = 0; i < 2 * s.norm_tensors(); i++) add(s.dim());
            add(f * w), add(f), add(w * f), add(w);  // up, down
        }
        last = (int)offset.size();
        add(w), add(w), add(s.outputs * w), add(s.outputs);  // norm, head
    }

    int of_block(int l) const { return blocks + l * per_block; }
};
enum { ATTENTION_NORM = 0, FEED_FORWARD_NORM = 2, QKV = 4, OUT = 10, QK = 12 };  // of a block; up and down are its last four

// A block's weights and what its backward pass needs of the forward pass.
struct Block {
    int first;  // position whose output is needed
    Linear qkv, out, up, down;
    Buffer before, heads, mixed, between, hidden, slope, qk_normal;  // normalised; q, k, v; attention's output; normalised; GELU; its slope
    Floats before_factor, between_factor, qk_factor, qk_sum, weights;

    Block(const Shape& s, int first_, int groups)
        : first(first_), qkv(s.width, 3 * s.width, false), out(s.width, s.width, true), up(s.width, s.hidden, false), down(s.hidden, s.width, true) {
        const int columns = groups * s.positions, queries = groups * (s.positions - first);
        before = Buffer(s.width, columns), heads = Buffer(3 * s.width, columns), mixed = Buffer(s.width, queries);
        between = Buffer(s.width, queries), hidden = Buffer(s.hidden, queries), slope = Buffer(s.hidden, queries);
        before_factor.resize(columns * LANES), between_factor.resize(queries * LANES);
        weights.resize((int64_t)queries * s.heads * s.positions * LANES);
        if (s.qk_norm) {
            qk_normal = Buffer(2 * s.width, columns);
            qk_factor.resize((int64_t)columns * 2 * s.heads * LANES), qk_sum.resize(4 * s.dim() * LANES);
        }
    }
};
