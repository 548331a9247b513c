// A 3-layer ReLU network in the registers of a block of warps, of which each has 16 units of each hidden layer.
//
// The first layer is that of first_layer.cuh. Its activations h of a round of 32 examples are in shared memory, split in two
// tf32, because every warp needs all of them: for z2 = W2 h + b2, where W2 is split too and three products keep 22 digits, and
// for the gradient of W2, whose row j is a_j sum_b df_b [z2_jb > 0] h_b. What reaches unit k of the first layer is
// df_b sum_j a_j W2_jk [z2_jb > 0]: the warp of unit k needs columns of a_j W2_jk, which is in shared memory as well, and
// one bit of each unit and example. So no sums of several warps are added up but those of the outputs, of which each warp has
// the sum over its units.
//
// Compiled with WARPS = WIDTH / 16, rounded up.
#pragma once
#include "first_layer.cuh"

#define TEAM WARPS                   // warps of a replica
#define UNITS (16 * WARPS)
#define UT (2 * WARPS)               // tiles of 8 units
#define ROW ((UNITS + 23) / 32 * 32 + 8)  // of a_j W_jk, so that no two lanes want one bank
#define SECOND (WIDTH * (DIM + BIAS))
#define THIRD (SECOND + WIDTH * (WIDTH + BIAS))
#define COUNT (THIRD + WIDTH + BIAS)

// Where the activation of unit u and of an example of a round is. Lanes that read or write at once find theirs in different
// banks: those of four neighbouring units, and of the units 0, 4, 1 and 5 of a tile, are 8 words apart.
DEV int place_in_round(int u, int example) { return 32 * u + (example ^ 8 * ((u & 3) ^ (u >> 1 & 2))); }
// Where the bits of unit j are, one for each example of a round; those of j and j + 4 are side by side.
DEV int place_of_bits(int j) { return (j & ~7) + 2 * (j & 3) + (j >> 2 & 1); }

// The number of the parameter that has a place.
DEV int parameter_of(int place) {
  if (place < SECOND) return place < WIDTH * DIM ? 0 : 1;
  if (place < THIRD) return place < SECOND + WIDTH * WIDTH ? 1 + BIAS : 3;
  return place < THIRD + WIDTH ? 2 + 2 * BIAS : 5;
}

struct Shared {
  alignas(8) u32 high[UNITS * 32], low[UNITS * 32];  // parts of the activations
  alignas(8) u32 active[UNITS];
  float folded[UNITS * ROW];  // a_j W2_jk
  float partial[WARPS][32];   // outputs, in a warp's units
  u32 drawn[WARPS][32];       // examples of as many rounds
};

// What is added up over the examples of a batch: G2 is the gradient of the second layer without the factor a_j, as gb is that
// of its biases.
struct Sums {
  float G[KT][4], G2[UT][4], ga[2], gb[2], gc, loss, correct;
};

struct Network {
  Shared& shared;
  int unit[2];  // of either layer, where this lane has weights
  float w[KT][4], w2[UT][4], b2[2], a[2], c;

  METHOD Network(Shared& shared, const float* p)
      : shared(shared), unit{16 * WARP + (LANE >> 2), 16 * WARP + (LANE >> 2) + 8}, c(0) {
    load_first(w, WARP, p);
#pragma unroll
    for (int k = 0; k < UT; k++) w2[k][0] = w2[k][1] = w2[k][2] = w2[k][3] = 0;
    of_second([&](int k, int q, int place) { w2[k][q] = p[place]; });
#pragma unroll
    for (int q = 0; q < 2; q++) {
      a[q] = exists(unit[q]) ? p[THIRD + unit[q]] : 0.f;
      b2[q] = BIAS && exists(unit[q]) ? p[SECOND + WIDTH * WIDTH + unit[q]] : 0.f;
    }
    if (BIAS && WARP == 0) c = p[THIRD + WIDTH];
  }

  // A call of each(k, q, place in the network's parameters) for all weights [k][q] of the second layer that the lane has.
  template <class Each>
  METHOD void of_second(Each each) {
#pragma unroll
    for (int k = 0; k < UT; k++)
#pragma unroll
      for (int q = 0; q < 4; q++) {
        const int j = unit[q & 1], i = 8 * k + (LANE & 3) + 4 * (q >> 1);
        if (exists(j) && exists(i)) each(k, q, SECOND + j * WIDTH + i);
      }
  }

