// The kernels of svl/native/warp.cu and team.cu on a CPU, compiled with SOURCE and KERNEL: one block after the other.
#include "lanes.h"
#include SOURCE

namespace {
struct Call {
  const i64 *index, *pools; const double* rates; const i64* seed; const u32* support; const double* hyper;
  float *params, *velocities, *loss_sum, *correct_sum; i64 *steps_done, *diverged_at;
  int first_step, steps, replicas, batch;
} call;
void one() {
  KERNEL(call.index, call.pools, call.rates, call.seed, call.support, call.hyper, call.params, call.velocities,
         call.loss_sum, call.correct_sum, call.steps_done, call.diverged_at, call.first_step, call.steps, call.replicas,
         call.batch);
}
}  // namespace

extern "C" void emulate(
    int blocks, bool is_reversed, const i64* index, const i64* pools, const double* rates, const i64* seed, const u32* support,
    const double* hyper, float* params, float* velocities, float* loss_sum, float* correct_sum, i64* steps_done,
    i64* diverged_at, int first_step, int steps, int replicas, int batch) {
  call = {index, pools, rates, seed, support, hyper, params, velocities, loss_sum, correct_sum, steps_done, diverged_at,
          first_step, steps, replicas, batch};
  for (lanes::block = 0; lanes::block < blocks; lanes::block++) lanes::run(one, WARPS, is_reversed);
}
