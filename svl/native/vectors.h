// Vectors of 16 floats. Portable GNU vector extensions: the compiler maps the 16-lane vectors to AVX-512, AVX2 or NEON.

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
