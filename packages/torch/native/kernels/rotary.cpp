// adapt::rotary: x cos + rotateHalf(x) sin over heads, with its gradient, on the CPU. H heads, E head size.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>

#include "loops.h"
#include "parallel.h"

namespace adapt {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kNumbersOfBlock = 16384;

void require(bool holds, const char* message) { TORCH_CHECK(holds, "adapt::rotary: ", message); }

bool isKnown(at::ScalarType dtype) { return dtype == at::kFloat || dtype == at::kBFloat16; }

void checkInputs(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine, at::ScalarType dtype) {
  require(x.device().is_cpu() && cosine.device().is_cpu() && sine.device().is_cpu(), "expected tensors on the CPU");
  require(isKnown(x.scalar_type()) && isKnown(dtype), "expected x and the result in float32 or bfloat16");
  require(cosine.scalar_type() == at::kFloat && sine.scalar_type() == at::kFloat, "expected tables in float32");
  require(x.dim() >= 2 && x.size(-1) % 2 == 0 && x.size(-1) > 0, "expected x [..., H, E] with an even E");
  require(cosine.dim() <= x.dim() && sine.dim() <= x.dim(), "tables have more dimensions than x");
}

// Heads of contiguous numbers, any distance apart.
at::Tensor withDenseRows(const at::Tensor& x) { return x.stride(-1) == 1 ? x : x.contiguous(); }

// Where the heads of each position begin, in a tensor [..., H, E] of any strides.
class Positions {
 public:
  explicit Positions(const at::Tensor& x) : x_(x) {}

  int64_t headStride() const { return x_.stride(-2); }

  char* at(int64_t position) const {
    int64_t offset = 0;
    for (int64_t dim = x_.dim() - 3; dim >= 0; dim--) {
      offset += position % x_.size(dim) * x_.stride(dim);
      position /= x_.size(dim);
    }
    return static_cast<char*>(x_.data_ptr()) + offset * x_.element_size();
  }

 private:
  const at::Tensor& x_;
};

// `input` rotated forward or backward, in a dtype.
at::Tensor rotated(const at::Tensor& input, const at::Tensor& cosine, const at::Tensor& sine, at::ScalarType dtype,
                   void (*rotate)(const RotaryHeads&)) {
  const at::Tensor x = withDenseRows(input);
  const at::Tensor wideCosine = withDenseRows(cosine.expand(x.sizes()));
  const at::Tensor wideSine = withDenseRows(sine.expand(x.sizes()));
  const at::Tensor output = at::empty(x.sizes(), x.options().dtype(dtype));
  const int64_t H = x.size(-2), E = x.size(-1);
  const Positions from(x), cosines(wideCosine), sines(wideSine), to(output);
  if (x.numel() == 0) return output;
  forEachBlock(x.numel() / (H * E), std::max<int64_t>(1, kNumbersOfBlock / (H * E)), [&](int64_t begin, int64_t end) {
    RotaryHeads heads{};
    heads.isInputBfloat16 = x.scalar_type() == at::kBFloat16, heads.isOutputBfloat16 = dtype == at::kBFloat16;
    heads.numHeads = H, heads.half = E / 2;
    heads.inputStride = from.headStride();
    heads.cosineStride = cosines.headStride(), heads.sineStride = sines.headStride();
    for (int64_t position = begin; position < end; position++) {
      heads.input = from.at(position), heads.output = to.at(position);
      heads.cosine = reinterpret_cast<const float*>(cosines.at(position));
      heads.sine = reinterpret_cast<const float*>(sines.at(position));
      rotate(heads);
    }
  });
  return output;
}

at::Tensor rotaryForInference(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine,
                              c10::optional<at::ScalarType> dtype) {
  const at::ScalarType outputDtype = dtype.value_or(x.scalar_type());
  checkInputs(x, cosine, sine, outputDtype);
  return rotated(x, cosine, sine, outputDtype, loops().rotaryForward);
}

class Rotary : public torch::autograd::Function<Rotary> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cosine,
                            const at::Tensor& sine, c10::optional<at::ScalarType> dtype) {
    context->save_for_backward({cosine, sine});
    context->saved_data["dtype"] = static_cast<int64_t>(x.scalar_type());
    return rotaryForInference(x, cosine, sine, dtype);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    RECORD_FUNCTION("adapt::rotary_backward", c10::ArrayRef<const c10::IValue>());
    const variable_list saved = context->get_saved_variables();
    const auto dtype = static_cast<at::ScalarType>(context->saved_data["dtype"].toInt());
    return {rotated(gradients[0], saved[0], saved[1], dtype, loops().rotaryBackward), at::Tensor(), at::Tensor(),
            at::Tensor()};
  }
};

at::Tensor rotaryWithGradient(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine,
                              c10::optional<at::ScalarType> dtype) {
  require(!at::GradMode::is_enabled() || !(cosine.requires_grad() || sine.requires_grad()),
          "tables have no gradient here");
  return Rotary::apply(x, cosine, sine, dtype);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(adapt, library) {
  library.def("rotary(Tensor x, Tensor cos, Tensor sin, ScalarType? dtype=None) -> Tensor");
}
TORCH_LIBRARY_IMPL(adapt, CPU, library) { library.impl("rotary", rotaryForInference); }
TORCH_LIBRARY_IMPL(adapt, AutogradCPU, library) { library.impl("rotary", rotaryWithGradient); }

}  // namespace adapt
