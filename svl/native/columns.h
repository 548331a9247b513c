// Matrices of columns, in which a vector holds one number of LANES sequences, and their products with weights. Nothing is padded to
// whole vectors, whatever the width of a network or of its heads.

#pragma once

#include "activations.h"

constexpr int ROWS = REGISTERS == 32 ? 8 : 4, COLS = 3;  // of a product's tile, whose sums are in registers
constexpr int WEIGHTS_AT_ONCE = 4096, DEPTH_AT_ONCE = 256, TOKENS_AT_ONCE = 160;  // what the first-level cache holds beside a tile

static int pad_rows(int n) { return (n + ROWS - 1) / ROWS * ROWS; }

// Columns [count][rows][LANES], which begin stride numbers apart.
struct Columns {
    float* data;
    int64_t stride;
    int count;

    float* operator[](int column) const { return data + column * stride; }
    Columns from(int row) const { return {data + (int64_t)row * LANES, stride, count}; }
    // Every step-th column from the first one on.
    Columns every(int step, int first) const { return {data + first * stride, step * stride, count / step}; }
};

// The memory of columns. Behind their rows it has place for what tiles write there.
struct Buffer {
    int rows = 0;
    int64_t stride = 0;
    Floats numbers;

    Buffer() = default;
    Buffer(int rows_, int columns) : rows(rows_), stride((int64_t)pad_rows(rows) * LANES) {
        // Columns at a distance of 512 bytes would share a few sets of the cache.
        if (stride % 128 == 0) stride += 16;
        numbers.resize(stride * columns);
    }

    Columns of(int count) { return {numbers.data(), stride, count}; }
};

// work(number, first) for parts of a range, of at most COLS each: a constant number from the first one on.
template <class Work>
static inline void in_parts(int count, Work work) {
    int first = 0;
    for (; count - first > 4 || count - first == 3; first += 3) work(std::integral_constant<int, 3>{}, first);
    for (; count - first >= 2; first += 2) work(std::integral_constant<int, 2>{}, first);
    if (count > first) work(std::integral_constant<int, 1>{}, first);
}

// work(0), ..., work(N - 1), each with a constant: unlike those of a loop, entries of an array are registers from the start.
template <class Work, int... I>
static inline void unrolled(Work work, std::integer_sequence<int, I...>) {
    (work(std::integral_constant<int, I>{}), ...);
}

template <int N, class Work>
static inline void unrolled(Work work) {
    unrolled(work, std::make_integer_sequence<int, N>{});
}

// Tiles are functions of their own: what is around them would take their sums' registers.
#define TILE __attribute__((noinline)) static void

// Weights in the order in which a product reads them, [tile of ROWS rows][depth][ROWS], with zeros behind the last row.
struct Packed {
    int rows = 0, depth = 0;
    Floats numbers;

    Packed() = default;
    Packed(int rows_, int depth_) : rows(rows_), depth(depth_), numbers((int64_t)pad_rows(rows) * depth) {}

    float* at(int row, int k) { return &numbers[(int64_t)(row - row % ROWS) * depth + (int64_t)k * ROWS + row % ROWS]; }

    // Rows from `first` on: those of w [count, depth], whose columns are multiplied by scale (or null).
    void put_rows(int first, int count, const float* w, const float* scale) {
        for (int r = 0; r < count; r++, w += depth) {
            float* to = at(first + r, 0);
            for (int k = 0; k < depth; k++) to[(int64_t)k * ROWS] = scale ? w[k] * scale[k] : w[k];
        }
    }

    // The transpose: columns from `first` on are the rows of w [count, rows].
    void put_columns(int first, int count, const float* w, const float* scale) {
        for (int tile = 0; tile < rows; tile += ROWS) {
            const int height = std::min(ROWS, rows - tile);
            float* to = at(tile, first);
            for (int k = 0; k < count; k++, to += ROWS)
                for (int r = 0; r < height; r++) to[r] = w[(int64_t)k * rows + tile + r] * (scale ? scale[tile + r] : 1.0f);
        }
    }
};

