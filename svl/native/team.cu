// Steps of SGD of 3-layer ReLU networks on parity: a block of warps trains one replica, 16 units of each hidden layer a warp,
// whose weights stay in its registers.
//
// The first layer is as in warp.cu. Its activations h of a round of 32 examples are in shared memory, split in two tf32,
// because every warp needs all of them: for z2 = W2 h + b2, where W2 is split too and three products keep 22 digits, and for
// the gradient of W2, whose row j is a_j sum_b df_b [z2_jb > 0] h_b. What reaches unit k of the first layer is
// df_b sum_j a_j W2_jk [z2_jb > 0]: the warp of unit k needs one column of a_j W2_jk, which is in shared memory as well, and
// one bit of each unit and example, so that no sums of several warps are added up. Outputs are: each warp has the sum over
// its units.
//
// Compiled with DIM inputs, WIDTH units of either layer, BIAS, MOMENTUM, LOSS, DRAW, WARPS = WIDTH / 16, rounded up, and
// MINBLOCKS blocks a processor. The registers hold 24 inputs, with the bias, and 64 units.
#include "examples.cuh"
#include "first_layer.cuh"
#include "sgd.cuh"

#define UNITS (16 * WARPS)
#define UT (2 * WARPS)               // tiles of 8 units
#define ROW ((UNITS + 23) / 32 * 32 + 8)  // of a_j W_jk, so that no two lanes want one bank

// Where the activation of unit u and of an example of a round is. Lanes that read or write at once find theirs in different
// banks: those of four neighbouring units, and of the units 0, 4, 1 and 5 of a tile, are 8 words apart.
DEV int place_in_round(int u, int example) { return 32 * u + (example ^ 8 * ((u & 3) ^ (u >> 1 & 2))); }
// Where the bits of unit j are, one for each example of a round; those of j and j + 4 are side by side.
DEV int place_of_bits(int j) { return (j & ~7) + 2 * (j & 3) + (j >> 2 & 1); }

