// Outputs and gradients of one pre-norm Transformer (svl/models/transformer.py), some sequences at a time: LANES of them lie in the lanes
// of vectors, so that norms and attention are sums of vectors, and products of weights with the columns of all positions.

#pragma once

#include <optional>

#include "sign_tokens.h"
#include "transformer_block.h"

// The buffers of one thread. A gradient is begin(), strips of forward() and backward(), end().
struct Transformer {
    const Shape s;
    const Parameters at;
    const int groups;  // of LANES sequences, in a strip at most
    const float* const* p = nullptr;
    std::vector<Block> blocks;
    Linear embed, head;
    Buffer input, x, tail, last, pooled, f, d_f, d_x, d_tail, d_wide, d_narrow, d_last;
    Floats last_factor, position_sum, table_sum, scratch;
    Tokens tokens;
    std::optional<SignTokens> signs;  // where every input is one

    Transformer(const Shape& shape, int groups_)
        : s(shape), at(shape), groups(groups_), embed(s.vocabulary ? 0 : s.token, s.vocabulary ? 0 : s.width, true), head(s.width, s.outputs, false) {
        const int columns = groups * s.positions, ends = s.readout == LAST ? groups : columns;
        for (int l = 0; l < s.depth; l++) blocks.emplace_back(s, s.readout == LAST && l == s.depth - 1 ? s.positions - 1 : 0, groups);
        input = Buffer(s.token, columns), x = d_x = d_narrow = Buffer(s.width, columns), d_wide = Buffer(3 * s.width, columns);
        tail = last = d_tail = d_last = Buffer(s.width, ends), pooled = Buffer(s.width, groups);
        f = d_f = Buffer(s.outputs, groups * s.read_positions());
        last_factor.resize(ends * LANES), position_sum.resize((int64_t)s.positions * s.width * LANES);
        table_sum.resize((int64_t)s.vocabulary * s.width), scratch.resize((int64_t)s.positions * s.positions * LANES);
        tokens = Tokens(s.width, columns);
        if (s.has_signs) signs.emplace(s.positions, s.width);
    }

    void begin(const float* const* params) {
        p = params;
        if (!s.vocabulary) embed.put(0, s.width, p[at.embed], p[at.embed + 1]);
        for (int l = 0; l < s.depth; l++) {
            const float* const* own = p + at.of_block(l);
            Block& b = blocks[l];
            for (int i = 0; i < 3; i++) b.qkv.put(i * s.width, s.width, own[QKV + 2 * i], own[QKV + 2 * i + 1], own[ATTENTION_NORM], own[ATTENTION_NORM + 1]);
            b.out.put(0, s.width, own[OUT], own[OUT + 1]);
            own += at.per_block - 4;
            b.up.put(0, s.hidden, own[0], own[1], p[at.of_block(l) + FEED_FORWARD_NORM], p[at.of_block(l) + FEED_FORWARD_NORM + 1]);
            b.down.put(0, s.width, own[2], own[3]);
        }
        head.put(0, s.outputs, p[at.last + 2], p[at.last + 3], p[at.last], p[at.last + 1]);
        if (signs) signs->begin(p[at.embed], p[at.embed + 1], p[0], blocks[0].qkv);
    }

    void clear() {
        embed.clear(), head.clear();
        if (signs) signs->clear();
        for (Block& b : blocks) b.qkv.clear(), b.out.clear(), b.up.clear(), b.down.clear(), std::fill(b.qk_sum.begin(), b.qk_sum.end(), 0.0f);
        for (Floats* sum : {&position_sum, &table_sum}) std::fill(sum->begin(), sum->end(), 0.0f);
    }

