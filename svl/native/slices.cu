// Steps of gradient descent on all examples of a set, or on every input of the population: the examples are cut into slices,
// so that one replica keeps a whole GPU at work. A step is two kernels: the gradients of the slices, each by one warp, or one
// block of them, and the update, which adds them up in a fixed order.
//
// Compiled as steps.cu, with DRAW = 1; and with SUMMERS, the warps of a block of the second kernel.
#include "network.cuh"

GLOBAL(32 * WARPS, MINBLOCKS) gradient_slices(
    const i64* sizes,        // [replica] examples of a step, the first of all; if below 0, as many inputs of the population
    const i64* seed,         // [replica] Philox key of the examples
    const u32* support,      // [replica, 4] digits of an example that its label depends on; the first word counts
    const float* params,     // [replica, number] in the network's own order
    const i64* diverged_at,  // [replica]
    float* gradients,        // [replica, slice, number + 2]: what a slice adds to the gradient, the loss and the accuracy
    int replicas, int slices) {
  SHARED Shared shared;
  const int number = number_of_work(), replica = number / slices, slice = number % slices;
  if (replica >= replicas || diverged_at[replica] >= 0) return;
  const bool is_table = sizes[replica] < 0;
  const i64 size = is_table ? -sizes[replica] : sizes[replica];
  const i64 rounds = (size + ROUND * TEAM - 1) / (ROUND * TEAM), each = (rounds + slices - 1) / slices * (ROUND * TEAM);
  const i64 first = slice * each, last = first + each;
  Source source(nullptr, seed, support, nullptr, replica);
  Network network(shared, params + (i64)replica * COUNT);
  Sums sums = {};
  const float inverse = 1.f / size;
  network.begin_step();
  network.add(sums, first, last < size ? last : size, inverse, source, [&](i64 example) {
    return is_table ? (u32)example : source.draw(0, example);
  });
  finish(sums, inverse);
  float* own = gradients + (i64)number * (COUNT + 2);
  network.for_each(sums, [&](float&, float gradient, int place, int) { own[place] = gradient; });
  if (is_leader()) { own[COUNT] = sums.loss; own[COUNT + 1] = sums.correct; }
}

// Each block has 32 parameters of one replica, a lane for each. Its warps add up a share of the slices.
GLOBAL(32 * SUMMERS, 1) sgd_of_slices(
    const double* rate,      // factor on the learning rates
    const double* hyper,     // [replica, parameter, 4]
    const float* gradients,  // [replica, slice, number + 2]
    float* params, float* velocities, float* loss_sum, float* correct_sum, i64* steps_done, i64* diverged_at,
    int step, int is_last, int replicas, int slices) {
  SHARED float sums[SUMMERS][32], losses[SUMMERS], corrects[SUMMERS];
  constexpr int BLOCKS = (COUNT + 31) / 32;
  const int replica = BLOCK / BLOCKS, part = BLOCK % BLOCKS, place = 32 * part + LANE;
  Record record(loss_sum, correct_sum, steps_done, diverged_at, replica, part == 0 && LANE == 0);
  gradients += (i64)replica * slices * (COUNT + 2);
  float gradient = 0, loss = 0, correct = 0;
  if (place < COUNT)
#pragma unroll 4
    for (int slice = WARP; slice < slices; slice += SUMMERS) gradient += gradients[(i64)slice * (COUNT + 2) + place];
  for (int slice = 32 * WARP + LANE; slice < slices; slice += 32 * SUMMERS) {
    loss += gradients[(i64)slice * (COUNT + 2) + COUNT];
    correct += gradients[(i64)slice * (COUNT + 2) + COUNT + 1];
  }
  sums[WARP][LANE] = gradient;
  loss = sum_of_lanes(loss);
  correct = sum_of_lanes(correct);
  if (LANE == 0) { losses[WARP] = loss; corrects[WARP] = correct; }
  sync_block();
  if (WARP > 0) return;
  gradient = loss = correct = 0;
  for (int warp = 0; warp < SUMMERS; warp++) {
    gradient += sums[warp][LANE];
    loss += losses[warp];
    correct += corrects[warp];
  }
  // Of several blocks of a replica one may read that another has written it off at this very step, and does the same.
  if (!record.add(loss, correct, step) || place >= COUNT) return;
  const Group group = group_of(hyper, replica * PARAMETERS + parameter_of(place), *rate);
  descend(params[(i64)replica * COUNT + place], gradient, group, velocities + (i64)replica * COUNT + place, is_last);
}