  METHOD void begin_step() {
    sync_block();  // all have read what the step before left
#pragma unroll
    for (int k = 0; k < UT; k++)
#pragma unroll
      for (int q = 0; q < 4; q++)
        shared.folded[unit[q & 1] * ROW + 8 * k + (LANE & 3) + 4 * (q >> 1)] = a[q & 1] * w2[k][q];
  }

  // Adds what the examples from `begin` to `end` contribute; draw(example) gives the bits of one.
  template <class Draw>
  METHOD void add(Sums& sums, i64 begin, i64 end, float inverse, const Source& source, Draw draw) {
    const int lane = LANE, g = lane >> 2, t = lane & 3, kappa = input_of(g), warp = WARP;
    int round = 0;
    for (i64 first = begin; first < end; first += ROUND, round = (round + 1) % WARPS) {
      if (round == 0) {
        const i64 own = first + ROUND * warp + example_of(lane);
        shared.drawn[warp][lane] = own < end ? draw(own) : 0;
        sync_block();
      }
      const i64 own = first + example_of(lane);
      u32 word = shared.drawn[round][lane];
      const float y = source.label(word);
      word = signs(word);
      float z[NT][4], f[NT][2];
      u32 is_on = 0;  // bit 4n + q: whether z[n][q] of the first layer is above 0
#pragma unroll
      for (int n = 0; n < NT; n++) {
        forward_first(z[n], w, shfl(word, lane_of(n, g)) << (7 - t));
#pragma unroll
        for (int q = 0; q < 4; q++) is_on |= z[n][q] > 0 ? 1u << (4 * n + q) : 0;
      }
      sync_block();  // all have read the activations of the round before
#pragma unroll
      for (int n = 0; n < NT; n++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
          const Split s0 = split(relu(z[n][2 * r])), s1 = split(relu(z[n][2 * r + 1]));
          const int place = place_in_round(unit[r], 8 * n + 2 * t);
          store2(shared.high + place, s0.high, s1.high);
          store2(shared.low + place, s0.low, s1.low);
        }
      sync_block();
#pragma unroll
      for (int n = 0; n < NT; n++) { z[n][0] = z[n][1] = b2[0]; z[n][2] = z[n][3] = b2[1]; }
#pragma unroll
      for (int k = 0; k < UT; k++) {
        Split s[4];
#pragma unroll
        for (int q = 0; q < 4; q++) { renew(w2[k][q]); s[q] = split(w2[k][q]); }
#pragma unroll
        for (int n = 0; n < NT; n++) {
          const int h0 = place_in_round(8 * k + t, 8 * n + g), h1 = place_in_round(8 * k + t + 4, 8 * n + g);
          mma(z[n], s[0].low, s[1].low, s[2].low, s[3].low, shared.high[h0], shared.high[h1]);
          mma(z[n], s[0].high, s[1].high, s[2].high, s[3].high, shared.low[h0], shared.low[h1]);
          mma(z[n], s[0].high, s[1].high, s[2].high, s[3].high, shared.high[h0], shared.high[h1]);
        }
      }
      u32 bits[2] = {0, 0};
#pragma unroll
      for (int n = 0; n < NT; n++) {
        f[n][0] = f[n][1] = 0;
#pragma unroll
        for (int q = 0; q < 4; q++) {
          f[n][q & 1] += a[q >> 1] * relu(z[n][q]);
          bits[q >> 1] |= z[n][q] > 0 ? 1u << (8 * n + (q & 1)) : 0;
        }
      }
      shared.partial[warp][lane] = sum_of_columns(f);
#pragma unroll
      for (int r = 0; r < 2; r++) {
        bits[r] <<= 2 * t;
        bits[r] |= shflx(bits[r], 1);
        bits[r] |= shflx(bits[r], 2);
        if (t == r) shared.active[place_of_bits(unit[r])] = bits[r];
      }
      if (warp == 0) shared.partial[0][lane] += c;
      sync_block();
      float derivative, out = 0;
#pragma unroll
      for (int other = 0; other < WARPS; other++) out += shared.partial[other][lane];
      const float each = loss_of(y, out, derivative);
      sums.loss += own < end ? each : 0.f;
      sums.correct += own < end && y * out > 0 ? 1.f : 0.f;
      const float df = own < end ? derivative * inverse : 0.f;
      sums.gc += df;
      // The second layer: rows of its gradient without the factor a_j.
#pragma unroll
      for (int n = 0; n < NT; n++) {
        const float d[2] = {shfl(df, lane_of(n, 2 * t)), shfl(df, lane_of(n, 2 * t + 1))};
        Split s[4];
#pragma unroll
        for (int q = 0; q < 4; q++) {
          const float masked = z[n][q] > 0 ? d[q & 1] : 0.f;
          sums.ga[q >> 1] += d[q & 1] * relu(z[n][q]);
          sums.gb[q >> 1] += masked;
          s[q] = split(masked);
        }
#pragma unroll
        for (int k = 0; k < UT; k++) {
          u32 h[2], l[2];
          const int place = place_in_round(8 * k + kappa, 8 * n + 2 * t);
          load2(h, shared.high + place);
          load2(l, shared.low + place);
          mma(sums.G2[k], s[0].low, s[2].low, s[1].low, s[3].low, h[0], h[1]);
          mma(sums.G2[k], s[0].high, s[2].high, s[1].high, s[3].high, l[0], l[1]);
          mma(sums.G2[k], s[0].high, s[2].high, s[1].high, s[3].high, h[0], h[1]);
        }
      }
      order_loads();
      // What reaches the first layer, without the factor df_b.
#pragma unroll
      for (int n = 0; n < NT; n++) z[n][0] = z[n][1] = z[n][2] = z[n][3] = 0;
#pragma unroll
      for (int k = 0; k < UT; k++) {
        Split s[4];
#pragma unroll
        for (int q = 0; q < 4; q++) s[q] = split(shared.folded[(8 * k + t + 4 * (q >> 1)) * ROW + unit[q & 1]]);
        order_loads();
        u32 on[2];
        load2(on, shared.active + place_of_bits(8 * k + t));
#pragma unroll
        for (int n = 0; n < NT; n++) {
          const u32 m0 = on[0] >> (8 * n + g) & 1 ? ONE : 0, m1 = on[1] >> (8 * n + g) & 1 ? ONE : 0;
          mma(z[n], s[0].low, s[1].low, s[2].low, s[3].low, m0, m1);
          mma(z[n], s[0].high, s[1].high, s[2].high, s[3].high, m0, m1);
        }
      }
#pragma unroll
      for (int n = 0; n < NT; n++) {
        const int from = lane_of(n, 2 * t);
        const float d[2] = {shfl(df, from), shfl(df, from + 4)};
        const u32 x0 = shfl(word, from) << (7 - kappa), x1 = shfl(word, from + 4) << (7 - kappa);
        Split s[4];
#pragma unroll
        for (int q = 0; q < 4; q++) s[q] = split(is_on >> (4 * n + q) & 1 ? z[n][q] * d[q & 1] : 0.f);
#pragma unroll
        for (int k = 0; k < KT; k++) {
          const u32 b0 = sign_of(x0, k) | ONE, b1 = sign_of(x1, k) | ONE;
          mma(sums.G[k], s[0].low, s[2].low, s[1].low, s[3].low, b0, b1);
          mma(sums.G[k], s[0].high, s[2].high, s[1].high, s[3].high, b0, b1);
        }
      }
    }
  }

