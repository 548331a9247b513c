// Steps of SGD of 2-layer ReLU networks on parity: one warp trains one replica, whose weights stay in its registers.
//
// The first layer's products are on tensor cores, mma.m16n8k8 in tf32. Inputs are signs, which tf32 holds, and a bias is
// the weight of one more input, which is 1. A weight is split in two tf32, which hold 22 of its 24 digits. Backward, the
// gradient of unit u's weights is a_u sum_b df_b [z_ub > 0] x_b: the mask is 0 or 1, so that only the numbers df, one an
// example, are split, and x is a sign on them. The gradient of a_u is sum_i w_ui of the same sum. A unit's activations of
// a round of 32 examples are where a product leaves them, which is where the next one takes them from, if the examples and
// the inputs are numbered as below. No shared memory is used.
//
// Compiled with DIM inputs, WIDTH units, BIAS, MOMENTUM, LOSS, DRAW, WARPS replicas a block and MINBLOCKS blocks a processor.
// The registers hold 24 inputs, with the bias, and 64 units.
#include "examples.cuh"
#include "first_layer.cuh"
#include "sgd.cuh"

#define MT ((WIDTH + 15) / 16)       // tiles of 16 units

GLOBAL(32 * WARPS, MINBLOCKS) sgd_warp(
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
  const int lane = LANE, g = lane >> 2, t = lane & 3, kappa = input_of(g);
  const int replica = BLOCK * WARPS + WARP;
  if (replica >= replicas) return;
  const int number = WIDTH * (DIM + 1) + BIAS * (WIDTH + 1), second = WIDTH * (DIM + BIAS);
  float *p = params + (i64)replica * number, *v = velocities + (i64)replica * number;
  hyper += (i64)replica * (8 + 8 * BIAS);
  Source source(index, seed, support, pools, replica);
  Record record(loss_sum, correct_sum, steps_done, diverged_at, replica);
  float w[MT][KT][4], a[MT][2];
#pragma unroll
  for (int m = 0; m < MT; m++) {
    load_first(w[m], m, p);
#pragma unroll
    for (int q = 0; q < 2; q++) {
      const int u = 16 * m + g + 8 * q;
      a[m][q] = u < WIDTH ? p[second + u] : 0.f;
    }
  }
  float c = BIAS ? p[second + WIDTH] : 0.f;
  const float inverse = 1.f / batch;
  for (int step = 0; step < steps; step++) {
    float G[MT][KT][4] = {};
    float gc = 0, loss = 0, correct = 0;
    for (int first = 0; first < batch; first += ROUND) {
      const int own = first + example_of(lane);
      u32 word = source.draw(step, (u64)first_step + step, replica, replicas, batch, own);
      const float y = source.label(word);
      word = signs(word);
      float z[NT][MT][4], f[NT][2];
#pragma unroll
      for (int n = 0; n < NT; n++) {
        u32 x = shfl(word, lane_of(n, g)) << (7 - t);
        f[n][0] = f[n][1] = 0;
#pragma unroll
        for (int m = 0; m < MT; m++) {
          forward_first(z[n][m], w[m], x);
#pragma unroll
          for (int q = 0; q < 4; q++) f[n][q & 1] += a[m][q >> 1] * relu(z[n][m][q]);
        }
      }
      float derivative, out = sum_of_columns(f) + c, each = loss_of(y, out, derivative);
      loss += own < batch ? each : 0.f;
      correct += own < batch && y * out > 0 ? 1.f : 0.f;
      float df = own < batch ? derivative * inverse : 0.f;
      gc += df;
#pragma unroll
      for (int n = 0; n < NT; n++) {
        const int from = lane_of(n, 2 * t);
        const Split d0 = split(shfl(df, from)), d1 = split(shfl(df, from + 4));
        u32 x0 = shfl(word, from) << (7 - kappa), x1 = shfl(word, from + 4) << (7 - kappa);
        u32 mask[MT][4];
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
          for (int q = 0; q < 4; q++) mask[m][q] = z[n][m][q] > 0 ? ONE : 0;
#pragma unroll
        for (int k = 0; k < KT; k++) {
          const u32 s0 = sign_of(x0, k), s1 = sign_of(x1, k);
#pragma unroll
          for (int m = 0; m < MT; m++) {
            mma(G[m][k], mask[m][0], mask[m][2], mask[m][1], mask[m][3], d0.low ^ s0, d1.low ^ s1);
            mma(G[m][k], mask[m][0], mask[m][2], mask[m][1], mask[m][3], d0.high ^ s0, d1.high ^ s1);
          }
        }
      }
    }
    loss = sum_of_lanes(loss); gc = sum_of_lanes(gc); correct = sum_of_lanes(correct);
    if (!record.add(loss * inverse, correct * inverse, first_step + step)) continue;
    const double rate = rates[step];
    const bool is_last = step == steps - 1;
    const Group of_a = group_of(hyper, 1 + BIAS, rate);
#pragma unroll
    for (int m = 0; m < MT; m++) {
      float ga[2] = {0, 0};
#pragma unroll
      for (int k = 0; k < KT; k++)
#pragma unroll
        for (int q = 0; q < 4; q++) ga[q & 1] += w[m][k][q] * G[m][k][place_of(q)];
      descend_first(w[m], G[m], a[m], m, v, hyper, rate, is_last);
#pragma unroll
      for (int q = 0; q < 2; q++) {
        const float gradient = sum_of_row(ga[q]);
        const int u = 16 * m + g + 8 * q;
        // Four lanes have the same number: one reads and writes its velocity.
        if (t == 0 && u < WIDTH) descend(a[m][q], gradient, of_a, v + second + u, is_last);
        a[m][q] = shfl(a[m][q], lane & 28);
      }
    }
#if BIAS
    if (lane == 0) descend(c, gc, group_of(hyper, 3, rate), v + second + WIDTH, is_last);
    c = shfl(c, 0);
#endif
  }
#pragma unroll
  for (int m = 0; m < MT; m++) {
    store_first(w[m], m, p);
#pragma unroll
    for (int q = 0; q < 2; q++)
      if (t == 0 && 16 * m + g + 8 * q < WIDTH) p[second + 16 * m + g + 8 * q] = a[m][q];
  }
  if (lane == 0) {
    if (BIAS) p[second + WIDTH] = c;
    record.write(loss_sum, correct_sum, steps_done, diverged_at, replica);
  }
}
