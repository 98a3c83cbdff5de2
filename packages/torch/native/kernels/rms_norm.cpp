// adapt::rms_norm: x / sqrt(mean(x^2) + eps) * weight over the last dimension, with its gradient, on the CPU.
// N rows, D width.
#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>

#include "loops.h"
#include "parallel.h"
#include "recompute.h"

namespace adapt {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kRowsOfBlock = 64;
// Rows whose weight gradients are summed in float32, before those of all are in float64: in the same order on any number of threads.
constexpr int64_t kRowsOfSum = 16;
constexpr int64_t kColumnsOfBlock = 64;

void require(bool holds, const char* message) { TORCH_CHECK(holds, "adapt::rms_norm: ", message); }

bool isBfloat16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

bool isKnown(at::ScalarType dtype) { return dtype == at::kFloat || dtype == at::kBFloat16; }

void checkInputs(const at::Tensor& x, const at::Tensor& weight, at::ScalarType dtype) {
  require(x.device().is_cpu() && weight.device().is_cpu(), "expected tensors on the CPU");
  require(isKnown(x.scalar_type()) && isKnown(weight.scalar_type()) && isKnown(dtype), "expected float32 or bfloat16");
  require(weight.dim() == 1 && x.dim() >= 1 && x.size(-1) == weight.size(0) && weight.size(0) > 0,
          "expected weight [D] and x [..., D]");
}

char* rowOf(const at::Tensor& x, int64_t row) {
  return static_cast<char*>(x.data_ptr()) + row * x.size(-1) * x.element_size();
}

struct Normed {
  at::Tensor output, inverse;
};

Normed normalise(const at::Tensor& x, const at::Tensor& weight, double epsilon, c10::optional<at::ScalarType> dtype) {
  const at::ScalarType outputDtype = dtype.value_or(at::kFloat);
  checkInputs(x, weight, outputDtype);
  const at::Tensor rows = x.contiguous();
  const at::Tensor weight32 = weight.to(at::kFloat).contiguous();
  const at::Tensor output = at::empty(x.sizes(), x.options().dtype(outputDtype));
  const int64_t D = weight.size(0), N = x.numel() / D;
  const at::Tensor inverse = at::empty({N}, x.options().dtype(at::kFloat));
  const Loops& kernel = loops();
  forEachBlock(N, kRowsOfBlock, [&](int64_t begin, int64_t end) {
    NormRows block{};
    block.isInputBfloat16 = isBfloat16(x), block.isOutputBfloat16 = isBfloat16(output);
    block.numRows = end - begin, block.width = D, block.epsilon = epsilon;
    block.input = rowOf(rows, begin), block.weight = weight32.data_ptr<float>();
    block.output = rowOf(output, begin), block.inverse = inverse.data_ptr<float>() + begin;
    kernel.rmsNormForward(block);
  });
  return {output, inverse};
}

// [sums, D] -> [D], from the first to the last.
at::Tensor sumInOrder(const at::Tensor& partial) {
  const int64_t D = partial.size(1), numSums = partial.size(0);
  const at::Tensor sum = at::empty({D}, partial.options());
  const float* from = partial.data_ptr<float>();
  float* to = sum.data_ptr<float>();
  forEachBlock(D, kColumnsOfBlock, [&](int64_t begin, int64_t end) {
    double sums[kColumnsOfBlock] = {};
    for (int64_t row = 0; row < numSums; row++) {
      for (int64_t i = begin; i < end; i++) sums[i - begin] += from[row * D + i];
    }
    for (int64_t i = begin; i < end; i++) to[i] = static_cast<float>(sums[i - begin]);
  });
  return sum;
}

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double epsilon,
                            c10::optional<at::ScalarType> dtype) {
    const Normed normed = normalise(x, weight, epsilon, dtype);
    context->save_for_backward({x, weight, normed.inverse});
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["dtype"] = normed.output.scalar_type();
    return normed.output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    RECORD_FUNCTION("adapt::rms_norm_backward", c10::ArrayRef<const c10::IValue>());
    const variable_list saved = context->get_saved_variables();
    const at::Tensor x = saved[0].contiguous(), weight = saved[1].to(at::kFloat).contiguous();
    const at::Tensor inverse = saved[2], outputGradient = gradients[0].contiguous();
    const int64_t D = weight.size(0), N = inverse.size(0), numSums = (N + kRowsOfSum - 1) / kRowsOfSum;
    at::Tensor inputGradient, partial;
    if (context->needs_input_grad(0)) inputGradient = at::empty(x.sizes(), x.options());
    if (context->needs_input_grad(1)) partial = at::empty({numSums, D}, weight.options());
    const Loops& kernel = loops();
    forEachBlock(N, kRowsOfBlock, [&](int64_t first, int64_t last) {
      NormRows block{};
      block.isInputBfloat16 = isBfloat16(x), block.isOutputBfloat16 = isBfloat16(outputGradient);
      block.width = D, block.weight = weight.data_ptr<float>();
      for (int64_t begin = first; begin < last; begin += kRowsOfSum) {
        block.numRows = std::min(kRowsOfSum, last - begin);
        block.input = rowOf(x, begin), block.inverse = inverse.data_ptr<float>() + begin;
        block.outputGradient = rowOf(outputGradient, begin);
        if (inputGradient.defined()) block.inputGradient = rowOf(inputGradient, begin);
        if (partial.defined()) block.weightGradient = partial.data_ptr<float>() + begin / kRowsOfSum * D;
        kernel.rmsNormBackward(block);
      }
    });
    const at::Tensor weightGradient = partial.defined() ? sumInOrder(partial).to(saved[1].scalar_type()) : at::Tensor();
    return {inputGradient, weightGradient, at::Tensor(), at::Tensor()};
  }
};

using RmsNormNode = torch::autograd::CppNode<RmsNorm>;

at::Tensor rmsNormAgain(torch::autograd::Node& node) {
  AutogradContext& context = static_cast<RmsNormNode&>(node).ctx_;
  const variable_list saved = context.get_saved_variables();
  return normalise(saved[0], saved[1], context.saved_data["epsilon"].toDouble(), context.saved_data["dtype"].toScalarType())
      .output;
}

at::Tensor rmsNormForInference(const at::Tensor& x, const at::Tensor& weight, double epsilon,
                               c10::optional<at::ScalarType> dtype) {
  return normalise(x, weight, epsilon, dtype).output;
}

at::Tensor rmsNormWithGradient(const at::Tensor& x, const at::Tensor& weight, double epsilon,
                               c10::optional<at::ScalarType> dtype) {
  return RmsNorm::apply(x, weight, epsilon, dtype);
}

}  // namespace

Recompute recomputeOfRmsNorm(torch::autograd::Node& node) {
  return dynamic_cast<RmsNormNode*>(&node) ? rmsNormAgain : nullptr;
}

TORCH_LIBRARY_FRAGMENT(adapt, library) {
  library.def("rms_norm(Tensor x, Tensor weight, float eps, ScalarType? dtype=None) -> Tensor");
}
TORCH_LIBRARY_IMPL(adapt, CPU, library) { library.impl("rms_norm", rmsNormForInference); }
TORCH_LIBRARY_IMPL(adapt, AutogradCPU, library) { library.impl("rms_norm", rmsNormWithGradient); }

}  // namespace adapt