    // The gradient of all parameters, from the sums since clear(); stored to g or added.
    void end(float* g, bool adds) {
        if (signs) signs->end(blocks[0].qkv, tokens, embed, position_sum.data());
        const auto of = [&](int parameter) { return g + at.offset[parameter]; };
        const auto put = [&](int parameter, int64_t i, float value) { of(parameter)[i] = value + (adds ? of(parameter)[i] : 0.0f); };
        for (int64_t i = 0; i < (int64_t)s.positions * s.width; i++) put(0, i, total(load(&position_sum[i * LANES])));
        if (s.vocabulary)
            for (int64_t i = 0; i < (int64_t)s.vocabulary * s.width; i++) put(at.embed, i, table_sum[i]);
        else embed.gradients(0, s.width, of(at.embed), of(at.embed + 1), adds);
        for (int l = 0; l < s.depth; l++) {
            Block& b = blocks[l];
            const int own = at.of_block(l), up = own + at.per_block - 4;
            for (int i = 0; i < 3; i++) {
                const int part = own + QKV + 2 * i;
                b.qkv.gradients(i * s.width, s.width, of(part), of(part + 1), adds, p + own + ATTENTION_NORM, p[part]);
            }
            b.qkv.of_norm(of(own + ATTENTION_NORM), of(own + ATTENTION_NORM + 1), adds);
            b.out.gradients(0, s.width, of(own + OUT), of(own + OUT + 1), adds);
            for (int i = 0; i < 2 * s.norm_tensors() * s.dim(); i++) put(own + QK, i, total(load(&b.qk_sum[(int64_t)i * LANES])));
            b.up.gradients(0, s.hidden, of(up), of(up + 1), adds, p + own + FEED_FORWARD_NORM, p[up]);
            b.up.of_norm(of(own + FEED_FORWARD_NORM), of(own + FEED_FORWARD_NORM + 1), adds);
            b.down.gradients(0, s.width, of(up + 2), of(up + 3), adds);
        }
        head.gradients(0, s.outputs, of(at.last + 2), of(at.last + 3), adds, p + at.last, p[at.last + 2]);
        head.of_norm(of(at.last), of(at.last + 1), adds);
    }

    // Outputs of sequences to f. Lanes without one have the last one's input.
    template <class Input>
    void forward(int sequences, const Input* in) {
        const int used = (sequences + LANES - 1) / LANES, columns = used * s.positions;
        const Columns all = x.of(columns);
        embed_tokens(sequences, in, all);
        for (Block& b : blocks) {
            const Columns queries = attention(b, used, all);
            each(queries, [&](int c) { normalise<true>(s.width, LAYER_EPS, queries[c], b.between.of(columns)[c], &b.between_factor[c * LANES]); });
            const Columns between = b.between.of(queries.count);
            product<ACTIVATES>(b.up.forward, b.up.start.data(), between, b.hidden.of(queries.count), b.slope.numbers.data());
            product<ADDS>(b.down.forward, b.down.start.data(), b.hidden.of(queries.count), queries);
        }
        const Columns ends = s.readout == LAST ? tail.of(used) : all, normal = last.of(ends.count);
        each(ends, [&](int c) { normalise<true>(s.width, LAYER_EPS, ends[c], normal[c], &last_factor[c * LANES]); });
        product<STORES>(head.forward, head.start.data(), s.readout == MEAN ? mean_of(normal) : normal, f.of(used * s.read_positions()));
    }

    // From the derivatives d_f of the outputs of what went forward; adds to all sums.
    template <class Input>
    void backward(int sequences, const Input* in) {
        const int used = (sequences + LANES - 1) / LANES, columns = used * s.positions;
        const Columns out = d_f.of(used * s.read_positions()), ends = (s.readout == LAST ? d_tail : d_x).of(s.readout == LAST ? used : columns);
        head.add(out, s.readout == MEAN ? pooled.of(used) : last.of(out.count), tokens);
        product<STORES>(head.backward, nullptr, out, d_last.of(out.count));
        each(ends, [&](int c) {
            const float* d = d_last.of(1)[s.readout == MEAN ? c / s.positions : c];
            before_norm<true, false>(s.width, last.of(1)[c], &last_factor[c * LANES], d, ends[c], s.readout == MEAN ? 1.0f / s.positions : 1.0f);
        });
        for (int l = s.depth - 1; l >= 0; l--) {
            Block& b = blocks[l];
            const Columns d = b.first ? d_tail.of(used) : d_x.of(columns), narrow = d_narrow.of(d.count), wide = b.slope.of(d.count);
            b.down.add(b.hidden.of(d.count), d, tokens);
            product<SCALES>(b.down.backward, nullptr, d, wide);
            b.up.add(wide, b.between.of(d.count), tokens);
            product<STORES>(b.up.backward, nullptr, wide, narrow);
            each(d, [&](int c) { before_norm<true, true>(s.width, b.between.of(1)[c], &b.between_factor[c * LANES], narrow[c], d[c]); });
            before_attention(b, used, d);
        }
        before_tokens(sequences, in, d_x.of(columns));
    }

private:
    template <class Work>
    static void each(const Columns& columns, Work work) {
        for (int c = 0; c < columns.count; c++) work(c);
    }

    int sequence(int column, int lane, int sequences) const { return std::min(column / s.positions * LANES + lane, sequences - 1); }