// What becomes of a product's sums.
enum End { STORES, ADDS, SCALES, ACTIVATES };

// ROWS rows of N columns: c = start + a b, or that added to c, or c times that; or GELU of it, and its slope into `slope`.
template <int N, int END>
TILE tile(int depth, const float* a, const float* b, int64_t b_stride, const float* start, float* c, int64_t c_stride, float* slope) {
    vec sum[ROWS][N];
    unrolled<ROWS>([&](auto r) { unrolled<N>([&](auto q) { sum[r][q] = start ? splat(start[r]) : vec{}; }); });
    for (int k = 0; k < depth; k++, a += ROWS, b += LANES) {
        vec column[N];
        unrolled<N>([&](auto q) { column[q] = load(b + q * b_stride); });
        unrolled<ROWS>([&](auto r) {
            const vec weight = splat(a[r]);
            unrolled<N>([&](auto q) { sum[r][q] += weight * column[q]; });
        });
    }
    unrolled<N>([&](auto q) {
        unrolled<ROWS>([&](auto r) {
            float* to = c + q * c_stride + r * LANES;
            store(to, END == ADDS ? load(to) + sum[r][q] : END == SCALES ? load(to) * sum[r][q] : sum[r][q]);
        });
    });
    // From memory: what the activation needs would take the sums' registers.
    for (int q = 0; END == ACTIVATES && q < N; q++)
        for (int64_t at = q * c_stride; at < q * c_stride + ROWS * LANES; at += LANES) activate<GELU>(load(c + at), c + at, slope + at);
}

// c [rows] = start + w b for all columns; what END does else. slope has the strides of c.
template <int END>
static void product(const Packed& w, const float* start, Columns b, Columns c, float* slope = nullptr) {
    constexpr bool IS_SUM = END == STORES || END == ADDS;
    for (int from = 0, depth; from < w.depth; from += depth) {
        depth = IS_SUM ? std::min(DEPTH_AT_ONCE, w.depth - from) : w.depth;
        const int rows_at_once = std::max(1, WEIGHTS_AT_ONCE / (ROWS * depth)) * ROWS;
        for (int first = 0; first < w.rows; first += rows_at_once)
            in_parts(c.count, [&](auto n, int column) {
                const float* at = b[column] + (int64_t)from * LANES;
                for (int r = first; r < std::min(w.rows, first + rows_at_once); r += ROWS) {
                    const float* a = &w.numbers[(int64_t)r * w.depth + (int64_t)from * ROWS];
                    float* to = c[column] + (int64_t)r * LANES;
                    const int64_t shift = slope ? to - c.data : 0;
                    if (from) tile<n, IS_SUM ? ADDS : END>(depth, a, at, b.stride, nullptr, to, c.stride, nullptr);
                    else tile<n, END>(depth, a, at, b.stride, start ? start + r : nullptr, to, c.stride, slope + shift);
                }
            });
    }
}

// The transpose of columns, for sums over tokens: [part of the rows][column, lane][its vectors of rows].
struct Tokens {
    int vectors = 0, columns = 0;  // of rows, in whole vectors with zeros behind the last row
    Floats numbers;

    Tokens() = default;
    Tokens(int rows, int most_columns) : numbers((int64_t)pad(rows) * most_columns * LANES) {}

    void put(int rows, Columns from) {
        vectors = pad(rows) / LANES, columns = from.count;
        in_parts(vectors, [&](auto n, int first) {
            float* to = part(first);
            for (int c = 0; c < columns; c++, to += LANES * LANES * n)
                for (int q = 0; q < n; q++) {
                    vec block[LANES];
                    const int row = (first + q) * LANES;
                    for (int i = 0; i < LANES; i++) block[i] = row + i < rows ? load(from[c] + (int64_t)(row + i) * LANES) : vec{};
                    exchange(block, Lanes{});
                    for (int i = 0; i < LANES; i++) store(to + (i * n + q) * LANES, block[i]);
                }
        });
    }

    float* part(int first) { return &numbers[(int64_t)first * LANES * LANES * columns]; }
};