  // A call of each(weight, gradient, place in the network's parameters, number of the parameter) for every weight that the lane
  // has, and for those that several lanes have in one of them.
  template <class Each>
  METHOD void for_each(Sums& sums, Each each) {
    const int lane = LANE;
    of_first(WARP, [&](int k, int q, int place, bool is_bias) {
      each(w[k][q], sums.G[k][place_of(q)], place, is_bias ? 1 : 0);
    });
    of_second([&](int k, int q, int place) {
      each(w2[k][q], a[q & 1] * sums.G2[k][place_of(q)], place, 1 + BIAS);
    });
#pragma unroll
    for (int q = 0; q < 2; q++) {
      const float gradient = sum_of_row(sums.ga[q]), of_bias = a[q] * sum_of_row(sums.gb[q]);
      if ((lane & 3) == 0 && exists(unit[q])) {
        if (BIAS) each(b2[q], of_bias, SECOND + WIDTH * WIDTH + unit[q], 3);
        each(a[q], gradient, THIRD + unit[q], 2 + 2 * BIAS);
      }
      a[q] = shfl(a[q], lane & 28);
      b2[q] = shfl(b2[q], lane & 28);
    }
#if BIAS
    if (WARP == 0) {
      if (lane == 0) each(c, sums.gc, THIRD + WIDTH, 5);
      c = shfl(c, 0);
    }
#endif
  }
};