GLOBAL(32 * WARPS, MINBLOCKS) sgd_team(
    const i64* index,        // [step, replica, batch] counters of the examples, or null
    const i64* pools,        // [replica, 4] size, sides and key of a pool, or null
    const double* rates,     // [step] factors on the learning rates
    const i64* seed,         // [replica] Philox key of the examples
    const u32* support,      // [replica, 4] digits of an example that its label depends on; the first word counts
    const double* hyper,     // [replica, parameter, 4]
    float* params,           // [replica, number] in the network's own order; changed, as all that follow
    float* velocities,       // [replica, number]
    float* loss_sum, float* correct_sum, i64* steps_done, i64* diverged_at,  // [replica]
    int first_step, int steps, int replicas, int batch) {
  alignas(8) SHARED u32 high[UNITS * 32], low[UNITS * 32];  // parts of the activations
  SHARED float folded[UNITS * ROW];  // a_j W2_jk
  SHARED float partial[WARPS][32];   // outputs, in a warp's units
  alignas(8) SHARED u32 active[UNITS];
  SHARED u32 drawn[WARPS][32];       // examples of as many rounds
  const int lane = LANE, g = lane >> 2, t = lane & 3, kappa = input_of(g), warp = WARP, replica = BLOCK;
  const int of_second = WIDTH * (DIM + BIAS), of_third = of_second + WIDTH * (WIDTH + BIAS);
  const int number = of_third + WIDTH + BIAS;
  float *p = params + (i64)replica * number, *v = velocities + (i64)replica * number;
  hyper += (i64)replica * (12 + 12 * BIAS);
  Source source(index, seed, support, pools, replica);
  Record record(loss_sum, correct_sum, steps_done, diverged_at, replica);
  const int unit[2] = {16 * warp + g, 16 * warp + g + 8};  // of either layer
  float w[KT][4], w2[UT][4], b2[2], a[2], c = 0;
  load_first(w, warp, p);
#pragma unroll
  for (int k = 0; k < UT; k++)
#pragma unroll
    for (int q = 0; q < 4; q++) {
      const int j = unit[q & 1], i = 8 * k + t + 4 * (q >> 1);
      w2[k][q] = j < WIDTH && i < WIDTH ? p[of_second + j * WIDTH + i] : 0.f;
    }
#pragma unroll
  for (int q = 0; q < 2; q++) {
    a[q] = unit[q] < WIDTH ? p[of_third + unit[q]] : 0.f;
    b2[q] = BIAS && unit[q] < WIDTH ? p[of_second + WIDTH * WIDTH + unit[q]] : 0.f;
  }
  if (BIAS && warp == 0) c = p[of_third + WIDTH];
  const float inverse = 1.f / batch;
  for (int step = 0; step < steps; step++) {
    sync_block();  // all have read what the step before left in `folded`
#pragma unroll
    for (int k = 0; k < UT; k++)
#pragma unroll
      for (int q = 0; q < 4; q++) folded[unit[q & 1] * ROW + 8 * k + t + 4 * (q >> 1)] = a[q & 1] * w2[k][q];
    float G[KT][4] = {}, G2[UT][4] = {}, ga[2] = {}, gb[2] = {};
    float gc = 0, loss = 0, correct = 0;
    for (int first = 0, round = 0; first < batch; first += ROUND, round = (round + 1) % WARPS) {
      if (round == 0) {
        const int own = first + ROUND * warp + example_of(lane);
        drawn[warp][lane] = source.draw(step, (u64)first_step + step, replica, replicas, batch, own);
        sync_block();
      }
      const int own = first + example_of(lane);
      u32 word = drawn[round][lane];
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
          store2(high + place, s0.high, s1.high);
          store2(low + place, s0.low, s1.low);
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
          mma(z[n], s[0].low, s[1].low, s[2].low, s[3].low, high[h0], high[h1]);
          mma(z[n], s[0].high, s[1].high, s[2].high, s[3].high, low[h0], low[h1]);
          mma(z[n], s[0].high, s[1].high, s[2].high, s[3].high, high[h0], high[h1]);
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
      partial[warp][lane] = sum_of_columns(f);
#pragma unroll
      for (int r = 0; r < 2; r++) {
        bits[r] <<= 2 * t;
        bits[r] |= shflx(bits[r], 1);
        bits[r] |= shflx(bits[r], 2);
        if (t == r) active[place_of_bits(unit[r])] = bits[r];
      }
      if (warp == 0) partial[0][lane] += c;
      sync_block();
      float derivative, out = 0;
#pragma unroll
      for (int other = 0; other < WARPS; other++) out += partial[other][lane];
      const float each = loss_of(y, out, derivative);
      loss += own < batch ? each : 0.f;
      correct += own < batch && y * out > 0 ? 1.f : 0.f;
      const float df = own < batch ? derivative * inverse : 0.f;
      gc += df;
      // The second layer: rows of its gradient without the factor a_j.
#pragma unroll
      for (int n = 0; n < NT; n++) {
        const float d[2] = {shfl(df, lane_of(n, 2 * t)), shfl(df, lane_of(n, 2 * t + 1))};
        Split s[4];
#pragma unroll
        for (int q = 0; q < 4; q++) {
          const float masked = z[n][q] > 0 ? d[q & 1] : 0.f;
          ga[q >> 1] += d[q & 1] * relu(z[n][q]);
          gb[q >> 1] += masked;
          s[q] = split(masked);
        }
#pragma unroll
        for (int k = 0; k < UT; k++) {
          u32 h[2], l[2];
          const int place = place_in_round(8 * k + kappa, 8 * n + 2 * t);
          load2(h, high + place);
          load2(l, low + place);
          mma(G2[k], s[0].low, s[2].low, s[1].low, s[3].low, h[0], h[1]);
          mma(G2[k], s[0].high, s[2].high, s[1].high, s[3].high, l[0], l[1]);
          mma(G2[k], s[0].high, s[2].high, s[1].high, s[3].high, h[0], h[1]);
        }
      }
      // What reaches the first layer, without the factor df_b.
#pragma unroll
      for (int n = 0; n < NT; n++) z[n][0] = z[n][1] = z[n][2] = z[n][3] = 0;
#pragma unroll
      for (int k = 0; k < UT; k++) {
        Split s[4];
#pragma unroll
        for (int q = 0; q < 4; q++) s[q] = split(folded[(8 * k + t + 4 * (q >> 1)) * ROW + unit[q & 1]]);
        u32 on[2];
        load2(on, active + place_of_bits(8 * k + t));
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
          mma(G[k], s[0].low, s[2].low, s[1].low, s[3].low, b0, b1);
          mma(G[k], s[0].high, s[2].high, s[1].high, s[3].high, b0, b1);
        }
      }
    }
    loss = sum_of_lanes(loss); gc = sum_of_lanes(gc); correct = sum_of_lanes(correct);
    // Every warp has the same loss.
    if (!record.add(loss * inverse, correct * inverse, first_step + step)) continue;
    const double rate = rates[step];
    const bool is_last = step == steps - 1;
    const float one[2] = {1, 1};
    descend_first(w, G, one, warp, v, hyper, rate, is_last);
    const Group of_w = group_of(hyper, 1 + BIAS, rate), of_b = group_of(hyper, 2 + BIAS, rate);
    const Group of_a = group_of(hyper, 2 + 2 * BIAS, rate);
#pragma unroll
    for (int k = 0; k < UT; k++)
#pragma unroll
      for (int q = 0; q < 4; q++) {
        const int j = unit[q & 1], i = 8 * k + t + 4 * (q >> 1);
        if (j < WIDTH && i < WIDTH)
          descend(w2[k][q], a[q & 1] * G2[k][place_of(q)], of_w, v + of_second + j * WIDTH + i, is_last);
      }
#pragma unroll
    for (int q = 0; q < 2; q++) {
      const float gradient = sum_of_row(ga[q]), of_bias = a[q] * sum_of_row(gb[q]);
      // Four lanes have the same number: one reads and writes its velocity.
      if (t == 0 && unit[q] < WIDTH) {
        if (BIAS) descend(b2[q], of_bias, of_b, v + of_second + WIDTH * WIDTH + unit[q], is_last);
        descend(a[q], gradient, of_a, v + of_third + unit[q], is_last);
      }
      a[q] = shfl(a[q], lane & 28);
      b2[q] = shfl(b2[q], lane & 28);
    }
#if BIAS
    if (warp == 0) {
      if (lane == 0) descend(c, gc, group_of(hyper, 5, rate), v + of_third + WIDTH, is_last);
      c = shfl(c, 0);
    }
#endif
  }
  store_first(w, warp, p);
#pragma unroll
  for (int k = 0; k < UT; k++)
#pragma unroll
    for (int q = 0; q < 4; q++) {
      const int j = unit[q & 1], i = 8 * k + t + 4 * (q >> 1);
      if (j < WIDTH && i < WIDTH) p[of_second + j * WIDTH + i] = w2[k][q];
    }
#pragma unroll
  for (int q = 0; q < 2; q++)
    if (t == 0 && unit[q] < WIDTH) {
      p[of_third + unit[q]] = a[q];
      if (BIAS) p[of_second + WIDTH * WIDTH + unit[q]] = b2[q];
    }
  if (warp == 0 && lane == 0) {
    if (BIAS) p[of_third + WIDTH] = c;
    record.write(loss_sum, correct_sum, steps_done, diverged_at, replica);
  }
}
