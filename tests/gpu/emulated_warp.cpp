// The kernel of svl/native/warp.cu on a CPU: one warp after the other.
#include "lanes.h"
#include "warp.cu"

namespace {
struct Call {
  const i64* index; const double* rates; const i64* seed; const u32* support; const double* hyper;
  float *params, *velocities, *loss_sum, *correct_sum; i64 *steps_done, *diverged_at;
  int first_step, steps, replicas, batch;
} call;
void one() {
  sgd_warp(call.index, call.rates, call.seed, call.support, call.hyper, call.params, call.velocities, call.loss_sum,
           call.correct_sum, call.steps_done, call.diverged_at, call.first_step, call.steps, call.replicas, call.batch);
}
}  // namespace

extern "C" void emulate(
    const i64* index, const double* rates, const i64* seed, const u32* support, const double* hyper, float* params,
    float* velocities, float* loss_sum, float* correct_sum, i64* steps_done, i64* diverged_at, int first_step, int steps,
    int replicas, int batch) {
  call = {index, rates, seed, support, hyper, params, velocities, loss_sum, correct_sum, steps_done, diverged_at,
          first_step, steps, replicas, batch};
  for (lanes::replica = 0; lanes::replica < replicas; lanes::replica++) lanes::run(one);
}
