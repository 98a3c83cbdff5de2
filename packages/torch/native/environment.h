// State of one Node environment (main thread or worker): tensor slots, scopes, generators, resolved operators.
// Nothing here is shared between environments, so the add-on can be loaded in worker threads.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/Generator.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <node_api.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "profiler.h"
#include "torch_version.h"

namespace adapt {

// Thrown for misuse that the guard turns into a JS error with this code.
struct CodedError : std::runtime_error {
  CodedError(const char* code_, const std::string& message) : std::runtime_error(message), code(code_) {}
  const char* code;
};

// Tensor handles: an index into this table plus a generation, so that a stale handle is noticed.
// A handle crosses to JS as one double: generation * 2^24 + index (exact below 2^53).
class SlotTable {
 public:
  SlotTable();
  double add(at::Tensor tensor);
  const at::Tensor& get(double handle) const;
  bool isLive(double handle) const;
  void release(double handle);  // releasing twice is allowed
  void escape(double handle);   // no scope will free it
  size_t live() const { return live_; }

  void beginScope() { marks_.push_back(created_.size()); }
  // Frees every tensor created since the matching beginScope, except `kept`, which move to the parent scope.
  void endScope(const double* kept, size_t numKept);
  size_t depth() const { return marks_.size(); }

 private:
  static constexpr double kIndexRange = 16777216.0;  // 2^24 tensors alive at once
  struct Slot {
    at::Tensor tensor;
    uint32_t generation = 0;
    bool used = false;
    size_t scope = 0;  // depth of the scope that will free it; 0 for none
  };
  const Slot* find(double handle) const;
  Slot& slotOf(double handle) { return slots_[static_cast<uint64_t>(handle) & 0xFFFFFF]; }
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<double> created_;
  std::vector<size_t> marks_;
  size_t live_ = 0;
  uint32_t firstGeneration_;
};

// How one schema argument is read from the argument buffer.
enum class ArgKind : uint8_t {
  Tensor, TensorList, OptionalTensorList, Int, Float, Bool, Scalar, IntList, FloatList, BoolList, ScalarList, String,
  Device, Generator, DType, Layout, MemoryFormat, Other
};

struct ResolvedArgument {
  ArgKind kind;
  bool optional;
  std::optional<c10::IValue> defaultValue;
};

struct ResolvedOperator {
  c10::OperatorHandle handle;
  std::vector<ResolvedArgument> arguments;
  std::vector<int> aliasOfArgument;  // per return: argument it aliases and writes to, or -1
};

struct Distributed;  // process_group.h

struct Environment {
  SlotTable slots;
  std::vector<at::Generator> generators;
  std::vector<ResolvedOperator> operators;
  std::unordered_map<std::string, size_t> operatorIds;
  torch::jit::Stack stack;
  napi_ref bufferRef = nullptr;  // keeps the shared argument buffer alive
  double* buffer = nullptr;
  size_t bufferLength = 0;
  int autocastDepth = 0;
  std::shared_ptr<Distributed> distributed;  // empty until a process group is asked for
};

// Every entry point has this shape; `guarded` adapts it to N-API and maps C++ exceptions to JS errors.
struct Call {
  napi_env env;
  Environment& state;
  size_t numArgs;
  napi_value args[8];

  double number(size_t i) const;
  int64_t integer(size_t i) const;
  size_t count(size_t i) const;  // 0 to 2^31 - 1
  at::ScalarType scalarType(size_t i) const;
  c10::DeviceType deviceType(size_t i) const;
  bool boolean(size_t i) const;
  std::string string(size_t i) const;
  const at::Tensor& tensor(size_t i) const { return state.slots.get(number(i)); }
  napi_value undefined() const;
  napi_value fromNumber(double value) const;
  napi_value fromBool(bool value) const;
  napi_value fromString(const std::string& value) const;
  napi_value newObject() const;
  void set(napi_value object, const char* key, napi_value value) const;
};

using Entry = napi_value (*)(Call&);
void check(napi_env env, napi_status status);
napi_value throwMapped(napi_env env);  // call inside a catch block
Call readCall(napi_env env, napi_callback_info info);

// For what begins or ends a recording or a region: as a call of its own it would stand between a region and what that holds.
template <Entry entry>
napi_value unrecorded(napi_env env, napi_callback_info info) {
  try {
    Call call = readCall(env, info);
    return entry(call);
  } catch (...) {
    return throwMapped(env);
  }
}

template <Entry entry>
napi_value guarded(napi_env env, napi_callback_info info) {
  const Span span(SpanKind::Call, "call");
  return unrecorded<entry>(env, info);
}

void exportFunction(napi_env env, napi_value exports, const char* name, napi_callback callback);

void exportDispatch(napi_env env, napi_value exports);
void exportAutograd(napi_env env, napi_value exports);
void exportRecompute(napi_env env, napi_value exports);
void exportHost(napi_env env, napi_value exports);
void exportSystem(napi_env env, napi_value exports);
void exportDevice(napi_env env, napi_value exports);
void exportOnednnLinear(napi_env env, napi_value exports);
void exportStopSignals(napi_env env, napi_value exports);
void exportProcessGroup(napi_env env, napi_value exports);
void exportGradientBuckets(napi_env env, napi_value exports);
void exportProfiler(napi_env env, napi_value exports);

void installCachingAllocator();

}  // namespace adapt
