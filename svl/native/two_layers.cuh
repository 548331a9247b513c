// A 2-layer ReLU network in the registers of one warp.
//
// The first layer's products are on tensor cores, mma.m16n8k8 in tf32. Inputs are signs, which tf32 holds, and a bias is
// the weight of one more input, which is 1. A weight is split in two tf32, which hold 22 of its 24 digits. Backward, the
// gradient of unit u's weights is a_u sum_b df_b [z_ub > 0] x_b: the mask is 0 or 1, so that only the numbers df, one an
// example, are split, and x is a sign on them. The gradient of a_u is sum_i w_ui of the same sum. A unit's activations of
// a round of 32 examples are where a product leaves them, which is where the next one takes them from.
#pragma once
#include "first_layer.cuh"

#define TEAM 1                       // warps of a replica
#define MT ((WIDTH + 15) / 16)       // tiles of 16 units
#define SECOND (WIDTH * (DIM + BIAS))
#define COUNT (SECOND + WIDTH + BIAS)

// The number of the parameter that has a place.
DEV int parameter_of(int place) {
  return place < WIDTH * DIM ? 0 : place < SECOND ? 1 : place < SECOND + WIDTH ? 1 + BIAS : 3;
}

struct Shared {};

// What is added up over the examples of a batch: G is the gradient of the first layer without the factor a_u.
struct Sums {
  float G[MT][KT][4], gc, loss, correct;
};

struct Network {
  float w[MT][KT][4], a[MT][2], c;

  METHOD Network(Shared&, const float* p) {
    const int g = LANE >> 2;
#pragma unroll
    for (int m = 0; m < MT; m++) {
      load_first(w[m], m, p);
#pragma unroll
      for (int q = 0; q < 2; q++) {
        const int u = 16 * m + g + 8 * q;
        a[m][q] = exists(u) ? p[SECOND + u] : 0.f;
      }
    }
    c = BIAS ? p[SECOND + WIDTH] : 0.f;
  }

  METHOD void begin_step() {}

  // Adds what the examples from `begin` to `end` contribute; draw(example) gives the bits of one.
  template <class Draw>
  METHOD void add(Sums& sums, i64 begin, i64 end, float inverse, const Source& source, Draw draw) {
    const int lane = LANE, g = lane >> 2, t = lane & 3, kappa = input_of(g);
    for (i64 first = begin; first < end; first += ROUND) {
      const i64 own = first + example_of(lane);
      u32 word = own < end ? draw(own) : 0;
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
      sums.loss += own < end ? each : 0.f;
      sums.correct += own < end && y * out > 0 ? 1.f : 0.f;
      float df = own < end ? derivative * inverse : 0.f;
      sums.gc += df;
#pragma unroll
      for (int n = 0; n < NT; n++) {
        const int from = lane_of(n, 2 * t);
        const Split d0 = split(shfl(df, from)), d1 = split(shfl(df, from + 4));
        u32 x0 = shfl(word, from) << (7 - kappa), x1 = shfl(word, from + 4) << (7 - kappa);
        u32 mask[MT][4];
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
          for (int q = 0; q < 4; q++) mask[m][q] = bitsof(z[n][m][q] > 0 ? 1.f : 0.f);
#pragma unroll
        for (int k = 0; k < KT; k++) {
          const u32 s0 = sign_of(x0, k), s1 = sign_of(x1, k);
#pragma unroll
          for (int m = 0; m < MT; m++) {
            mma(sums.G[m][k], mask[m][0], mask[m][2], mask[m][1], mask[m][3], d0.low ^ s0, d1.low ^ s1);
            mma(sums.G[m][k], mask[m][0], mask[m][2], mask[m][1], mask[m][3], d0.high ^ s0, d1.high ^ s1);
          }
        }
      }
    }
  }

  // A call of each(weight, gradient, place in the network's parameters, number of the parameter) for every weight that the lane
  // has, and for those that several lanes have in one of them.
  template <class Each>
  METHOD void for_each(Sums& sums, Each each) {
    const int lane = LANE, g = lane >> 2, t = lane & 3;
#pragma unroll
    for (int m = 0; m < MT; m++) {
      float ga[2] = {0, 0};
#pragma unroll
      for (int k = 0; k < KT; k++)
#pragma unroll
        for (int q = 0; q < 4; q++) ga[q & 1] += w[m][k][q] * sums.G[m][k][place_of(q)];
      of_first(m, [&](int k, int q, int place, bool is_bias) {
        each(w[m][k][q], a[m][q & 1] * sums.G[m][k][place_of(q)], place, is_bias ? 1 : 0);
      });
#pragma unroll
      for (int q = 0; q < 2; q++) {
        const float gradient = sum_of_row(ga[q]);
        const int u = 16 * m + g + 8 * q;
        if (t == 0 && exists(u)) each(a[m][q], gradient, SECOND + u, 1 + BIAS);
        a[m][q] = shfl(a[m][q], lane & 28);
      }
    }
#if BIAS
    if (lane == 0) each(c, sums.gc, SECOND + WIDTH, 3);
    c = shfl(c, 0);
#endif
  }
};
