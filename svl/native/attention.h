// Softmax attention of one head on LANES sequences at once, one in each lane of the vectors.

#pragma once

#include <cmath>

#include "columns.h"

// Entries (i, j) of a matrix of vectors, at + i * row + j * column.
struct Grid {
    float* at;
    int64_t row, column;

    Grid from(int i, int j) const { return {at + i * row + j * column, row, column}; }
    Grid flipped() const { return {at, column, row}; }
};

template <int M, int N>
TILE grid_tile(int depth, Grid a, Grid b, Grid c) {
    vec sum[M][N];
    unrolled<M>([&](auto i) { unrolled<N>([&](auto j) { sum[i][j] = vec{}; }); });
    for (int k = 0; k < depth; k++, a.at += a.column, b.at += b.row) {
        vec column[N];
        unrolled<N>([&](auto j) { column[j] = load(b.at + j * b.column); });
        unrolled<M>([&](auto i) {
            const vec entry = load(a.at + i * a.row);
            unrolled<N>([&](auto j) { sum[i][j] += entry * column[j]; });
        });
    }
    unrolled<M>([&](auto i) { unrolled<N>([&](auto j) { store(c.at + i * c.row + j * c.column, sum[i][j]); }); });
}

// c [m, n] = a [m, depth] b [depth, n], lane by lane.
static void multiply(int m, int n, int depth, Grid a, Grid b, Grid c) {
    const auto rows = [&](auto height, int i) {
        in_parts(n, [&](auto breadth, int j) {
            grid_tile<height, breadth>(depth, a.from(i, 0), b.from(0, j), c.from(i, j));
        });
    };
    int i = 0;
    for (; i + 4 <= m; i += 4) rows(std::integral_constant<int, 4>{}, i);
    for (; i + 2 <= m; i += 2) rows(std::integral_constant<int, 2>{}, i);
    if (i < m) rows(std::integral_constant<int, 1>{}, i);
}

// Queries from position `first` on attend to all positions; where it is causal, to their own and those before.
struct Head {
    int positions, first, dim;  // of a query
    bool is_causal;
    Grid q, k, v, o;  // [position, dim], of queries without those before the first
    float* weights;   // [query, position][LANES]

    int queries() const { return positions - first; }
    Grid grid(float* at) const { return {at, (int64_t)positions * LANES, LANES}; }

    // The attention's weights and outputs.
    void forward() const {
        multiply(queries(), positions, dim, q, k.flipped(), grid(weights));
        const float scale = 1.0f / std::sqrt((float)dim);
        for (int i = 0; i < queries(); i++) {
            float* row = weights + (int64_t)i * positions * LANES;
            const int seen = is_causal ? first + i + 1 : positions;
            vec largest = load(row), sum = {};
            for (int j = 1; j < seen; j++) {
                const vec v = load(row + j * LANES);
                largest = v > largest ? v : largest;
            }
            for (int j = 0; j < seen; j++) {
                const vec e = exp_((load(row + j * LANES) - largest) * scale);
                sum += e;
                store(row + j * LANES, e);
            }
            const vec inverse = 1.0f / sum;
            for (int j = 0; j < seen; j++) store(row + j * LANES, load(row + j * LANES) * inverse);
            for (int j = seen; j < positions; j++) store(row + j * LANES, vec{});
        }
        multiply(queries(), dim, positions, grid(weights), v, o);
    }

    // From the outputs' derivatives d_o to those of queries, keys and values; `scratch` has the size of the weights.
    void backward(Grid d_o, Grid d_q, Grid d_k, Grid d_v, float* scratch) const {
        multiply(positions, dim, queries(), grid(weights).flipped(), d_o, d_v);
        multiply(queries(), positions, dim, d_o, v.flipped(), grid(scratch));
        const float scale = 1.0f / std::sqrt((float)dim);
        for (int i = 0; i < queries(); i++) {
            const float* p = weights + (int64_t)i * positions * LANES;
            float* d = scratch + (int64_t)i * positions * LANES;
            vec sum[4] = {};
            for (int j = 0; j < positions; j++) sum[j % 4] += load(p + j * LANES) * load(d + j * LANES);
            const vec mean = (sum[0] + sum[1]) + (sum[2] + sum[3]);
            for (int j = 0; j < positions; j++) store(d + j * LANES, load(p + j * LANES) * (load(d + j * LANES) - mean) * scale);
        }
        multiply(queries(), dim, positions, grid(scratch), k, d_q);
        multiply(positions, dim, queries(), grid(scratch).flipped(), q, d_k);
    }
};
