// Results that backward need not keep: their kernels compute them again from what their own nodes keep.
#pragma once

#include <torch/csrc/autograd/function.h>

namespace adapt {

using Recompute = at::Tensor (*)(torch::autograd::Node&);

// How to compute again what a node gave; null for nodes of another kind.
Recompute recomputeOfRmsNorm(torch::autograd::Node& node);
Recompute recomputeOfSwiglu(torch::autograd::Node& node);

}  // namespace adapt
