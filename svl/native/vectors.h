// Vectors of floats, as wide as the processor's registers. GNU vector extensions, which GCC and Clang both know: a vector that is
// wider than a register would be kept in memory and shuffled number by number.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

// Where 8 numbers are all that there is to put side by side, half of a wider vector would be idle.
#if !defined(LANES_AT_MOST)
#define LANES_AT_MOST 16
#endif
#if defined(__AVX512F__) && LANES_AT_MOST >= 16
#define HAS_16_LANES
#endif

#if defined(HAS_16_LANES)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;  // SSE2, NEON
#endif
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int REGISTERS = 32;
#else
constexpr int REGISTERS = 16;
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef std::make_integer_sequence<int, LANES> Lanes;

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

// Nothing from the end on.
static inline void store(float* p, vec v, const float* end) {
    if (p + LANES <= end) store(p, v);
    else memcpy(p, &v, (end - p) * sizeof(float));
}

static inline void add_to(float* p, vec v) { store(p, load(p) + v); }

static inline vec splat(float x) { return x - vec{}; }  // not x + vec{}: -0 + 0 is 0

// Lanes I of two vectors, those of the second from LANES on.
template <int... I>
static inline vec lanes_of(vec a, vec b) {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, I...);
#else
    return __builtin_shuffle(a, b, ivec{I...});
#endif
}

// The sums of all even lanes and of all odd ones: each lane plus the one SIDE away, then the one SIDE / 2 away, and so on.
template <int SIDE = LANES / 2, int... I>
static inline vec folded(vec v, std::integer_sequence<int, I...> lanes) {
    if constexpr (SIDE > 1) return folded<SIDE / 2>(v + lanes_of<(I ^ SIDE)...>(v, v), lanes);
    return v;
}

// Sum of the lanes, pairwise: few dependent additions.
static inline float total(vec v) {
    v = folded(v, Lanes{});
    return v[0] + v[1];
}

// Each of LANES vectors' sum of lanes, in the lane of the vector's number.
template <int SIDE = LANES / 2, int... I>
static inline vec totals(vec* v, std::integer_sequence<int, I...> lanes) {
    for (int i = 0; i < SIDE; i++)
        v[i] = lanes_of<(I & SIDE ? LANES + I - SIDE : I)...>(v[i], v[i + SIDE]) + lanes_of<(I & SIDE ? LANES + I : I + SIDE)...>(v[i], v[i + SIDE]);
    if constexpr (SIDE > 1) return totals<SIDE / 2>(v, lanes);
    return v[0];
}

// What no operator says to all compilers: the larger of v and 0, where NaN stays NaN; a bit for each lane of a mask; square roots.
static inline vec positive(vec v) {
#if defined(HAS_16_LANES)
    return (vec)_mm512_max_ps((__m512)(vec{}), (__m512)v);
#elif defined(__AVX__)
    return (vec)_mm256_max_ps((__m256)(vec{}), (__m256)v);
#elif defined(__SSE2__)
    return (vec)_mm_max_ps((__m128)(vec{}), (__m128)v);
#else
    return v < vec{} ? vec{} : v;
#endif
}

static inline uint32_t bits_of(ivec mask) {
#if defined(HAS_16_LANES)
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask);
#elif defined(__AVX__)
    return _mm256_movemask_ps((__m256)mask);
#elif defined(__SSE2__)
    return _mm_movemask_ps((__m128)mask);
#else
    uint32_t bits = 0;
    for (int i = 0; i < LANES; i++) bits |= (uint32_t)(mask[i] & 1) << i;
    return bits;
#endif
}

static inline vec root(vec v) {
#if defined(HAS_16_LANES)
    return (vec)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX__)
    return (vec)_mm256_sqrt_ps((__m256)v);
#elif defined(__SSE2__)
    return (vec)_mm_sqrt_ps((__m128)v);
#elif defined(__aarch64__)
    return (vec)vsqrtq_f32((float32x4_t)v);
#else
    for (int i = 0; i < LANES; i++) v[i] = __builtin_sqrtf(v[i]);
    return v;
#endif
}

// Row i of a square matrix in v[i], transposed: blocks of SIDE x SIDE change places, then those of half the side within them, and so
// on.
template <int SIDE = LANES / 2, int... I>
static inline void exchange(vec* v, std::integer_sequence<int, I...> lanes) {
    for (int i = 0; i < LANES; i++) {
        if (i & SIDE) continue;
        const vec a = v[i], b = v[i + SIDE];
        v[i] = lanes_of<(I & SIDE ? LANES + I - SIDE : I)...>(a, b);
        v[i + SIDE] = lanes_of<(I & SIDE ? LANES + I : I + SIDE)...>(a, b);
    }
    if constexpr (SIDE > 1) exchange<SIDE / 2>(v, lanes);
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
            exchange(block, Lanes{});
            for (int k = 0; k < breadth; k++) {
                float* row = to + (int64_t)(c + k) * to_row + r;
                if (row + LANES <= to_end) store(row, block[k]);
                else memcpy(row, &block[k], height * sizeof(float));
            }
        }
}

// Vectors of units that are worked on side by side: those of a cache line or more, while their sums are in registers.
constexpr int SIDE_BY_SIDE = std::min(8, 64 / LANES);

// work(vectors, first unit) for units that have as many vectors of registers, a constant.
template <int VECTORS = SIDE_BY_SIDE, class Work>
static inline void side_by_side(int width, Work work, int j = 0) {
    for (; j + VECTORS * LANES <= width; j += VECTORS * LANES) work(std::integral_constant<int, VECTORS>{}, j);
    if constexpr (VECTORS > 1) side_by_side<VECTORS / 2>(width, work, j);
}
