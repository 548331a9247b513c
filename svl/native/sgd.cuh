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

// What is remembered of a replica's training; one lane writes it, step by step.
struct Record {
  float *loss_sum, *correct_sum; i64 *steps_done, *diverged_at;
  bool is_alive, is_writer;
  METHOD Record(float* loss_sum, float* correct_sum, i64* steps_done, i64* diverged_at, int replica, bool is_writer)
      : loss_sum(loss_sum + replica), correct_sum(correct_sum + replica), steps_done(steps_done + replica),
        diverged_at(diverged_at + replica), is_alive(diverged_at[replica] < 0), is_writer(is_writer) {}
  // Whether the replica takes the step, which it does until a loss is not finite.
  METHOD bool add(float loss, float correct, i64 step) {
    if (!is_alive) return false;
    is_alive = (bitsof(loss) & INFINITE) != INFINITE;
    if (is_writer && is_alive) {
      add_to(loss_sum, loss);
      add_to(correct_sum, correct);
      add_to(steps_done, (i64)1);
    } else if (is_writer) *diverged_at = step;
    return is_alive;
  }
};
