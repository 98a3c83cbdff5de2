// Tensors that are listed in the shared buffer.
#pragma once

#include "environment.h"

#include <torch/csrc/autograd/variable.h>

namespace adapt {

// Reads `count` handles from the shared buffer at `offset`; a negative handle is an undefined tensor.
torch::autograd::variable_list readList(Call& call, size_t offset, size_t count);

}  // namespace adapt
