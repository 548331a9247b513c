// A block of warps on a CPU: CUDA source that is written for warps is compiled for the host, and its lanes run in turn, each on
// a stack of its own, from one exchange between the lanes of a warp to the next, and a warp from one meeting of the block to
// the next. What a missing meeting would break shows when the warps run in another order. After the PTX manual's layouts of
// mma.m16n8k8.
#pragma once
#include <setjmp.h>
#include <ucontext.h>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <cstdlib>
#include <vector>

#define EMULATED
typedef long long i64; typedef unsigned u32; typedef unsigned long long u64;
#define DEV static inline
#define METHOD inline
#define GLOBAL(threads, blocks) static void
#define SHARED static

namespace lanes {
enum State { RUNS, WAITS, DONE };
struct Lane { ucontext_t context; jmp_buf place; std::vector<char> stack; State state; int exchanges; bool has_begun; };
constexpr int MOST_WARPS = 16;
static Lane all[32 * MOST_WARPS];
static jmp_buf outside;
static int present, block;
static u32 posted[32 * MOST_WARPS][8];
static void (*body)();

// Jumps, because swapcontext asks the system for signals' masks each time.
static void leave() { if (!_setjmp(all[present].place)) _longjmp(outside, 1); }
static void go_on(Lane& lane) {
  if (_setjmp(outside)) return;
  if (lane.has_begun) _longjmp(lane.place, 1);
  lane.has_begun = true;
  setcontext(&lane.context);
}
// Until every lane of the warp is here.
static void meet() { all[present].exchanges++; leave(); }
static void enter() { body(); all[present].state = DONE; leave(); }

// A warp until its lanes wait for the block, or are done; all of them must have exchanged as often.
static void run_warp(int warp) {
  Lane* own = all + 32 * warp;
  for (bool any = true; any;) {
    any = false;
    for (int lane = 0; lane < 32; lane++)
      if (own[lane].state == RUNS) { any = true; present = 32 * warp + lane; go_on(own[lane]); }
  }
  for (int lane = 0; lane < 32; lane++)
    if (own[lane].state != own->state || own[lane].exchanges != own->exchanges) { fprintf(stderr, "lanes part\n"); abort(); }
}

static void run(void (*function)(), int warps, bool is_reversed) {
  body = function;
  for (int thread = 0; thread < 32 * warps; thread++) {
    Lane& lane = all[thread];
    lane.stack.resize(1 << 18);
    lane.state = RUNS;
    lane.exchanges = 0;
    lane.has_begun = false;
    getcontext(&lane.context);
    lane.context.uc_stack.ss_sp = lane.stack.data();
    lane.context.uc_stack.ss_size = lane.stack.size();
    lane.context.uc_link = nullptr;
    makecontext(&lane.context, enter, 0);
  }
  for (bool any = true; any;) {
    any = false;
    for (int warp = 0; warp < warps; warp++) run_warp(is_reversed ? warps - 1 - warp : warp);
    for (int thread = 0; thread < 32 * warps; thread++)
      if (all[thread].state == WAITS) { any = true; all[thread].state = RUNS; }
  }
}
}  // namespace lanes

#define LANE (lanes::present & 31)
#define WARP (lanes::present >> 5)
#define BLOCK (lanes::block)

static inline void sync_block() { lanes::all[lanes::present].state = lanes::WAITS; lanes::leave(); }
static inline u32 bitsof(float value) { u32 bits; memcpy(&bits, &value, 4); return bits; }
static inline float floatof(u32 bits) { float value; memcpy(&value, &bits, 4); return value; }
static inline u32 mulhi(u32 a, u32 b) { return (u32)((u64)a * b >> 32); }
static inline u64 mulhi(u64 a, u64 b) { return (u64)((unsigned __int128)a * b >> 64); }
static inline int popc(u32 a) { return __builtin_popcount(a); }
static inline float expo(float x) { return expf(x); }
static inline float loge(float x) { return logf(x); }
static inline float divide(float a, float b) { return a / b; }
static inline void renew(float&) {}
static inline void order_loads() {}
template <class T>
static inline void add_to(T* sum, T value) { *sum += value; }
static inline void load2(u32 (&to)[2], const u32* from) { memcpy(to, from, sizeof to); }
static inline void store2(u32* to, u32 a, u32 b) { to[0] = a; to[1] = b; }

// Between the two meetings every lane has posted, and none has posted again.
static inline u32 shfl(u32 value, int from) {
  const int own = lanes::present;
  lanes::posted[own][0] = value;
  lanes::meet();
  u32 result = lanes::posted[(own & ~31) + (from & 31)][0];
  lanes::meet();
  return result;
}
static inline float shfl(float value, int from) { return floatof(shfl(bitsof(value), from)); }
template <class T>
static inline T shflx(T value, int mask) { return shfl(value, LANE ^ mask); }

// Tensor cores cut off what a sum has below its last digit, and do not round (Fasi, Higham, Mikaitis and Pranesh, PeerJ 2021).
static inline float cut_off(double sum) {
  const float near = (float)sum;
  return fabs((double)near) > fabs(sum) && std::isfinite(sum) ? nextafterf(near, 0.f) : near;
}
static inline float tf32(u32 bits) { return floatof(bits & 0xffffe000u); }
static inline void mma(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  const int own = lanes::present, g = LANE >> 2, t = LANE & 3;
  const auto posted = lanes::posted + (own & ~31);
  const u32 mine[6] = {a0, a1, a2, a3, b0, b1};
  memcpy(lanes::posted[own], mine, sizeof mine);
  lanes::meet();
  for (int q = 0; q < 4; q++) {
    const int row = q >> 1, column = 2 * t + (q & 1);
    double sum = d[q];
    for (int k = 0; k < 8; k++) {
      const double left = tf32(posted[4 * g + (k & 3)][2 * (k >> 2) + row]);
      sum += left * tf32(posted[4 * column + (k & 3)][4 + (k >> 2)]);
    }
    d[q] = cut_off(sum);
  }
  lanes::meet();
}
