// Losses of an output against a target, as what backpropagation begins with.

#pragma once

#include "activations.h"

enum Loss { LOGISTIC = 0, HINGE = 1, SQUARED = 2, CORRELATION = 3 };

// The loss's derivative with respect to the output f.
static inline vec derivative(int loss, vec f, vec y) {
    if (loss == LOGISTIC) return -y * sigmoid(-y * f);
    if (loss == HINGE) return y * f < splat(1.0f) ? -y : vec{};
    if (loss == SQUARED) return 2.0f * (f - y);
    return -y;
}
