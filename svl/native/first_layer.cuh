// The first layer of a ReLU network on signs, for 16 of its units in a warp; and how the examples of a round and the inputs
// are numbered, so that a product takes its factors from where the one before left its result. Compiled with DIM, WIDTH and
// BIAS.
#pragma once
#include "examples.cuh"
#include "sgd.cuh"

#define KT ((DIM + BIAS + 7) / 8)    // tiles of 8 inputs, the bias among them
#define NT 4                         // tiles of 8 examples, a round
#define ROUND (8 * NT)

// The lane that holds example `column` of tile n of a round, which example of the round a lane holds, and which input of a
// tile is its column g: a result has for columns 2t and 2t + 1 the inputs t and t + 4.
DEV int lane_of(int n, int column) { return 16 * (n >> 1) + 8 * (n & 1) + 4 * (column & 1) + (column >> 1); }
DEV int example_of(int lane) { return 8 * (lane >> 3) + 2 * (lane & 3) + (lane >> 2 & 1); }
DEV int input_of(int g) { return (g >> 1) + 4 * (g & 1); }
// Where a gradient has what the weights have in place q: a product leaves (g, t), (g, t + 4), (g + 8, t), (g + 8, t + 4).
DEV int place_of(int q) { return 2 * (q & 1) + (q >> 1); }

// Whether there is such a unit: the last tile may not be full.
DEV bool exists(int u) { return WIDTH % 16 == 0 || u < WIDTH; }

// A call of each(k, q, place in the network's parameters, whether it is a bias) for all weights [k][q] that a lane has of the
// units 16m to 16m + 15.
template <class Each>
DEV void of_first(int m, Each each) {
  const int g = LANE >> 2, t = LANE & 3;
#pragma unroll
  for (int k = 0; k < KT; k++)
#pragma unroll
    for (int q = 0; q < 4; q++) {
      const int u = 16 * m + g + 8 * (q & 1), i = 8 * k + t + 4 * (q >> 1);
      if (exists(u) && i < DIM) each(k, q, u * DIM + i, false);
      else if (BIAS && exists(u) && i == DIM) each(k, q, WIDTH * DIM + u, true);
    }
}
DEV void load_first(float (&w)[KT][4], int m, const float* p) {
#pragma unroll
  for (int k = 0; k < KT; k++) w[k][0] = w[k][1] = w[k][2] = w[k][3] = 0;
  of_first(m, [&](int k, int q, int place, bool) { w[k][q] = p[place]; });
}
DEV void store_first(const float (&w)[KT][4], int m, float* p) {
  of_first(m, [&](int k, int q, int place, bool) { p[place] = w[k][q]; });
}
// A step of these weights, whose gradients are a product's result times the factor of its row.
DEV void descend_first(float (&w)[KT][4], const float (&product)[KT][4], const float (&factor)[2], int m, float* velocities,
                       const Group& of_w, const Group& of_b, bool is_last) {
  of_first(m, [&](int k, int q, int place, bool is_bias) {
    descend(w[k][q], factor[q & 1] * product[k][place_of(q)], is_bias ? of_b : of_w, velocities + place, is_last);
  });
}

// z of 16 units for the 8 examples of a tile, of whose signs `x` a lane has those of column g, shifted by 7 - t.
DEV void forward_first(float (&z)[4], const float (&w)[KT][4], u32 x) {
  z[0] = z[1] = z[2] = z[3] = 0;
#pragma unroll
  for (int k = 0; k < KT; k++) {
    const u32 b0 = sign_of(x, k) | ONE, b1 = sign_of(x, k, 1) | ONE;
    Split s[4];
#pragma unroll
    for (int q = 0; q < 4; q++) s[q] = split(w[k][q]);
    mma(z, s[0].low, s[1].low, s[2].low, s[3].low, b0, b1);
    mma(z, s[0].high, s[1].high, s[2].high, s[3].high, b0, b1);
  }
}

// The sums of [n][column 2t, 2t + 1] over the 8 lanes of a column; a lane is left with that of its own example.
DEV float sum_of_columns(const float (&f)[NT][2]) {
  const int lane = LANE;
  float s[2][2], r[2];
#pragma unroll
  for (int n = 0; n < 2; n++)
#pragma unroll
    for (int j = 0; j < 2; j++) {
      float mine = lane & 16 ? f[n + 2][j] : f[n][j], other = lane & 16 ? f[n][j] : f[n + 2][j];
      s[n][j] = mine + shflx(other, 16);
    }
#pragma unroll
  for (int j = 0; j < 2; j++) {
    float mine = lane & 8 ? s[1][j] : s[0][j], other = lane & 8 ? s[0][j] : s[1][j];
    r[j] = mine + shflx(other, 8);
  }
  float mine = lane & 4 ? r[1] : r[0], other = lane & 4 ? r[0] : r[1];
  return mine + shflx(other, 4);
}
