// Steps of SGD of 2-layer and 3-layer ReLU networks on parity: one warp, or one block of them, trains one replica, whose weights
// stay in registers from the first step of a launch to the last.
//
// Compiled with DEPTH layers, DIM inputs, WIDTH units of each hidden layer, BIAS, MOMENTUM, LOSS, DRAW, WARPS of a block and
// MINBLOCKS blocks a processor. The registers hold 24 inputs, with the bias, and 64 units.
#include "network.cuh"

GLOBAL(32 * WARPS, MINBLOCKS) sgd_steps(
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
  SHARED Shared shared;
  const int replica = number_of_work();
  if (replica >= replicas) return;
  float *p = params + (i64)replica * COUNT, *v = velocities + (i64)replica * COUNT;
  Source source(index, seed, support, pools, replica);
  Record record(loss_sum, correct_sum, steps_done, diverged_at, replica, is_leader());
  Network network(shared, p);
  const float inverse = 1.f / batch;
  for (int step = 0; step < steps; step++) {
    Sums sums = {};
    network.begin_step();
    network.add(sums, 0, batch, inverse, source, [&](i64 example) {
      return source.draw(((i64)step * replicas + replica) * batch + example, ((i64)first_step + step) * batch + example);
    });
    finish(sums, inverse);
    if (!record.add(sums.loss, sums.correct, first_step + step)) continue;
    const bool is_last = step == steps - 1;
    Group groups[PARAMETERS];
#pragma unroll
    for (int n = 0; n < PARAMETERS; n++) groups[n] = group_of(hyper, replica * PARAMETERS + n, rates[step]);
    network.for_each(sums, [&](float& weight, float gradient, int place, int parameter) {
      descend(weight, gradient, groups[parameter], v + place, is_last);
    });
  }
  Sums none = {};
  network.for_each(none, [&](float& weight, float, int place, int) { p[place] = weight; });
}
