// Autograd, grad mode and autocast. Grad mode and autocast are thread-local in LibTorch: TypeScript sets and
// restores them within one synchronous call. JS is never called from backward.
#include "tensor_list.h"

#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

namespace adapt {

using torch::autograd::variable_list;

variable_list readList(Call& call, size_t offset, size_t count) {
  if (offset + count > call.state.bufferLength) throw CodedError("BAD_ARGUMENT", "list longer than the shared buffer");
  variable_list list;
  list.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const double handle = call.state.buffer[offset + i];
    list.push_back(handle < 0 ? at::Tensor() : call.state.slots.get(handle));
  }
  return list;
}

namespace {

struct Lists {
  variable_list outputs, gradients, inputs;
};

// (numOutputs, numGradients, numInputs, ...): the lists follow each other in the buffer.
Lists readLists(Call& call) {
  const size_t numOutputs = call.count(0);
  const size_t numGradients = call.count(1);
  const size_t numInputs = call.count(2);
  return {readList(call, 0, numOutputs), readList(call, numOutputs, numGradients),
          readList(call, numOutputs + numGradients, numInputs)};
}

// backward(numOutputs, numGradients, numInputs, retainGraph)
napi_value backward(Call& call) {
  const Lists lists = readLists(call);
  torch::autograd::backward(lists.outputs, lists.gradients, call.boolean(3), false, lists.inputs);
  return call.undefined();
}

// grad(numOutputs, numGradients, numInputs, retainGraph, allowUnused): handles (or -1) are left in the buffer
napi_value grad(Call& call) {
  const Lists lists = readLists(call);
  const variable_list result =
      torch::autograd::grad(lists.outputs, lists.inputs, lists.gradients, call.boolean(3), false, call.boolean(4));
  for (size_t i = 0; i < result.size(); ++i)
    call.state.buffer[i] = result[i].defined() ? call.state.slots.add(result[i]) : -1;
  return call.fromNumber(static_cast<double>(result.size()));
}

napi_value setRequiresGrad(Call& call) {
  const at::Tensor& tensor = call.tensor(0);
  const bool value = call.boolean(1);
  if (!value && !tensor.is_leaf())
    throw CodedError("NOT_A_LEAF", "only a leaf can stop requiring a gradient; this tensor was computed: detach it instead");
  tensor.set_requires_grad(value);
  return call.undefined();
}

// getGrad(handle) -> handle or -1
napi_value getGrad(Call& call) {
  const at::Tensor& gradient = call.tensor(0).grad();
  return call.fromNumber(gradient.defined() ? call.state.slots.add(gradient) : -1);
}

// setGrad(handle, gradientHandle or -1)
napi_value setGrad(Call& call) {
  const double handle = call.number(1);
  call.tensor(0).mutable_grad() = handle < 0 ? at::Tensor() : call.state.slots.get(handle);
  return call.undefined();
}

// setGradMode(enabled) -> previous
napi_value setGradMode(Call& call) {
  const bool previous = c10::GradMode::is_enabled();
  c10::GradMode::set_enabled(call.boolean(0));
  return call.fromBool(previous);
}

void enableAutocast(c10::DeviceType device, bool enabled, at::ScalarType dtype) {
#if ADAPT_TORCH_AT_LEAST(2, 4)
  at::autocast::set_autocast_dtype(device, dtype);
  at::autocast::set_autocast_enabled(device, enabled);
#else
  if (device == c10::DeviceType::CPU) {
    at::autocast::set_autocast_cpu_dtype(dtype);
    at::autocast::set_cpu_enabled(enabled);
  } else if (device == c10::DeviceType::CUDA) {
    at::autocast::set_autocast_gpu_dtype(dtype);
    at::autocast::set_enabled(enabled);
  } else {
    throw CodedError("UNSUPPORTED_AUTOCAST", "LibTorch " TORCH_VERSION " has autocast for cpu and cuda only; from 2.4 on it has it for " +
                                                 c10::DeviceTypeName(device, true) + " too");
  }
#endif
}

// beginAutocast(deviceType, dtype)
napi_value beginAutocast(Call& call) {
  enableAutocast(call.deviceType(0), true, call.scalarType(1));
  at::autocast::increment_nesting();
  return call.undefined();
}

// endAutocast(deviceType, dtype, outerEnabled): drops the cache of cast weights when the outermost region ends
napi_value endAutocast(Call& call) {
  const c10::DeviceType device = call.deviceType(0);
  const at::ScalarType dtype = call.scalarType(1);
  const bool outerEnabled = call.boolean(2);
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  enableAutocast(device, outerEnabled, dtype);
  return call.undefined();
}

}  // namespace

void exportAutograd(napi_env env, napi_value exports) {
  exportFunction(env, exports, "backward", guarded<backward>);
  exportFunction(env, exports, "grad", guarded<grad>);
  exportFunction(env, exports, "setRequiresGrad", guarded<setRequiresGrad>);
  exportFunction(env, exports, "getGrad", guarded<getGrad>);
  exportFunction(env, exports, "setGrad", guarded<setGrad>);
  exportFunction(env, exports, "setGradMode", guarded<setGradMode>);
  exportFunction(env, exports, "beginAutocast", guarded<beginAutocast>);
  exportFunction(env, exports, "endAutocast", guarded<endAutocast>);
}

}  // namespace adapt
