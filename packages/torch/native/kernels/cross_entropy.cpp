// adapt::cross_entropy_: losses of rows of logits, which become the gradient of their losses, on the CPU.
// C rows, V logits of a row.
#include <ATen/ATen.h>
#include <ATen/MemoryOverlap.h>
#include <torch/library.h>

#include <algorithm>

#include "loops.h"
#include "parallel.h"

namespace adapt {
namespace {

constexpr int64_t kLogitsOfBlock = 65536;

void require(bool holds, const char* message) { TORCH_CHECK(holds, "adapt::cross_entropy_: ", message); }

at::Tensor crossEntropyInPlace(at::Tensor& logits, const at::Tensor& labels) {
  require(logits.device().is_cpu() && labels.device().is_cpu(), "expected tensors on the CPU");
  require(logits.scalar_type() == at::kFloat || logits.scalar_type() == at::kBFloat16, "expected float32 or bfloat16");
  require(logits.dim() == 2 && logits.size(1) > 0 && logits.stride(1) == 1, "expected rows of logits");
  require(labels.scalar_type() == at::kLong && labels.dim() == 1 && labels.size(0) == logits.size(0),
          "expected one int64 label a row");
  require(!at::GradMode::is_enabled() || !logits.requires_grad(), "the logits may not have a graph");
  at::assert_no_internal_overlap(logits);
  const int64_t C = logits.size(0), V = logits.size(1);
  const at::Tensor dense = labels.contiguous();
  const int64_t* label = dense.data_ptr<int64_t>();
  require(std::all_of(label, label + C, [&](int64_t v) { return v >= 0 && v < V; }), "a label is outside the vocabulary");
  const at::Tensor losses = at::empty({C}, logits.options().dtype(at::kFloat));
  float* loss = losses.data_ptr<float>();
  char* first = static_cast<char*>(logits.data_ptr());
  const int64_t rowBytes = logits.stride(0) * logits.element_size();
  const bool isBfloat16 = logits.scalar_type() == at::kBFloat16;
  const Loops& kernel = loops();
  const int64_t rowsOfBlock = std::max<int64_t>(1, kLogitsOfBlock / V);
  forEachBlock(C, rowsOfBlock, kernel.crossEntropyScratch(V), [&](int64_t begin, int64_t end, float* scratch) {
    for (int64_t c = begin; c < end; c++)
      loss[c] = kernel.crossEntropy({isBfloat16, V, label[c], first + c * rowBytes}, scratch);
  });
  // A node that kept the logits has to find out; tensors of inference mode have no version.
  if (!logits.is_inference()) logits.unsafeGetTensorImpl()->bump_version();
  return losses;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(adapt, library) {
  library.def("cross_entropy_(Tensor(a!) logits, Tensor labels) -> Tensor");
}
TORCH_LIBRARY_IMPL(adapt, CPU, library) { library.impl("cross_entropy_", crossEntropyInPlace); }

}  // namespace adapt
