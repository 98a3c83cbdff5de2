// adapt::swiglu: gate sigmoid(gate) up, with its gradient, on the CPU.
#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "loops.h"
#include "parallel.h"
#include "recompute.h"

namespace adapt {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kNumbersOfBlock = 16384;

void require(bool holds, const char* message) { TORCH_CHECK(holds, "adapt::swiglu: ", message); }

void checkInputs(const at::Tensor& gate, const at::Tensor& up) {
  require(gate.device().is_cpu() && up.device().is_cpu(), "expected tensors on the CPU");
  require(gate.scalar_type() == up.scalar_type(), "gate and up differ in dtype");
  require(gate.scalar_type() == at::kFloat || gate.scalar_type() == at::kBFloat16, "expected float32 or bfloat16");
  require(gate.sizes() == up.sizes(), "gate and up differ in shape");
}

char* address(const at::Tensor& x, int64_t i) { return static_cast<char*>(x.data_ptr()) + i * x.element_size(); }

// Blocks of numbers of a dense gate and up, for a loop that completes and takes them.
template <typename Work>
void forEachStretch(const at::Tensor& gate, const at::Tensor& up, Work work) {
  forEachBlock(gate.numel(), kNumbersOfBlock, [&](int64_t begin, int64_t end) {
    GatedNumbers numbers{};
    numbers.isBfloat16 = gate.scalar_type() == at::kBFloat16;
    numbers.count = end - begin;
    numbers.gate = address(gate, begin), numbers.up = address(up, begin);
    work(numbers, begin);
  });
}

at::Tensor swigluForInference(const at::Tensor& gate, const at::Tensor& up) {
  checkInputs(gate, up);
  const at::Tensor output = at::empty(gate.sizes(), gate.options());
  const Loops& kernel = loops();
  forEachStretch(gate.contiguous(), up.contiguous(), [&](GatedNumbers& numbers, int64_t begin) {
    numbers.output = address(output, begin);
    kernel.swigluForward(numbers);
  });
  return output;
}

class Swiglu : public torch::autograd::Function<Swiglu> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up) {
    context->save_for_backward({gate, up});
    return swigluForInference(gate, up);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    RECORD_FUNCTION("adapt::swiglu_backward", c10::ArrayRef<const c10::IValue>());
    const variable_list saved = context->get_saved_variables();
    const at::Tensor outputGradient = gradients[0].contiguous();
    const at::Tensor gateGradient = at::empty(saved[0].sizes(), saved[0].options());
    const at::Tensor upGradient = at::empty(saved[1].sizes(), saved[1].options());
    const Loops& kernel = loops();
    forEachStretch(saved[0].contiguous(), saved[1].contiguous(), [&](GatedNumbers& numbers, int64_t begin) {
      numbers.outputGradient = address(outputGradient, begin);
      numbers.gateGradient = address(gateGradient, begin);
      numbers.upGradient = address(upGradient, begin);
      kernel.swigluBackward(numbers);
    });
    return {gateGradient, upGradient};
  }
};

using SwigluNode = torch::autograd::CppNode<Swiglu>;

at::Tensor swigluAgain(torch::autograd::Node& node) {
  const variable_list saved = static_cast<SwigluNode&>(node).ctx_.get_saved_variables();
  return swigluForInference(saved[0], saved[1]);
}

at::Tensor swigluWithGradient(const at::Tensor& gate, const at::Tensor& up) { return Swiglu::apply(gate, up); }

}  // namespace

Recompute recomputeOfSwiglu(torch::autograd::Node& node) {
  return dynamic_cast<SwigluNode*>(&node) ? swigluAgain : nullptr;
}

TORCH_LIBRARY_FRAGMENT(adapt, library) { library.def("swiglu(Tensor gate, Tensor up) -> Tensor"); }
TORCH_LIBRARY_IMPL(adapt, CPU, library) { library.impl("swiglu", swigluForInference); }
TORCH_LIBRARY_IMPL(adapt, AutogradCPU, library) { library.impl("swiglu", swigluWithGradient); }

}  // namespace adapt
