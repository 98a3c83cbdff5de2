// A device without hardware, for tests: PyTorch's PrivateUse1 ("privateuseone:0" and ":1"). Its memory cannot be
// touched by the host, tensors of two devices do not mix, and what crosses between host and device is counted and may
// be forbidden. One translation unit: LibTorch's headers take most of the time of each.
#include "aliases.h"
#include "counters.h"
#include "fallback.h"
#include "group.h"
#include "memory.h"
#include "runtime.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/op_registration/op_registration.h>
#include <torch/library.h>

#if TESTING_TORCH_2_4
#include <ATen/SDPBackend.h>
#include <ATen/autocast_mode.h>
#include <ATen/native/transformers/attention.h>
#endif

namespace testing_device {
namespace {

REGISTER_ALLOCATOR(kDevice, &allocator)
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

// ---- kernels: what makes memory, and what crosses between host and device -------------------------------------------

at::Tensor emptyTensor(at::IntArrayRef size, c10::optional<at::ScalarType> dtype, c10::optional<at::Layout>,
                       c10::optional<at::Device> device, c10::optional<bool>, c10::optional<at::MemoryFormat> format) {
  const UseDevice use(device ? device->index() : -1);
  const c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);
  return at::detail::empty_generic(size, &allocator, keys, dtype.value_or(at::kFloat), format);
}

at::Tensor emptyStrided(at::IntArrayRef size, at::IntArrayRef stride, c10::optional<at::ScalarType> dtype,
                        c10::optional<at::Layout>, c10::optional<at::Device> device, c10::optional<bool>) {
  const UseDevice use(device ? device->index() : -1);
  const c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);
  return at::detail::empty_strided_generic(size, stride, &allocator, keys, dtype.value_or(at::kFloat));
}

// The one way between host and device.
at::Tensor copyFrom(const at::Tensor& source, const at::Tensor& target, bool) {
  const auto bytes = static_cast<int64_t>(source.nbytes());
  if (!isOnDevice(source)) {
    counts[kBytesToDevice] += bytes;
    note(kCopiesToDevice, kNoCopiesToDevice, "a copy to the device");
  } else if (!isOnDevice(target)) {
    counts[kBytesToHost] += bytes;
    note(kCopiesToHost, kNoCopiesToHost, "a copy to the host");
  } else {
    counts[kCopiesWithin] += 1;
  }
  Aliases aliases;
  const at::Tensor from = isOnDevice(source) ? aliases.toHost(source) : source;
  const at::Tensor to = isOnDevice(target) ? aliases.toHost(target) : target;
  const at::AutoDispatchBelowADInplaceOrView below;
  to.copy_(from);
  return target;
}

at::Tensor copyFromAndResize(const at::Tensor& source, const at::Tensor& target) {
  target.resize_(source.sizes());
  return copyFrom(source, target, false);
}

at::Scalar readScalar(const at::Tensor& self) {
  note(kScalarReads, kNoScalarReads, "a read of one scalar (item)");
  Aliases aliases;
  const at::AutoDispatchBelowADInplaceOrView below;
  return at::_local_scalar_dense(aliases.toHost(self));
}

// Not over the CPU kernel, which would grow memory that is only lent to it.
const at::Tensor& resizeTensor(const at::Tensor& self, at::IntArrayRef size, c10::optional<at::MemoryFormat>) {
  const UseDevice use(self.device().index());
  self.unsafeGetTensorImpl()->set_sizes_contiguous(size);
  const size_t need = static_cast<size_t>(self.storage_offset() + self.numel()) * self.itemsize();
  auto* storage = self.storage().unsafeGetStorageImpl();
  if (need <= storage->nbytes()) return self;
  c10::DataPtr grown = Allocator::make(need);
  if (storage->nbytes() > 0) std::memcpy(untagged(grown.get()), untagged(storage->data_ptr().get()), storage->nbytes());
  storage->set_data_ptr(std::move(grown));
  storage->set_nbytes(need);
  return self;
}

// ---- keys above the device's own ------------------------------------------------------------------------------------

// Autograd and autocast of operators that have nothing to say there; newer versions bring some of these themselves.
const bool keysFallThrough = [] {
  static std::vector<c10::RegistrationHandleRAII> kept;
  for (const auto key : {
           c10::DispatchKey::AutogradPrivateUse1,
#if TESTING_TORCH_2_4
           c10::DispatchKey::AutocastPrivateUse1,
#endif
       }) {
    auto& dispatcher = c10::Dispatcher::singleton();
    if (!dispatcher.hasBackendFallbackForDispatchKey(key))
      kept.push_back(dispatcher.registerFallback(key, c10::KernelFunction::makeFallthrough(), "testing device"));
  }
  return true;
}();

#if TESTING_TORCH_2_4
// Attention is decomposed into its products, as on CUDA where no fused kernel fits.
int64_t chooseMath(const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, double,
                   bool, std::optional<double>, bool) {
  return static_cast<int64_t>(at::SDPBackend::math);
}
#endif

}  // namespace
}  // namespace testing_device

#if TESTING_TORCH_2_4
namespace at::native {
REGISTER_PRIVATEUSE1_DISPATCH(_fused_sdp_choice_stub, &testing_device::chooseMath)
}
#endif

namespace testing_device {

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&runOnHost>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", TORCH_FN(emptyTensor));
  library.impl("empty_strided", TORCH_FN(emptyStrided));
  library.impl("_copy_from", TORCH_FN(copyFrom));
  library.impl("_copy_from_and_resize", TORCH_FN(copyFromAndResize));
  library.impl("_local_scalar_dense", TORCH_FN(readScalar));
  library.impl("resize_", TORCH_FN(resizeTensor));
}

#if TESTING_TORCH_2_4
// LibTorch's own lists, as for CUDA.
TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
#define TESTING_LOWER(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
#define TESTING_FP32(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
#define TESTING_FP32_DTYPE(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32_set_opt_dtype)
#define TESTING_PROMOTE(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, promote)
  AT_FORALL_LOWER_PRECISION_FP(TESTING_LOWER)
  AT_FORALL_FP32(TESTING_FP32)
  AT_FORALL_FP32_SET_OPT_DTYPE(TESTING_FP32_DTYPE)
  AT_FORALL_PROMOTE(TESTING_PROMOTE)
}
#endif

// What tests ask, through the dispatcher: the add-on needs no entry of its own.
TORCH_LIBRARY(testing_device, library) {
  library.def("counts() -> int[]", [] { return std::vector<int64_t>(counts.begin(), counts.end()); });
  library.def("reset() -> ()", [] { resetCounts(); });
  library.def("forbid(int mask) -> ()", [](int64_t mask) { forbidden = mask; });
  library.def("times_run(str name) -> int", [](const std::string& name) { return timesRun(name); });
  library.def("bytes_in_use() -> int", [] { return bytesInUse.load(); });
  // 0 takes the limit away.
  library.def("limit_memory(int bytes) -> ()",
              [](int64_t bytes) { bytesAvailable = bytes > 0 ? bytes : std::numeric_limits<int64_t>::max(); });
  // Reads device memory as careless host code would.
  library.def("peek(Tensor x) -> float", [](const at::Tensor& x) { return static_cast<double>(*x.data_ptr<float>()); });
}

}  // namespace testing_device