    void embed_tokens(int sequences, const float* in, Columns to) {
        const Columns inputs = input.of(to.count);
        each(to, [&](int c) {
            for (int lane = 0; lane < LANES; lane++)
                for (int k = 0; k < s.token; k++)
                    inputs[c][k * LANES + lane] = in[((int64_t)sequence(c, lane, sequences) * s.positions + c % s.positions) * s.token + k];
        });
        if (signs) {
            const Columns heads = blocks[0].heads.of(to.count);
            each(to, [&](int c) { signs->put(c % s.positions, load(inputs[c]), heads[c], to[c]); });
            return;
        }
        product<STORES>(embed.forward, embed.start.data(), inputs, to);
        each(to, [&](int c) {
            for (int r = 0; r < s.width; r++) add_to(to[c] + r * LANES, splat(p[0][c % s.positions * s.width + r]));
        });
    }

    // Discrete tokens; one that is not in the vocabulary makes the outputs NaN.
    void embed_tokens(int sequences, const int64_t* in, Columns to) {
        each(to, [&](int c) {
            const float* position = p[0] + c % s.positions * s.width;
            for (int lane = 0; lane < LANES; lane++) {
                const int64_t token = in[(int64_t)sequence(c, lane, sequences) * s.positions + c % s.positions];
                const bool exists = token >= 0 && token < s.vocabulary;
                const float* row = p[at.embed] + (exists ? token : 0) * s.width;
                for (int r = 0; r < s.width; r++) to[c][r * LANES + lane] = exists ? row[r] + position[r] : NAN;
            }
        });
    }

    void sum_positions(Columns d) {
        each(d, [&](int c) {
            float* sum = &position_sum[(int64_t)(c % s.positions) * s.width * LANES];
            for (int r = 0; r < s.width; r++) add_to(sum + r * LANES, load(d[c] + r * LANES));
        });
    }

    void before_tokens(int, const float*, Columns d) {
        if (signs) return;
        sum_positions(d);
        embed.add(input.of(d.count), d, tokens);
    }

    void before_tokens(int sequences, const int64_t* in, Columns d) {
        sum_positions(d);
        each(d, [&](int c) {
            for (int lane = 0; lane < LANES && c / s.positions * LANES + lane < sequences; lane++) {
                const int64_t token = in[(int64_t)sequence(c, lane, sequences) * s.positions + c % s.positions];
                if (token < 0 || token >= s.vocabulary) continue;
                float* row = &table_sum[token * s.width];
                for (int r = 0; r < s.width; r++) row[r] += d[c][r * LANES + lane];
            }
        });
    }

    Columns mean_of(Columns normal) {
        const Columns to = pooled.of(normal.count / s.positions);
        each(to, [&](int g) {
            for (int r = 0; r < s.width; r++) {
                vec sum = {};
                for (int i = 0; i < s.positions; i++) sum += load(normal[g * s.positions + i] + r * LANES);
                store(to[g] + r * LANES, sum / (float)s.positions);
            }
        });
        return to;
    }

    Head of_head(Block& b, int group, int head) {
        const int64_t stride = b.heads.stride, row = (int64_t)head * s.dim() * LANES, part = (int64_t)s.width * LANES;
        const int queries = s.positions - b.first;
        float* at = b.heads.of(1)[group * s.positions] + row;
        return {s.positions, b.first, s.dim(), (bool)s.is_causal, {at + b.first * stride, stride, LANES}, {at + part, stride, LANES},
                {at + 2 * part, stride, LANES}, {b.mixed.of(1)[group * queries] + row, b.mixed.stride, LANES},
                &b.weights[((int64_t)group * s.heads + head) * queries * s.positions * LANES]};
    }

    // x + attention(norm(x)), of the positions whose outputs are needed; of all of them in place.
    Columns attention(Block& b, int used, Columns from) {
        const Columns normal = b.before.of(from.count), heads = b.heads.of(from.count);
        if (!signs || &b != &blocks[0]) {
            each(from, [&](int c) { normalise<true>(s.width, LAYER_EPS, from[c], normal[c], &b.before_factor[c * LANES]); });
            product<STORES>(b.qkv.forward, b.qkv.start.data(), normal, heads);
        }
        if (s.qk_norm) each_head(b, from.count, [&](auto is_layer, float* at, float* normal, float* factor, int side) { norm_head(is_layer, b, at, normal, factor, side); });
        for (int g = 0; g < used; g++)
            for (int h = 0; h < s.heads; h++) of_head(b, g, h).forward();
        Columns to = from;
        if (b.first) {
            to = tail.of(used);
            each(to, [&](int g) { memcpy(to[g], from[g * s.positions + b.first], s.width * LANES * sizeof(float)); });
        }
        product<ADDS>(b.out.forward, b.out.start.data(), b.mixed.of(to.count), to);
        return to;
    }

