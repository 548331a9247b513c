// Vectors of 16 floats and products of small matrices. Portable GNU vector extensions: the compiler maps the 16-lane vectors
// to AVX-512, AVX2 or NEON.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

typedef float vec __attribute__((vector_size(64)));
typedef int32_t ivec __attribute__((vector_size(64)));
constexpr int LANES = 16;

static int pad(int n) { return (n + LANES - 1) / LANES * LANES; }

// Buffers begin at a cache line's, as no vector then lies in two.
template <class T>
struct Aligned {
    using value_type = T;
    T* allocate(size_t n) { return (T*)::operator new(n * sizeof(T), std::align_val_t(sizeof(vec))); }
    void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t(sizeof(vec))); }
    bool operator==(const Aligned&) const { return true; }
    bool operator!=(const Aligned&) const { return false; }
};
typedef std::vector<float, Aligned<float>> Floats;

enum Activation { RELU = 0, SIGMOID = 1, QUADRATIC = 2 };

static inline vec load(const float* p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

// Zeros from the end on.
static inline vec load(const float* p, const float* end) {
    if (p + LANES <= end) return load(p);
    vec v = {};
    memcpy(&v, p, (end - p) * sizeof(float));
    return v;
}

static inline void store(float* p, vec v) { memcpy(p, &v, sizeof v); }

static inline void add_to(float* p, vec v) { store(p, load(p) + v); }

static inline vec splat(float x) { return vec{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }

// Sum of the lanes, pairwise: four dependent additions instead of fifteen.
static inline float total(vec v) {
    v += __builtin_shuffle(v, ivec{8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7});
    v += __builtin_shuffle(v, ivec{4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11});
    v += __builtin_shuffle(v, ivec{2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13});
    return v[0] + v[1];
}

// Cephes' expf: 2^n times a polynomial on [-log(2)/2, log(2)/2]; relative error below 2e-7. NaN stays NaN.
static inline vec exp_(vec x) {
    vec bounded = x > splat(88.0f) ? splat(88.0f) : x;
    bounded = bounded < splat(-87.0f) ? splat(-87.0f) : bounded;
    const vec magic = splat(12582912.0f);  // adding and subtracting 1.5 * 2^23 rounds to the nearest integer
    vec n = (bounded * 1.44269504f + magic) - magic;
    vec r = bounded - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    ivec exponent = (__builtin_convertvector(n, ivec) + 127) << 23;
    return x != x ? x : p * (vec)exponent;
}

static inline vec sigmoid(vec z) { return 1.0f / (1.0f + exp_(-z)); }

enum { NOTHING = -1 };  // no activation

template <int ACTIVATION>
static inline vec activated(vec v) {
    if (ACTIVATION == RELU) return v < vec{} ? vec{} : v;  // NaN stays NaN
    if (ACTIVATION == SIGMOID) return sigmoid(v);
    if (ACTIVATION == QUADRATIC) return 0.5f * v * v;
    return v;
}

// The derivative with respect to what the activation was applied to, from that with respect to its value; the rectifier's may be
// told its value for both.
template <int ACTIVATION>
static inline vec backward(vec derivative, vec before, vec after) {
    if (ACTIVATION == RELU) return before > vec{} ? derivative : vec{};
    if (ACTIVATION == SIGMOID) return derivative * after * (1.0f - after);
    return derivative * before;
}

// C[m, 0 : 16 COLS] = activation(start + sum_k A(m, k) B[k, :]), or ADDS that to C, where A(m, k) = a[m * am + k * ak].
template <int ROWS, int COLS, int ACTIVATION, bool ADDS>
static inline void tile(int depth, const float* a, int am, int ak, const float* b, int ldb, const float* start, float* c, int ldc, float* before) {
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
            if (ACTIVATION == QUADRATIC) store(before + at, acc[r][q]);
            const vec value = activated<ACTIVATION>(acc[r][q]);
            store(c + at, ADDS ? load(c + at) + value : value);
        }
}

template <int COLS, int ACTIVATION, bool ADDS>
static void columns(int m, int depth, const float* a, int am, int ak, const float* b, int ldb, const float* start, float* c, float* before) {
    int row = 0;
#define ROWS_OF(COUNT)                                                                                                                  \
    for (; row + COUNT <= m; row += COUNT)                                                                                              \
        tile<COUNT, COLS, ACTIVATION, ADDS>(depth, a + (int64_t)row * am, am, ak, b, ldb, start, c + (int64_t)row * ldb, ldb,                 \
                                      before ? before + (int64_t)row * ldb : nullptr);
    ROWS_OF(10) ROWS_OF(8) ROWS_OF(4) ROWS_OF(1)
#undef ROWS_OF
}

// C [m, n] = activation(start[n] + A [m, depth] B [depth, n]), or ADDS that to C; n is a multiple of 16, and start may be null for
// zeros.
template <int ACTIVATION, bool ADDS = false>
static void product(int m, int n, int depth, const float* a, int am, int ak, const float* b, const float* start, float* c,
                    float* before = nullptr) {
    int q = 0;
    for (; q + 2 * LANES <= n; q += 2 * LANES)
        columns<2, ACTIVATION, ADDS>(m, depth, a, am, ak, b + q, n, start ? start + q : nullptr, c + q, before ? before + q : nullptr);
    for (; q < n; q += LANES)
        columns<1, ACTIVATION, ADDS>(m, depth, a, am, ak, b + q, n, start ? start + q : nullptr, c + q, before ? before + q : nullptr);
}

// Row i of a 16 x 16 matrix in v[i], transposed: blocks of 8 x 8 change places, then those of 4 x 4 within them, and so on.
template <int SIDE>
static inline void exchange(vec* v) {
    ivec upper, lower;  // of two rows, lanes of the second from 16 on
    for (int i = 0; i < LANES; i++) {
        upper[i] = i & SIDE ? LANES + i - SIDE : i;
        lower[i] = i & SIDE ? LANES + i : i + SIDE;
    }
    for (int i = 0; i < LANES; i++) {
        if (i & SIDE) continue;
        const vec a = v[i], b = v[i + SIDE];
        v[i] = __builtin_shuffle(a, b, upper);
        v[i + SIDE] = __builtin_shuffle(a, b, lower);
    }
}

// to [cols, to_row] = from [rows, from_row] transposed; zeros may be written behind a row's end, but not behind the last one's.
static void transpose(const float* from, int rows, int cols, int from_row, float* to, int to_row) {
    const float *from_end = from + (int64_t)(rows - 1) * from_row + cols, *to_end = to + (int64_t)(cols - 1) * to_row + rows;
    // Backwards, as whole vectors are written: what runs over into the next row is written again.
    for (int r = (rows - 1) / LANES * LANES; r >= 0; r -= LANES)
        for (int c = 0; c < cols; c += LANES) {
            vec block[LANES] = {};
            const int height = std::min(LANES, rows - r), breadth = std::min(LANES, cols - c);
            for (int k = 0; k < height; k++) block[k] = load(from + (int64_t)(r + k) * from_row + c, from_end);
            exchange<8>(block), exchange<4>(block), exchange<2>(block), exchange<1>(block);
            for (int k = 0; k < breadth; k++) {
                float* row = to + (int64_t)(c + k) * to_row + r;
                if (row + LANES <= to_end) store(row, block[k]);
                else memcpy(row, &block[k], height * sizeof(float));
            }
        }
}
