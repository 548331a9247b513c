// Steps of SGD of 2-layer ReLU networks on parity: one warp trains one replica, whose weights stay in its registers.
//
// The first layer's products are on tensor cores, mma.m16n8k8 in tf32. Inputs are signs, which tf32 holds, and a bias is
// the weight of one more input, which is 1. A weight is split in two tf32, which hold 22 of its 24 digits. Backward, the
// gradient of unit u's weights is a_u sum_b df_b [z_ub > 0] x_b: the mask is 0 or 1, so that only the numbers df, one an
// example, are split, and x is a sign on them. The gradient of a_u is sum_i w_ui of the same sum. A unit's activations of
// a round of 32 examples are where a product leaves them, which is where the next one takes them from, if the examples and
// the inputs are numbered as below. No shared memory is used.
//
// Compiled with DIM inputs, WIDTH units, BIAS, MOMENTUM, LOSS (0 logistic, 1 hinge, 2 squared, 3 correlation), and WARPS
// replicas a block. The registers hold 24 inputs, with the bias, and 64 units.
#ifndef WARPS
#define WARPS 4
#endif
#ifndef MINBLOCKS
#define MINBLOCKS 2
#endif
#ifndef EMULATED
typedef long long i64; typedef unsigned u32; typedef unsigned long long u64;
#define DEV __device__ __forceinline__
#define GLOBAL extern "C" __global__ void __launch_bounds__(32 * WARPS, MINBLOCKS)
#define LANE (threadIdx.x & 31)
#define REPLICA (blockIdx.x * WARPS + (threadIdx.x >> 5))
DEV float shfl(float value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }
DEV u32 shfl(u32 value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }
DEV float shflx(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
DEV void mma(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
DEV u32 bitsof(float value) { return __float_as_uint(value); }
DEV float floatof(u32 bits) { return __uint_as_float(bits); }
DEV u32 mulhi(u32 a, u32 b) { return __umulhi(a, b); }
DEV int popc(u32 a) { return __popc(a); }
DEV float expo(float x) { return __expf(x); }
DEV float loge(float x) { return __logf(x); }
DEV float divide(float a, float b) { return __fdividef(a, b); }
#endif

#define KT ((DIM + BIAS + 7) / 8)    // tiles of 8 inputs
#define MT ((WIDTH + 15) / 16)       // tiles of 16 units
#define NT 4                         // tiles of 8 examples, a round of 32
#define TF32 0xffffe000u
#define INFINITE 0x7f800000u

// The first word of Philox-4x32-10 (Salmon et al., SC 2011), as svl/random.py has it.
DEV u32 philox(u64 counter, u64 key) {
  u32 c0 = (u32)counter, c1 = (u32)(counter >> 32), c2 = 0, c3 = 0, k0 = (u32)key, k1 = (u32)(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    u32 h0 = mulhi(0xD2511F53u, c0), l0 = 0xD2511F53u * c0, h1 = mulhi(0xCD9E8D57u, c2), l1 = 0xCD9E8D57u * c2;
    c0 = h1 ^ c1 ^ k0; c1 = l1; c2 = h0 ^ c3 ^ k1; c3 = l0;
    k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
  }
  return c0;
}

// Learning rate, momentum, weight decay, and 1 for what is not frozen, of one parameter.
struct Group {
  float lr, momentum, decay; bool moves;
};
DEV Group group_of(const double* hyper, int number, double rate) {
  const double* row = hyper + 4 * number;
  return {(float)(row[0] * rate), (float)row[1], (float)row[2], row[3] > 0};
}
DEV void descend(float& weight, float gradient, const Group& group, float* velocity, bool is_last) {
  if (!group.moves) return;
  float moved = gradient + group.decay * weight;
#if MOMENTUM
  moved = group.momentum * *velocity + moved;
  *velocity = moved;
#else
  if (is_last) *velocity = moved;
#endif
  weight -= group.lr * moved;
}

// The loss of an output for the target y, and its derivative.
DEV float loss_of(float y, float out, float& derivative) {
  float margin = y * out;
#if LOSS == 0
  float e = expo(-fabsf(margin));
  derivative = -y * divide(margin > 0 ? e : 1.f, 1.f + e);
  return (margin > 0 ? 0.f : -margin) + loge(1.f + e);
#elif LOSS == 1
  derivative = margin < 1 ? -y : 0.f;
  return margin > 1 ? 0.f : 1.f - margin;
#elif LOSS == 2
  derivative = 2 * (out - y);
  return (out - y) * (out - y);
#else
  derivative = -y;
  return -margin;
#endif
}

GLOBAL sgd_warp(
    const i64* index,        // [step, replica, batch] counters of the examples; null for fresh ones, in order
    const double* rates,     // [step] factors on the learning rates
    const i64* seed,         // [replica] Philox key of the examples
    const u32* support,      // [replica, 4] digits of an example that its label depends on; the first word counts
    const double* hyper,     // [replica, parameter, 4]
    float* params,           // [replica, number] in the network's own order; changed, as all that follow
    float* velocities,       // [replica, number]
    float* loss_sum, float* correct_sum, i64* steps_done, i64* diverged_at,  // [replica]
    int first_step, int steps, int replicas, int batch) {
  // In the layouts of mma.m16n8k8 a lane has row g (and g + 8) and columns t (and t + 4), or 2t and 2t + 1 of a result.
  // Column n of a tile of inputs is input kappa, so that a result has for columns 2t and 2t + 1 the inputs t and t + 4.
  const int lane = LANE, g = lane >> 2, t = lane & 3, kappa = (g >> 1) + 4 * (g & 1);
  const int replica = REPLICA;
  if (replica >= replicas) return;
  const int own = 16 * (g >> 2) + 8 * ((g >> 1) & 1) + 2 * t + (g & 1);  // the example whose sum a reduction leaves here
  const int number = WIDTH * (DIM + 1) + BIAS * (WIDTH + 1), second = WIDTH * (DIM + BIAS);
  float *p = params + (i64)replica * number, *v = velocities + (i64)replica * number;
  hyper += (i64)replica * (8 + 8 * BIAS);
  const u64 key = (u64)seed[replica];
  const u32 digits = support[4 * replica], keep = DIM < 32 ? (1u << (DIM & 31)) - 1 : 0xffffffffu;
  float w[MT][KT][4], a[MT][2];
#pragma unroll
  for (int m = 0; m < MT; m++) {
#pragma unroll
    for (int k = 0; k < KT; k++)
#pragma unroll
      for (int q = 0; q < 4; q++) {
        int u = 16 * m + g + 8 * (q & 1), i = 8 * k + t + 4 * (q >> 1);
        w[m][k][q] = u >= WIDTH ? 0.f : i < DIM ? p[u * DIM + i] : BIAS && i == DIM ? p[WIDTH * DIM + u] : 0.f;
      }
#pragma unroll
    for (int q = 0; q < 2; q++) {
      int u = 16 * m + g + 8 * q;
      a[m][q] = u < WIDTH ? p[second + u] : 0.f;
    }
  }
  float c = BIAS ? p[second + WIDTH] : 0.f, losses = loss_sum[replica], hits = correct_sum[replica];
  i64 diverged = diverged_at[replica], count = steps_done[replica];
  const float inverse = 1.f / batch;
  for (int step = 0; step < steps; step++) {
    float G[MT][KT][4] = {};
    float gc = 0, loss = 0, correct = 0;
    for (int first = 0; first < batch; first += 8 * NT) {
      const bool has_own = first + own < batch;
      i64 at = (i64)(first_step + step) * batch + first + own;
      if (index && has_own) at = index[((i64)step * replicas + replica) * batch + first + own];
      u32 word = philox((u64)at, key);
      float y = popc(word & digits) & 1 ? -1.f : 1.f;
      word &= keep;
      float z[NT][MT][4], f[NT][2];
#pragma unroll
      for (int n = 0; n < NT; n++) {
        u32 x = shfl(word, 16 * (n >> 1) + 8 * (n & 1) + 4 * (g & 1) + (g >> 1)) << (7 - t);
        f[n][0] = f[n][1] = 0;
#pragma unroll
        for (int m = 0; m < MT; m++) {
          float(&d)[4] = z[n][m];
          d[0] = d[1] = d[2] = d[3] = 0;
#pragma unroll
          for (int k = 0; k < KT; k++) {
            u32 b0 = ((x << (24 - 8 * k)) & 0x80000000u) | 0x3f800000u;
            u32 b1 = ((x << (20 - 8 * k)) & 0x80000000u) | 0x3f800000u;
            u32 hi[4], lo[4];
#pragma unroll
            for (int q = 0; q < 4; q++) {
              hi[q] = bitsof(w[m][k][q]) & TF32;
              lo[q] = bitsof(w[m][k][q] - floatof(hi[q])) & TF32;
            }
            mma(d, lo[0], lo[1], lo[2], lo[3], b0, b1);
            mma(d, hi[0], hi[1], hi[2], hi[3], b0, b1);
          }
#pragma unroll
          for (int q = 0; q < 4; q++) f[n][q & 1] += a[m][q >> 1] * (d[q] < 0 ? 0.f : d[q]);  // keeps NaN
        }
      }
      // Sums over the 8 lanes of a column, each lane left with one example's.
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
      float mine = lane & 4 ? r[1] : r[0], other = lane & 4 ? r[0] : r[1], derivative;
      float out = mine + shflx(other, 4) + c, each = loss_of(y, out, derivative);
      loss += has_own ? each : 0.f;
      correct += has_own && y * out > 0 ? 1.f : 0.f;
      float df = has_own ? derivative * inverse : 0.f;
      gc += df;
#pragma unroll
      for (int n = 0; n < NT; n++) {
        const int base = 16 * (n >> 1) + 8 * (n & 1) + t;
        float d0 = shfl(df, base), d1 = shfl(df, base + 4);
        u32 x0 = shfl(word, base) << (7 - kappa), x1 = shfl(word, base + 4) << (7 - kappa);
        u32 h0 = bitsof(d0) & TF32, h1 = bitsof(d1) & TF32;
        u32 l0 = bitsof(d0 - floatof(h0)) & TF32, l1 = bitsof(d1 - floatof(h1)) & TF32;
        u32 mask[MT][4];
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
          for (int q = 0; q < 4; q++) mask[m][q] = bitsof(z[n][m][q] > 0 ? 1.f : 0.f);
#pragma unroll
        for (int k = 0; k < KT; k++) {
          u32 g0 = (x0 << (24 - 8 * k)) & 0x80000000u, g1 = (x1 << (24 - 8 * k)) & 0x80000000u;
#pragma unroll
          for (int m = 0; m < MT; m++) {
            mma(G[m][k], mask[m][0], mask[m][2], mask[m][1], mask[m][3], l0 ^ g0, l1 ^ g1);
            mma(G[m][k], mask[m][0], mask[m][2], mask[m][1], mask[m][3], h0 ^ g0, h1 ^ g1);
          }
        }
      }
    }
#pragma unroll
    for (int m = 16; m; m >>= 1) { loss += shflx(loss, m); gc += shflx(gc, m); correct += shflx(correct, m); }
    loss *= inverse; correct *= inverse;
    const bool was_alive = diverged < 0, alive = was_alive && (bitsof(loss) & INFINITE) != INFINITE;
    if (was_alive && !alive) diverged = first_step + step;
    if (!alive) continue;
    losses += loss; hits += correct; count++;
    const double rate = rates[step];
    const bool is_last = step == steps - 1;
    const Group of_w = group_of(hyper, 0, rate), of_b = group_of(hyper, BIAS, rate);
    const Group of_a = group_of(hyper, 1 + BIAS, rate);
    // G holds (unit g, input t), (g, t + 4), (g + 8, t), (g + 8, t + 4): what w has in its places 0, 2, 1, 3.
#pragma unroll
    for (int m = 0; m < MT; m++) {
      float ga[2] = {0, 0};
#pragma unroll
      for (int k = 0; k < KT; k++)
#pragma unroll
        for (int q = 0; q < 4; q++) ga[q & 1] += w[m][k][q] * G[m][k][2 * (q & 1) + (q >> 1)];
#pragma unroll
      for (int k = 0; k < KT; k++)
#pragma unroll
        for (int q = 0; q < 4; q++) {
          const int u = 16 * m + g + 8 * (q & 1), i = 8 * k + t + 4 * (q >> 1);
          const float gradient = a[m][q & 1] * G[m][k][2 * (q & 1) + (q >> 1)];
          if (u < WIDTH && i < DIM) descend(w[m][k][q], gradient, of_w, v + u * DIM + i, is_last);
          else if (BIAS && u < WIDTH && i == DIM) descend(w[m][k][q], gradient, of_b, v + WIDTH * DIM + u, is_last);
        }
#pragma unroll
      for (int q = 0; q < 2; q++) {
        ga[q] += shflx(ga[q], 1);
        ga[q] += shflx(ga[q], 2);
        const int u = 16 * m + g + 8 * q;
        // Four lanes have the same number: one reads and writes its velocity.
        if (t == 0 && u < WIDTH) descend(a[m][q], ga[q], of_a, v + second + u, is_last);
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
#pragma unroll
    for (int k = 0; k < KT; k++)
#pragma unroll
      for (int q = 0; q < 4; q++) {
        int u = 16 * m + g + 8 * (q & 1), i = 8 * k + t + 4 * (q >> 1);
        if (u < WIDTH && i < DIM) p[u * DIM + i] = w[m][k][q];
        else if (BIAS && u < WIDTH && i == DIM) p[WIDTH * DIM + u] = w[m][k][q];
      }
#pragma unroll
    for (int q = 0; q < 2; q++)
      if (t == 0 && 16 * m + g + 8 * q < WIDTH) p[second + 16 * m + g + 8 * q] = a[m][q];
  }
  if (lane == 0) {
    if (BIAS) p[second + WIDTH] = c;
    loss_sum[replica] = losses; correct_sum[replica] = hits; steps_done[replica] = count; diverged_at[replica] = diverged;
  }
}
