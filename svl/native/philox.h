// Philox-4x32-10 (Salmon, Moraes, Dror and Shaw 2011) for many counters, as svl/random.py draws it.

#pragma once

#include "vectors.h"

constexpr uint32_t MULTIPLIERS[] = {0xD2511F53u, 0xCD9E8D57u}, WEYL[] = {0x9E3779B9u, 0xBB67AE85u};
constexpr int PHILOX_ROUNDS = 10;

// COUNT counters at once, which the compiler turns into vectors: words[w][i] is word w of counter i, and then of its block; the last two
// are those of its own key, which change.
template <int COUNT>
static inline void rounds(uint32_t (*words)[COUNT]) {
    uint32_t *c0 = words[0], *c1 = words[1], *c2 = words[2], *c3 = words[3], *k0 = words[4], *k1 = words[5];
    for (int round = 0; round < PHILOX_ROUNDS; round++)
        for (int i = 0; i < COUNT; i++) {
            const uint64_t first = (uint64_t)c0[i] * MULTIPLIERS[0], second = (uint64_t)c2[i] * MULTIPLIERS[1];
            const uint32_t one = c1[i], three = c3[i];
            c0[i] = (uint32_t)(second >> 32) ^ one ^ k0[i];
            c1[i] = (uint32_t)second;
            c2[i] = (uint32_t)(first >> 32) ^ three ^ k1[i];
            c3[i] = (uint32_t)first;
            k0[i] += WEYL[0];
            k1[i] += WEYL[1];
        }
}

// The same for vectors of counters, where a lane is a counter. While Philox runs, its words are the lower halves of numbers of 64 bits,
// whose upper halves may hold anything.
constexpr int HALF = LANES / 2;
typedef uint64_t wide __attribute__((vector_size(8 * HALF)));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));

// The product of the lower halves.
static inline wide multiplied(wide a, wide b) {
#if defined(HAS_16_LANES)
    return (wide)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (wide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__) && !defined(__AVX__)
    return (wide)_mm_mul_epu32((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    return (wide)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
    return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
#endif
}

static inline wide splat64(uint64_t x) { return x - wide{}; }

static inline wide load64(const int64_t* p) {
    wide v;
    memcpy(&v, p, sizeof v);
    return v;
}

// Which of LANES counters a lane is: the even lanes are the first half of them, the odd lanes the second.
constexpr int row_of(int lane) { return lane % 2 * HALF + lane / 2; }

// The lanes in the counters' order.
template <int... I>
static inline vec in_order(vec v, std::integer_sequence<int, I...>) { return lanes_of<(I < HALF ? 2 * I : 2 * (I - HALF) + 1)...>(v, v); }

// The keys of each round.
struct Keys {
    wide k0[PHILOX_ROUNDS][2], k1[PHILOX_ROUNDS][2];

    // Of LANES counters, each with its own key.
    Keys(const int64_t* first, const int64_t* second) {
        for (int half = 0; half < 2; half++) begin(half, load64(first + half * HALF), load64(second + half * HALF));
    }
    // Of one key.
    explicit Keys(const int64_t* key) {
        for (int half = 0; half < 2; half++) begin(half, splat64(key[0]), splat64(key[1]));
    }

  private:
    void begin(int half, wide first, wide second) {
        for (int round = 0; round < PHILOX_ROUNDS; round++) k0[round][half] = first + round * (uint64_t)WEYL[0], k1[round][half] = second + round * (uint64_t)WEYL[1];
    }
};

// LANES counters, of which the first `count` are given.
struct Counters {
    wide index[2];

    Counters(const int64_t* numbers, int count) {
        int64_t own[LANES] = {};
        if (count < LANES) numbers = (const int64_t*)memcpy(own, numbers, count * sizeof(int64_t));
        for (int half = 0; half < 2; half++) index[half] = load64(numbers + half * HALF);
    }

    // The four words of a block.
    void draw(const Keys& keys, uint32_t block, uint32_t stream, uvec* words) const {
        wide c[4][2];
        for (int half = 0; half < 2; half++) c[0][half] = index[half], c[1][half] = index[half] >> 32, c[2][half] = splat64(block), c[3][half] = splat64(stream);
        for (int round = 0; round < PHILOX_ROUNDS; round++)
            for (int half = 0; half < 2; half++) {
                const wide first = multiplied(c[0][half], splat64(MULTIPLIERS[0])), second = multiplied(c[2][half], splat64(MULTIPLIERS[1]));
                c[0][half] = (second >> 32) ^ (c[1][half] ^ keys.k0[round][half]);
                c[1][half] = second;
                c[2][half] = (first >> 32) ^ (c[3][half] ^ keys.k1[round][half]);
                c[3][half] = first;
            }
        for (int w = 0; w < 4; w++) words[w] = (uvec)((c[w][0] & 0xFFFFFFFFu) | c[w][1] << 32);
    }
};
