// Over the rows of a matrix, without gradient, on the CPU; N rows, D width.
//   adapt::unit_rows  (x - m) / max(|x - m|, eps)
//   adapt::dot_rows   <x, v>
#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>

#include "loops.h"
#include "parallel.h"

namespace adapt {
namespace {

// Less than this is done before another thread has woken up.
constexpr int64_t kNumbersOfBlock = 32768;

void require(bool holds, const char* message) { TORCH_CHECK(holds, "adapt::unit_rows, adapt::dot_rows: ", message); }

at::Tensor unitRowsOf(const at::Tensor& x, const c10::optional<at::Tensor>& mean, double epsilon) {
  require(x.device().is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 2, "expected x [N, D], float32 on the CPU");
  const int64_t N = x.size(0), D = x.size(1);
  const bool isCentred = mean.has_value() && mean->defined();
  require(!isCentred || (mean->device().is_cpu() && mean->scalar_type() == at::kFloat && mean->dim() == 1 && mean->size(0) == D),
          "expected mean [D], float32 on the CPU");
  require(epsilon > 0, "expected eps above 0");
  const at::Tensor rows = x.contiguous();
  const at::Tensor mean_D = isCentred ? mean->contiguous() : at::Tensor();
  const at::Tensor output = at::empty({N, D}, x.options());
  if (output.numel() == 0) return output;
  const Loops& kernel = loops();
  forEachBlock(N, std::max<int64_t>(1, kNumbersOfBlock / D), [&](int64_t begin, int64_t end) {
    CentredRows block{};
    block.numRows = end - begin, block.width = D, block.epsilon = epsilon;
    block.input = rows.data_ptr<float>() + begin * D;
    block.mean = isCentred ? mean_D.data_ptr<float>() : nullptr;
    block.output = output.data_ptr<float>() + begin * D;
    kernel.unitRows(block);
  });
  return output;
}

at::Tensor dotRowsOf(const at::Tensor& x, const at::Tensor& vector) {
  for (const at::Tensor* tensor : {&x, &vector})
    require(tensor->device().is_cpu() && tensor->scalar_type() == at::kFloat, "expected float32 on the CPU");
  require(x.dim() == 2 && vector.numel() == x.size(1), "expected x [N, D] and a vector of D numbers");
  const int64_t N = x.size(0), D = x.size(1);
  const at::Tensor rows = x.contiguous(), vector_D = vector.contiguous();
  const at::Tensor output = at::empty({N}, x.options());
  const Loops& kernel = loops();
  forEachBlock(N, std::max<int64_t>(1, kNumbersOfBlock / std::max<int64_t>(1, D)), [&](int64_t begin, int64_t end) {
    kernel.dotRows(rows.data_ptr<float>() + begin * D, end - begin, D, vector_D.data_ptr<float>(), output.data_ptr<float>() + begin);
  });
  return output;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(adapt, library) {
  library.def("unit_rows(Tensor x, Tensor? mean=None, float eps=1e-8) -> Tensor");
  library.def("dot_rows(Tensor x, Tensor vector) -> Tensor");
}
TORCH_LIBRARY_IMPL(adapt, CPU, library) {
  library.impl("unit_rows", unitRowsOf);
  library.impl("dot_rows", dotRowsOf);
}

}  // namespace adapt
