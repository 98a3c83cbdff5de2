// Every operator without a kernel of its own: the CPU kernel over the same memory, after the checks that CUDA makes.
// LibTorch's own at::native::cpu_fallback copies everything to the host and back, and takes CPU tensors beside tensors
// of the device without a word, which is the very mistake to be found.
#pragma once

#include "aliases.h"
#include "counters.h"
#include "runtime.h"

#include <ATen/core/dispatch/Dispatcher.h>

namespace testing_device {

// Applies `visit` to every defined tensor of an argument or result, and puts what it returns in its place.
template <typename Visit>
void eachTensor(c10::IValue& value, Visit visit) {
  if (value.isTensor()) {
    const at::Tensor tensor = value.toTensor();
    if (tensor.defined()) value = visit(tensor);
  } else if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(tensor.defined() ? visit(tensor) : tensor);
    value = list;
  } else if (value.isOptionalTensorList()) {
    c10::List<c10::optional<at::Tensor>> list;
    for (const c10::optional<at::Tensor>& tensor : value.toOptionalTensorList().vec())
      list.push_back(tensor && tensor->defined() ? c10::optional<at::Tensor>(visit(*tensor)) : tensor);
    value = list;
  }
}

// Whether the size of the result depends on the values: on CUDA the host waits for the device to know it.
inline bool waitsForDevice(const std::string& name, const c10::IValue* arguments, size_t numArguments) {
  static const std::array<const char*, 8> always{"aten::nonzero", "aten::masked_select", "aten::_unique",
                                                 "aten::_unique2", "aten::unique_dim",   "aten::unique_consecutive",
                                                 "aten::equal",    "aten::bincount"};
  if (std::any_of(always.begin(), always.end(), [&](const char* one) { return name == one; })) return true;
  if (name == "aten::repeat_interleave") return arguments[numArguments - 1].isNone();
  // Reading by a mask finds its places by nonzero before it comes here; writing does not.
  if (name != "aten::_index_put_impl_") return false;
  const auto indices = arguments[1].toOptionalTensorList().vec();
  return std::any_of(indices.begin(), indices.end(), [](const c10::optional<at::Tensor>& index) {
    return index && index->defined() && (index->scalar_type() == at::kBool || index->scalar_type() == at::kByte);
  });
}

class HostCall {
 public:
  HostCall(const c10::OperatorHandle& op, torch::jit::Stack* stack)
      : op_(op), schema_(op.schema()), stack_(stack), arguments_(&*(stack->end() - numArguments())) {}

  void run() {
    const std::string& overload = schema_.overload_name();
    noteOperator(overload.empty() ? schema_.name() : schema_.name() + "." + overload);
    if (waitsForDevice(schema_.name(), arguments_, schema_.arguments().size()))
      note(kWaits, kNoWaits, schema_.name() + " waits for the device");
    findDevice();
    for (size_t i = 0; i < schema_.arguments().size(); ++i) translate(i);
    {
      at::AutoDispatchBelowADInplaceOrView below;
      const c10::impl::ExcludeDispatchKeyGuard noAutocast(c10::DispatchKeySet(c10::DispatchKey::AutocastCPU));
      op_.callBoxed(stack_);
    }
    aliases_.settle();
    for (auto it = stack_->end() - static_cast<std::ptrdiff_t>(schema_.returns().size()); it != stack_->end(); ++it)
      eachTensor(*it, [&](const at::Tensor& tensor) { return aliases_.toDevice(tensor, device_.index()); });
  }

 private:
  std::ptrdiff_t numArguments() const { return static_cast<std::ptrdiff_t>(schema_.arguments().size()); }

  // That of the tensors, else that of a device argument, else the current one.
  void findDevice() {
    c10::optional<c10::Device> found;
    for (size_t i = 0; i < schema_.arguments().size(); ++i) {
      eachTensor(arguments_[i], [&](const at::Tensor& tensor) {
        if (!isOnDevice(tensor)) return tensor;
        if (!found) found = tensor.device();
        if (tensor.device() != *found) refuse(*found, tensor.device());
        return tensor;
      });
    }
    for (size_t i = 0; i < schema_.arguments().size(); ++i)
      if (!found && arguments_[i].isDevice() && arguments_[i].toDevice().type() == kDevice) found = arguments_[i].toDevice();
    device_ = found.value_or(c10::Device(kDevice, currentDevice));
  }

  void translate(size_t i) {
    c10::IValue& argument = arguments_[i];
    eachTensor(argument, [&](const at::Tensor& tensor) { return translated(tensor); });
    if (argument.isDevice() && argument.toDevice().type() == kDevice) {
      argument = c10::Device(c10::kCPU);
    } else if (takesGenerator(i)) {
      const at::Generator given = argument.isNone() ? defaultGenerator(device_.index()) : argument.toGenerator();
      TORCH_CHECK(given.device().type() == kDevice, "Expected a '", kDevice, "' device type for generator but found '",
                  given.device(), "' (", schema_.name(), ")");
      argument = static_cast<Generator*>(given.unsafeGetGeneratorImpl())->inner;
    }
  }

  at::Tensor translated(const at::Tensor& tensor) {
    if (isOnDevice(tensor)) return aliases_.toHost(tensor);
    if (tensor.dim() > 0 || !takesHostScalars()) refuse(device_, tensor.device());
    // A number of the program (x + 1) travels as an argument of the kernel.
    if (!tensor.unsafeGetTensorImpl()->is_wrapped_number())
      note(kHostScalars, kNoHostScalars, "a scalar tensor of the host in " + schema_.name());
    return tensor;
  }

  // TensorIterator takes a scalar of the CPU beside tensors of a device; other kernels do not.
  bool takesHostScalars() const {
#if TESTING_TORCH_2_4
    return op_.hasTag(at::Tag::pointwise);
#else
    return true;  // LibTorch 1.13 does not tag its pointwise operators
#endif
  }

  bool takesGenerator(size_t i) const {
    const auto& type = schema_.arguments()[i].type();
    return type->kind() == c10::TypeKind::OptionalType &&
           type->castRaw<c10::OptionalType>()->getElementType()->kind() == c10::TypeKind::GeneratorType;
  }

  [[noreturn]] void refuse(c10::Device one, c10::Device other) const {
    TORCH_CHECK(false, "Expected all tensors to be on the same device, but found at least two devices, ", one, " and ",
                other, "! (", schema_.name(), ")");
  }

  const c10::OperatorHandle& op_;
  const c10::FunctionSchema& schema_;
  torch::jit::Stack* stack_;
  c10::IValue* arguments_;
  c10::Device device_{kDevice, 0};
  Aliases aliases_;
};

inline void runOnHost(const c10::OperatorHandle& op, torch::jit::Stack* stack) { HostCall(op, stack).run(); }

}  // namespace testing_device
