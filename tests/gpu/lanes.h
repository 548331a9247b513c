// A warp on a CPU: CUDA source that is written for warps is compiled for the host, and its 32 lanes run in turn, each on a
// stack of its own, from one exchange between lanes to the next. After the PTX manual's layouts of mma.m16n8k8.
#pragma once
#include <ucontext.h>
#include <cmath>
#include <cstring>
#include <cstdlib>
#include <vector>

#define EMULATED
typedef long long i64; typedef unsigned u32; typedef unsigned long long u64;
#define DEV static inline
#define GLOBAL static void

namespace lanes {
struct Lane { ucontext_t context; std::vector<char> stack; bool is_done; };
static Lane warp[32];
static ucontext_t outside;
static int present, replica;
static u32 posted[32][8];
static void (*body)();

// Until every lane is here.
static void meet() { swapcontext(&warp[present].context, &outside); }
static void enter() { body(); warp[present].is_done = true; swapcontext(&warp[present].context, &outside); }

static void run(void (*function)()) {
  body = function;
  for (Lane& lane : warp) {
    lane.stack.resize(1 << 18);
    lane.is_done = false;
    getcontext(&lane.context);
    lane.context.uc_stack.ss_sp = lane.stack.data();
    lane.context.uc_stack.ss_size = lane.stack.size();
    lane.context.uc_link = nullptr;
    makecontext(&lane.context, enter, 0);
  }
  for (bool any = true; any;) {
    any = false;
    for (present = 0; present < 32; present++)
      if (!warp[present].is_done) { any = true; swapcontext(&outside, &warp[present].context); }
  }
}
}  // namespace lanes

#define LANE (lanes::present)
#define REPLICA (lanes::replica)

static inline u32 bitsof(float value) { u32 bits; memcpy(&bits, &value, 4); return bits; }
static inline float floatof(u32 bits) { float value; memcpy(&value, &bits, 4); return value; }
static inline u32 mulhi(u32 a, u32 b) { return (u32)((u64)a * b >> 32); }
static inline int popc(u32 a) { return __builtin_popcount(a); }
static inline float expo(float x) { return expf(x); }
static inline float loge(float x) { return logf(x); }
static inline float divide(float a, float b) { return a / b; }

// Between the two meetings every lane has posted, and none has posted again.
static inline u32 shfl(u32 value, int from) {
  const int own = lanes::present;
  lanes::posted[own][0] = value;
  lanes::meet();
  u32 result = lanes::posted[from & 31][0];
  lanes::meet();
  return result;
}
static inline float shfl(float value, int from) { return floatof(shfl(bitsof(value), from)); }
static inline float shflx(float value, int mask) { return shfl(value, lanes::present ^ mask); }

static inline float tf32(u32 bits) { return floatof(bits & 0xffffe000u); }
static inline void mma(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  const int own = lanes::present, g = own >> 2, t = own & 3;
  const u32 mine[6] = {a0, a1, a2, a3, b0, b1};
  memcpy(lanes::posted[own], mine, sizeof mine);
  lanes::meet();
  for (int q = 0; q < 4; q++) {
    const int row = q >> 1, column = 2 * t + (q & 1);
    for (int k = 0; k < 8; k++) {
      const float left = tf32(lanes::posted[4 * g + (k & 3)][2 * (k >> 2) + row]);
      d[q] += left * tf32(lanes::posted[4 * column + (k & 3)][4 + (k >> 2)]);
    }
  }
  lanes::meet();
}
