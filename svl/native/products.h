// Products of small matrices, and an activation of them.

#pragma once

#include "activations.h"

// C[m, 0 : LANES COLS] = activation(start + sum_k A(m, k) B[k, :]), or ADDS that to C, where A(m, k) = a[m * am + k * ak].
template <int ROWS, int COLS, int ACTIVATION, bool ADDS>
static inline void tile(int depth, const float* a, int am, int ak, const float* b, int ldb, const float* start, float* c, int ldc, float* slope) {
    vec acc[ROWS][COLS];
    for (int r = 0; r < ROWS; r++)
        for (int q = 0; q < COLS; q++) acc[r][q] = start ? load(start + q * LANES) : vec{};
    for (int k = 0; k < depth; k++) {
        vec row[COLS];
        for (int q = 0; q < COLS; q++) row[q] = load(b + (int64_t)k * ldb + q * LANES);
        for (int r = 0; r < ROWS; r++) {
            vec scalar = splat(a[(int64_t)r * am + (int64_t)k * ak]);
            for (int q = 0; q < COLS; q++) acc[r][q] += scalar * row[q];
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int q = 0; q < COLS; q++) {
            const int64_t at = (int64_t)r * ldc + q * LANES;
            if (ADDS) add_to(c + at, acc[r][q]);
            else activate<ACTIVATION>(acc[r][q], c + at, slope + at);
        }
}

template <int COLS, int ACTIVATION, bool ADDS>
static void columns(int m, int depth, const float* a, int am, int ak, const float* b, int ldb, const float* start, float* c, float* slope) {
    int row = 0;
#define ROWS_OF(COUNT)                                                                                                                  \
    for (; row + COUNT <= m; row += COUNT)                                                                                              \
        tile<COUNT, COLS, ACTIVATION, ADDS>(depth, a + (int64_t)row * am, am, ak, b, ldb, start, c + (int64_t)row * ldb, ldb,                 \
                                      slope + (int64_t)row * ldb);
    // As many rows as have their sums, a row of B and a number of A in registers.
    if constexpr (REGISTERS == 32) { ROWS_OF(10) ROWS_OF(8) ROWS_OF(4) }
    else { ROWS_OF(6) ROWS_OF(4) ROWS_OF(2) }
    ROWS_OF(1)
#undef ROWS_OF
}

// C [m, n] = activation(start[n] + A [m, depth] B [depth, n]), or ADDS that to C; n is a multiple of LANES, and start may be null
// for zeros.
template <int ACTIVATION, bool ADDS = false>
static void product(int m, int n, int depth, const float* a, int am, int ak, const float* b, const float* start, float* c,
                    float* slope = nullptr) {
    int q = 0;
    if (!slope) slope = c;  // nothing is written to it
    for (; q + 2 * LANES <= n; q += 2 * LANES)
        columns<2, ACTIVATION, ADDS>(m, depth, a, am, ak, b + q, n, start ? start + q : nullptr, c + q, slope + q);
    for (; q < n; q += LANES)
        columns<1, ACTIVATION, ADDS>(m, depth, a, am, ak, b + q, n, start ? start + q : nullptr, c + q, slope + q);
}
