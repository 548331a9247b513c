// The update of SGD, and the losses, for CUDA kernels; compiled with MOMENTUM and LOSS (0 logistic, 1 hinge, 2 squared,
// 3 correlation).
#pragma once
#include "lanes.cuh"

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

// What is remembered of a replica's training.
struct Record {
  float losses, hits; i64 count, diverged;
  METHOD Record(const float* loss_sum, const float* correct_sum, const i64* steps_done, const i64* diverged_at, int replica)
      : losses(loss_sum[replica]), hits(correct_sum[replica]), count(steps_done[replica]), diverged(diverged_at[replica]) {}
  // Whether the replica takes the step, which it does until a loss is not finite.
  METHOD bool add(float loss, float correct, i64 step) {
    const bool was_alive = diverged < 0, alive = was_alive && (bitsof(loss) & INFINITE) != INFINITE;
    if (was_alive && !alive) diverged = step;
    if (alive) { losses += loss; hits += correct; count++; }
    return alive;
  }
  METHOD void write(float* loss_sum, float* correct_sum, i64* steps_done, i64* diverged_at, int replica) const {
    loss_sum[replica] = losses; correct_sum[replica] = hits; steps_done[replica] = count; diverged_at[replica] = diverged;
  }
};