    // Adds what comes through the attention to d, the derivative of its output, which is that of its input then; in d_x.
    void before_attention(Block& b, int used, Columns d) {
        const Columns all = d_x.of(used * s.positions), d_heads = d_wide.of(all.count), narrow = d_narrow.of(all.count);
        const int64_t part = (int64_t)s.width * LANES;
        const int queries = s.positions - b.first;
        b.out.add(b.mixed.of(d.count), d, tokens);
        product<STORES>(b.out.backward, nullptr, d, d_narrow.of(d.count));
        if (b.first) {
            std::fill(d_x.numbers.begin(), d_x.numbers.end(), 0.0f), std::fill(d_wide.numbers.begin(), d_wide.numbers.end(), 0.0f);
            each(d, [&](int g) { memcpy(all[g * s.positions + b.first], d[g], part * sizeof(float)); });
        }
        for (int g = 0; g < used; g++)
            for (int h = 0; h < s.heads; h++) {
                float* to = d_heads[g * s.positions] + h * s.dim() * LANES;
                const Grid d_o{d_narrow.of(1)[g * queries] + h * s.dim() * LANES, d_narrow.stride, LANES};
                of_head(b, g, h).backward(d_o, {to + b.first * d_heads.stride, d_heads.stride, LANES}, {to + part, d_heads.stride, LANES},
                                          {to + 2 * part, d_heads.stride, LANES}, scratch.data());
            }
        if (s.qk_norm)
            each_head(b, all.count, [&](auto is_layer, float* at, float* normal, float* factor, int side) {
                before_head(is_layer, b, d_wide.numbers.data() + (at - b.heads.numbers.data()), normal, factor, side);
            });
        if (signs && &b == &blocks[0]) {
            each(all, [&](int c) { signs->add(c % s.positions, load(input.of(1)[c]), d_heads[c], all[c]); });
            return;
        }
        b.qkv.add(d_heads, b.before.of(all.count), tokens);
        product<STORES>(b.qkv.backward, nullptr, d_heads, narrow);
        each(all, [&](int c) { before_norm<true, true>(s.width, b.before.of(1)[c], &b.before_factor[c * LANES], narrow[c], all[c]); });
    }

    // work(whether the norm is LayerNorm, head, its normalised numbers, their factor, 0 or 1) for all queries and keys.
    template <class Work>
    void each_head(Block& b, int columns, Work work) {
        for (int c = 0; c < columns; c++)
            for (int h = 0; h < 2 * s.heads; h++) {
                const int64_t row = (int64_t)h * s.dim() * LANES;
                float *at = b.heads.of(1)[c] + row, *normal = b.qk_normal.of(1)[c] + row, *factor = &b.qk_factor[((int64_t)c * 2 * s.heads + h) * LANES];
                if (s.qk_norm == LAYER_NORM) work(std::true_type{}, at, normal, factor, h / s.heads);
                else work(std::false_type{}, at, normal, factor, h / s.heads);
            }
    }

    // The norm's parameters of queries (side 0) or keys.
    const float* const* qk_parameters(const Block& b, int side) const { return p + at.of_block((int)(&b - blocks.data())) + QK + side * s.norm_tensors(); }

    template <class IsLayer>
    void norm_head(IsLayer is_layer, Block& b, float* x, float* normal, float* factor, int side) {
        normalise<is_layer>(s.dim(), is_layer ? LAYER_EPS : RMS_EPS, x, normal, factor);
        const float* const* own = qk_parameters(b, side);
        for (int i = 0; i < s.dim(); i++) store(x + i * LANES, load(normal + i * LANES) * own[0][i] + splat(is_layer ? own[is_layer][i] : 0.0f));
    }

    template <class IsLayer>
    void before_head(IsLayer is_layer, Block& b, float* d, const float* normal, const float* factor, int side) {
        const float* scale = qk_parameters(b, side)[0];
        float* sum = &b.qk_sum[(int64_t)side * s.norm_tensors() * s.dim() * LANES];
        for (int i = 0; i < s.dim(); i++) {
            const vec v = load(d + i * LANES);
            add_to(sum + i * LANES, v * load(normal + i * LANES));
            if (is_layer) add_to(sum + (s.dim() + i) * LANES, v);
            store(d + i * LANES, v * scale[i]);
        }
        before_norm<is_layer, false>(s.dim(), normal, factor, d, d);
    }
};
