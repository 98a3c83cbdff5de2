// x W^T in float32 through oneDNN, with its gradient. LibTorch 2 on x86 multiplies float32 with MKL, which takes a
// slow path on processors that are not Intel's; `mkldnn::_linear_pointwise` does not, but has no backward of its own.
// P positions, K width in, N width out.
#include "environment.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>

#include "kernels/loops.h"
#include "kernels/parallel.h"

namespace adapt {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

const c10::optional<c10::OperatorHandle>& linearPointwise() {
  static const c10::optional<c10::OperatorHandle> handle =
      c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
  return handle;
}

// [..., K] x [N, K] -> [..., N]. A weight that is dense neither way would be read a hundred times slower.
at::Tensor product(const at::Tensor& input, const at::Tensor& weight) {
  const bool isDense = weight.is_contiguous() || weight.t().is_contiguous();
  torch::jit::Stack stack;
  stack.emplace_back(input);
  stack.emplace_back(isDense ? weight : weight.contiguous());
  stack.emplace_back(c10::IValue());  // bias
  stack.emplace_back(std::string("none"));
  stack.emplace_back(c10::List<c10::optional<at::Scalar>>());
  stack.emplace_back(std::string());
  linearPointwise()->callBoxed(stack);
  return stack[0].toTensor();
}

// [N, K] -> [K, N], row by row. LibTorch's copy of a transposed view goes number by number.
at::Tensor transposed(const at::Tensor& matrix) {
  const at::Tensor turned = matrix.t();
  if (turned.is_contiguous()) return turned;
  const at::Tensor dense = matrix.stride(1) == 1 ? matrix : matrix.contiguous();
  const int64_t N = dense.size(0), K = dense.size(1), stride = dense.stride(0);
  const at::Tensor result = at::empty({K, N}, dense.options());
  const float* from = dense.data_ptr<float>();
  float* to = result.data_ptr<float>();
  constexpr int64_t kRows = 64;
  forEachBlock(N, kRows, [&](int64_t begin, int64_t end) {
    loops().transpose(from + begin * stride, stride, end - begin, K, to + begin, N);
  });
  return result;
}

bool isIntel() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_is("intel");
#else
  return false;
#endif
}

// Whether g^T x goes through oneDNN: MKL multiplies float32 well on Intel's processors.
bool turnsProducts() {
  static const bool turns = linearPointwise().has_value() && !isIntel();
  return turns;
}

// g^T x: [P, N], [P, K] -> [N, K]. oneDNN's linear wants the first factor row by row and takes the second either way: g is transposed, or x and
// then the product, whichever moves fewer numbers. That costs less than MKL's slow path.
at::Tensor productOverPositions(const at::Tensor& g, const at::Tensor& x) {
  if (!turnsProducts() || g.numel() == 0 || x.numel() == 0) return at::mm(g.t(), x);
  const int64_t P = g.size(0), N = g.size(1), K = x.size(1);
  if (P * N <= P * K + N * K) return product(transposed(g), x.t());
  return transposed(product(transposed(x), g.t()));
}

at::Tensor transposedMatrix(const at::Tensor& matrix) {
  TORCH_CHECK(matrix.dim() == 2 && matrix.scalar_type() == at::kFloat && matrix.device().is_cpu(),
              "adapt::transposed: expected a matrix of float32 on the CPU");
  const at::Tensor turned = transposed(matrix);
  return turned.is_alias_of(matrix) ? turned.clone() : turned;
}

// sum += a^T b, a stretch of columns of `a` at a time: what is made besides stays in the caches.
at::Tensor& addProductOverRows(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  for (const at::Tensor* matrix : {static_cast<const at::Tensor*>(&sum), &a, &b}) {
    TORCH_CHECK(matrix->dim() == 2 && matrix->scalar_type() == at::kFloat && matrix->device().is_cpu(),
                "adapt::add_product_over_rows_: expected matrices of float32 on the CPU");
  }
  const int64_t P = a.size(0), N = a.size(1), K = b.size(1);
  TORCH_CHECK(b.size(0) == P && sum.size(0) == N && sum.size(1) == K, "adapt::add_product_over_rows_: expected [N, K], [P, N] and [P, K], received ",
              sum.sizes(), ", ", a.sizes(), " and ", b.sizes());
  if (!turnsProducts() || a.numel() == 0 || b.numel() == 0) return sum.addmm_(a.t(), b);
  constexpr int64_t kNumbers = int64_t{1} << 19;
  const int64_t step = std::max<int64_t>(64, kNumbers / std::max(P, K));
  const at::Tensor right = b.contiguous().t();
  for (int64_t begin = 0; begin < N; begin += step) {
    const int64_t count = std::min(step, N - begin);
    sum.narrow(0, begin, count).add_(product(transposed(a.narrow(1, begin, count)), right));
  }
  return sum;
}

class OnednnLinear : public torch::autograd::Function<OnednnLinear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight) {
    context->save_for_backward({input, weight});
    return product(input, weight);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& input = saved[0];
    const at::Tensor& weight = saved[1];
    const at::Tensor gradient = gradients[0].contiguous();
    at::Tensor inputGradient, weightGradient;
    if (context->needs_input_grad(0)) inputGradient = product(gradient, transposed(weight));
    if (context->needs_input_grad(1)) {
      const at::Tensor rows = gradient.reshape({-1, weight.size(0)});
      weightGradient = productOverPositions(rows, input.reshape({-1, weight.size(1)}));
    }
    return {inputGradient, weightGradient};
  }
};

// onednnLinear(input, weight) -> handle
napi_value onednnLinear(Call& call) {
  if (!linearPointwise()) throw CodedError("NO_SUCH_OPERATOR", "this LibTorch has no mkldnn::_linear_pointwise");
  const at::Tensor& input = call.tensor(0);
  const at::Tensor& weight = call.tensor(1);
  // The kernel trusts its caller: with other shapes it reads past the end.
  if (weight.dim() != 2 || input.dim() < 1 || input.size(-1) != weight.size(1))
    throw CodedError("SHAPE_MISMATCH", "expected [..., K] and a weight [N, K]");
  for (const at::Tensor* tensor : {&input, &weight}) {
    if (tensor->scalar_type() != at::kFloat || !tensor->device().is_cpu())
      throw CodedError("TYPE_ERROR", "expected float32 tensors on the CPU");
  }
  return call.fromNumber(call.state.slots.add(OnednnLinear::apply(input, weight)));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(adapt, library) {
  library.def("transposed(Tensor matrix) -> Tensor");
  // sum [N, K] += a^T b, [P, N] and [P, K]
  library.def("add_product_over_rows_(Tensor(a!) sum, Tensor a, Tensor b) -> Tensor(a!)");
}
TORCH_LIBRARY_IMPL(adapt, CPU, library) {
  library.impl("transposed", transposedMatrix);
  library.impl("add_product_over_rows_", addProductOverRows);
}

void exportOnednnLinear(napi_env env, napi_value exports) {
  exportFunction(env, exports, "onednnLinear", guarded<onednnLinear>);
}

}  // namespace adapt