// c [row][vectors of N] += the sums over columns and lanes of a(row) b(row of N vectors).
template <int N>
TILE outer_tile(int columns, const float* a, int64_t a_stride, const float* b, float* c, int64_t c_stride) {
    vec sum[ROWS][N];
    unrolled<ROWS>([&](auto r) { unrolled<N>([&](auto q) { sum[r][q] = vec{}; }); });
    for (int column = 0; column < columns; column++, a += a_stride)
        for (int lane = 0; lane < LANES; lane++, b += N * LANES) {
            vec row[N];
            unrolled<N>([&](auto q) { row[q] = load(b + q * LANES); });
            unrolled<ROWS>([&](auto r) {
                const vec number = splat(a[r * LANES + lane]);
                unrolled<N>([&](auto q) { sum[r][q] += number * row[q]; });
            });
        }
    unrolled<ROWS>([&](auto r) { unrolled<N>([&](auto q) { add_to(c + r * c_stride + q * LANES, sum[r][q]); }); });
}

// c [pad_rows(rows), vectors of b] += a b^T, summed over all columns and lanes.
static void outer(int rows, Columns a, Tokens& b, float* c) {
    const int at_once = std::max(1, TOKENS_AT_ONCE / LANES);
    in_parts(b.vectors, [&](auto n, int first) {
        for (int column = 0; column < a.count; column += at_once)
            for (int r = 0; r < rows; r += ROWS)
                outer_tile<n>(std::min(at_once, a.count - column), a[column] + (int64_t)r * LANES, a.stride, b.part(first) + (int64_t)column * LANES * LANES * n,
                              c + ((int64_t)r * b.vectors + first) * LANES, (int64_t)b.vectors * LANES);
    });
}

// sums [rows][LANES] += all columns.
static void add_columns(int rows, Columns from, float* sums) {
    side_by_side<4>(rows * LANES, [&](auto n, int first) {
        vec sum[n] = {};
        for (int c = 0; c < from.count; c++)
            for (int q = 0; q < n; q++) sum[q] += load(from[c] + first + q * LANES);
        for (int q = 0; q < n; q++) add_to(sums + first + q * LANES, sum[q]);
    });
}

constexpr float LAYER_EPS = 1e-5f, RMS_EPS = 1.1920929e-7f;  // those of torch.nn.LayerNorm and torch.nn.RMSNorm

// normal = (x - mean) / sqrt(variance + eps) over rows, and the factor; without CENTRES the mean counts as 0.
template <bool CENTRES>
static inline void normalise(int rows, float eps, const float* x, float* normal, float* factor) {
    vec sum[4] = {}, square[4] = {};
    for (int r = 0; CENTRES && r < rows; r++) sum[r % 4] += load(x + r * LANES);
    const vec mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / (float)rows;
    for (int r = 0; r < rows; r++) {
        const vec v = load(x + r * LANES) - mean;
        square[r % 4] += v * v;
    }
    const vec scale = 1.0f / root(((square[0] + square[1]) + (square[2] + square[3])) / (float)rows + eps);
    for (int r = 0; r < rows; r++) store(normal + r * LANES, (load(x + r * LANES) - mean) * scale);
    store(factor, scale);
}

// The derivative with respect to x from that with respect to normal, share times d; added to `to`, or stored there.
template <bool CENTRES, bool ADDS>
static inline void before_norm(int rows, const float* normal, const float* factor, const float* d, float* to, float share = 1.0f) {
    vec sum[4] = {}, product[4] = {};
    for (int r = 0; r < rows; r++) {
        const vec v = load(d + r * LANES);
        if (CENTRES) sum[r % 4] += v;
        product[r % 4] += v * load(normal + r * LANES);
    }
    const vec mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / (float)rows, along = ((product[0] + product[1]) + (product[2] + product[3])) / (float)rows;
    const vec scale = load(factor) * share;
    for (int r = 0; r < rows; r++) {
        const vec v = (load(d + r * LANES) - mean - load(normal + r * LANES) * along) * scale;
        if (ADDS) add_to(to + r * LANES, v);
        else store(to + r * LANES, v);
    }
}
