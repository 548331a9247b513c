// Examples of parity by their counters, and the counters by the strategy's rule, as svl/data and svl/random.py have them.
// Compiled with DIM inputs and DRAW: 0 counters that are given, 1 fresh examples, in order, 2 a pool in epochs, each in a new
// order, 3 a pool with replacement, 4 fresh examples and those of a pool in one batch; and WARPS of a block.
#pragma once
#include "lanes.cuh"

DEV u32 mixed(u32 x) {
  x = (x ^ x >> 16) * 0x85EBCA6Bu;
  x = (x ^ x >> 13) * 0xC2B2AE35u;
  return x ^ x >> 16;
}
DEV u32 turned(u32 half, u32 source, u32 key, u32 side) {
  const u32 moved = half + mulhi(mixed(source ^ key), side);
  return moved >= side ? moved - side : moved;
}

// The round keys of an epoch's permutation, as svl.random.fold and svl.random.round_keys make them.
DEV void begin_epoch(u32 (&rounds)[8], u64 key, u64 epoch) {
  const Words own = philox((u32)epoch, (u32)(epoch >> 32), 0, 0xffffffffu, key);
#pragma unroll
  for (int block = 0; block < 2; block++) {
    const Words words = philox(0, 0, block, 0, (u64)own.c[1] << 32 | own.c[0]);
#pragma unroll
    for (int w = 0; w < 4; w++) rounds[4 * block + w] = words.c[w];
  }
}

// svl.random.permutation of [0, size) on a grid of a x b cells.
DEV u32 permuted(u32 place, const u32 (&rounds)[8], u32 size, u32 a, u32 b) {
  do {
    u32 left = place / b, right = place - left * b;
#pragma unroll
    for (int round = 0; round < 8; round += 2) {
      left = turned(left, right, rounds[round], a);
      right = turned(right, left, rounds[round + 1], b);
    }
    place = left * b + right;
  } while (place >= size);
  return place;
}

// svl.random.integers.
DEV u64 below(const Words& words, u64 n) {
  const u64 first = (u64)words.c[0] << 32 | words.c[1], second = (u64)words.c[2] << 32 | words.c[3];
  return first * n < (0 - n) % n ? mulhi(second, n) : mulhi(first, n);
}

// Where a replica's examples come from.
struct Source {
  const i64* index;  // [step, replica, batch] counters, where they are given
  const i64* pool;   // examples of the pool, 0 for fresh ones; sides of their grid, or how often in 2^32 one is taken; key
  u64 key;           // of the examples
  u32 digits;        // of an example that its label depends on
  u64 epoch;         // whose round keys the lane holds

  METHOD Source(const i64* index, const i64* seed, const u32* support, const i64* pools, int replica)
      : index(index), pool(pools + 4 * (i64)replica), key((u64)seed[replica]), digits(support[4 * replica]), epoch(~0ull) {}

  // The counter of an example, which is at `place` of the launch's and at `position` of all examples of the fit.
  METHOD u64 counter(i64 place, u64 position) {
#if DRAW == 0
    return (u64)index[place];
#elif DRAW == 1
    return position;
#else
    const u32 size = (u32)pool[0];
    if (!size) return position;
#if DRAW == 4
    const u64 key = (u64)pool[3];
    if (philox(position, key).c[0] >= (u64)pool[1]) return size + position;
    return below(philox((u32)position, (u32)(position >> 32), 1, 0, key), size);
#elif DRAW == 2
    SHARED u32 held[32 * WARPS][8];  // kept here, since the registers are full
    u32 (&rounds)[8] = held[32 * WARP + LANE];
    const u64 now = position >> 32 ? position / size : (u32)position / size;
    if (now != epoch) begin_epoch(rounds, (u64)pool[3], epoch = now);
    return permuted((u32)(position - now * size), rounds, size, (u32)pool[1], (u32)pool[2]);
#else
    return below(philox(position, (u64)pool[3]), size);
#endif
#endif
  }

  // An example as bits, of which the first DIM are its signs.
  METHOD u32 draw(i64 place, u64 position) { return philox(counter(place, position), key).c[0]; }
  METHOD float label(u32 word) const { return popc(word & digits) & 1 ? -1.f : 1.f; }
};

DEV u32 signs(u32 word) { return DIM < 32 ? word & ((1u << (DIM & 31)) - 1) : word; }
// The sign of input i of a word that was shifted by 7 - i % 8, as that of a float; i = 8k + 4half and up to 3 more.
DEV u32 sign_of(u32 shifted, int k, int half = 0) { return shifted << (24 - 8 * k - 4 * half) & SIGN; }
