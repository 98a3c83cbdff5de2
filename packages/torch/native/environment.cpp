#include "environment.h"

#include <c10/util/Exception.h>

#include <atomic>
#include <cstring>
#include <new>

namespace adapt {

// Environments begin at different generations, so that a handle of one is refused by the others.
SlotTable::SlotTable() {
  static std::atomic<uint32_t> numTables{0};
  firstGeneration_ = (numTables.fetch_add(1) * 0x9E3779B1U) & 0x1FFFFFFF;
}

const SlotTable::Slot* SlotTable::find(double handle) const {
  if (!(handle >= 0 && handle < 9007199254740992.0)) return nullptr;
  const auto whole = static_cast<uint64_t>(handle);
  const uint64_t index = whole & 0xFFFFFF;
  if (index >= slots_.size()) return nullptr;
  const Slot& slot = slots_[index];
  return slot.used && slot.generation == (whole >> 24) ? &slot : nullptr;
}

double SlotTable::add(at::Tensor tensor) {
  uint32_t index;
  if (free_.empty()) {
    if (slots_.size() >= static_cast<size_t>(kIndexRange)) throw CodedError("TOO_MANY_TENSORS", "2^24 tensors are alive");
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back().generation = firstGeneration_;
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.tensor = std::move(tensor);
  slot.generation = (slot.generation + 1) & 0x1FFFFFFF;  // 29 bits: handle stays below 2^53
  slot.used = true;
  slot.scope = marks_.size();
  live_ += 1;
  const double handle = slot.generation * kIndexRange + index;
  if (slot.scope > 0) created_.push_back(handle);
  return handle;
}

const at::Tensor& SlotTable::get(double handle) const {
  const Slot* slot = find(handle);
  if (!slot) throw CodedError("TENSOR_DISPOSED", "use of a tensor that was already freed (by its scope or by dispose)");
  return slot->tensor;
}

bool SlotTable::isLive(double handle) const { return find(handle) != nullptr; }

void SlotTable::release(double handle) {
  const Slot* found = find(handle);
  if (!found) return;
  const auto index = static_cast<uint32_t>(found - slots_.data());
  Slot& slot = slots_[index];
  slot.used = false;
  live_ -= 1;
  // Push to the free list before the tensor's destructor runs: the destructor may not touch this table.
  free_.push_back(index);
  at::Tensor doomed = std::move(slot.tensor);
  slot.tensor = at::Tensor();
}

void SlotTable::escape(double handle) {
  get(handle);
  slotOf(handle).scope = 0;
}

void SlotTable::endScope(const double* kept, size_t numKept) {
  if (marks_.empty()) throw CodedError("SCOPE_UNBALANCED", "endScope without beginScope");
  const size_t ending = marks_.size();
  const size_t mark = marks_.back();
  marks_.pop_back();
  // Only this scope's own tensors move to its parent: those of outer scopes stay where they are.
  std::vector<double> survivors;
  for (size_t i = 0; i < numKept; ++i) {
    const Slot* slot = find(kept[i]);
    if (!slot || slot->scope != ending) continue;
    slotOf(kept[i]).scope = ending - 1;
    survivors.push_back(kept[i]);
  }
  for (size_t i = created_.size(); i > mark; --i) {
    const Slot* slot = find(created_[i - 1]);
    if (slot && slot->scope == ending) release(created_[i - 1]);
  }
  created_.resize(mark);
  if (ending > 1) created_.insert(created_.end(), survivors.begin(), survivors.end());
}

void check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  throw CodedError("BAD_ARGUMENT", info && info->error_message ? info->error_message : "Node-API call failed");
}

Call readCall(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  check(env, napi_get_instance_data(env, &data));
  Call call{env, *static_cast<Environment*>(data), 8, {}};
  check(env, napi_get_cb_info(env, info, &call.numArgs, call.args, nullptr, nullptr));
  return call;
}

double Call::number(size_t i) const {
  if (i >= numArgs) throw CodedError("BAD_ARGUMENT", "argument " + std::to_string(i) + " is missing");
  double value;
  if (napi_get_value_double(env, args[i], &value) != napi_ok)
    throw CodedError("BAD_ARGUMENT", "argument " + std::to_string(i) + " is not a number");
  return value;
}

int64_t Call::integer(size_t i) const {
  const double value = number(i);
  if (!(value >= -9007199254740992.0 && value <= 9007199254740992.0) || value != static_cast<double>(static_cast<int64_t>(value)))
    throw CodedError("BAD_ARGUMENT", "argument " + std::to_string(i) + " is not an integer");
  return static_cast<int64_t>(value);
}

size_t Call::count(size_t i) const {
  const int64_t value = integer(i);
  if (value < 0 || value > 0x7FFFFFFF) throw CodedError("BAD_ARGUMENT", "argument " + std::to_string(i) + " is not a count");
  return static_cast<size_t>(value);
}

at::ScalarType Call::scalarType(size_t i) const {
  const int64_t value = integer(i);
  const auto type = static_cast<at::ScalarType>(value);
  if (value < 0 || value >= static_cast<int64_t>(at::ScalarType::NumOptions) || type == at::ScalarType::Undefined)
    throw CodedError("BAD_ARGUMENT", "argument " + std::to_string(i) + " is not a scalar type");
  return type;
}

c10::DeviceType Call::deviceType(size_t i) const {
  const int64_t value = integer(i);
  if (value < 0 || value >= static_cast<int64_t>(c10::DeviceType::COMPILE_TIME_MAX_DEVICE_TYPES))
    throw CodedError("BAD_ARGUMENT", "argument " + std::to_string(i) + " is not a device type");
  return static_cast<c10::DeviceType>(value);
}

bool Call::boolean(size_t i) const {
  bool value;
  if (i >= numArgs || napi_get_value_bool(env, args[i], &value) != napi_ok)
    throw CodedError("BAD_ARGUMENT", "argument " + std::to_string(i) + " is not a boolean");
  return value;
}

std::string Call::string(size_t i) const {
  size_t length = 0;
  if (i >= numArgs || napi_get_value_string_utf8(env, args[i], nullptr, 0, &length) != napi_ok)
    throw CodedError("BAD_ARGUMENT", "argument " + std::to_string(i) + " is not a string");
  std::string value(length, '\0');
  check(env, napi_get_value_string_utf8(env, args[i], &value[0], length + 1, &length));
  return value;
}

napi_value Call::undefined() const {
  napi_value value;
  check(env, napi_get_undefined(env, &value));
  return value;
}

napi_value Call::fromNumber(double number) const {
  napi_value value;
  check(env, napi_create_double(env, number, &value));
  return value;
}

napi_value Call::fromBool(bool boolean) const {
  napi_value value;
  check(env, napi_get_boolean(env, boolean, &value));
  return value;
}

napi_value Call::fromString(const std::string& text) const {
  napi_value value;
  check(env, napi_create_string_utf8(env, text.data(), text.size(), &value));
  return value;
}

napi_value Call::newObject() const {
  napi_value value;
  check(env, napi_create_object(env, &value));
  return value;
}

void Call::set(napi_value object, const char* key, napi_value value) const {
  check(env, napi_set_named_property(env, object, key, value));
}

namespace {

napi_value throwJs(napi_env env, const char* code, const std::string& message, const std::string& backtrace) {
  napi_value codeValue, messageValue, error;
  if (napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &codeValue) != napi_ok) return nullptr;
  if (napi_create_string_utf8(env, message.data(), message.size(), &messageValue) != napi_ok) return nullptr;
  if (napi_create_error(env, codeValue, messageValue, &error) != napi_ok) return nullptr;
  if (!backtrace.empty()) {
    napi_value text;
    if (napi_create_string_utf8(env, backtrace.data(), backtrace.size(), &text) == napi_ok)
      napi_set_named_property(env, error, "nativeBacktrace", text);
  }
  napi_throw(env, error);
  return nullptr;
}

const char* codeOf(const c10::Error& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error)) return "OUT_OF_MEMORY";
  // What a library or the runtime itself could not allocate on a device comes as a plain error.
  for (const char* text : {"CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED"})
    if (std::strstr(error.what_without_backtrace(), text)) return "OUT_OF_MEMORY";
  if (dynamic_cast<const c10::IndexError*>(&error)) return "INDEX_ERROR";
  if (dynamic_cast<const c10::TypeError*>(&error)) return "TYPE_ERROR";
  if (dynamic_cast<const c10::ValueError*>(&error)) return "VALUE_ERROR";
  if (dynamic_cast<const c10::NotImplementedError*>(&error)) return "NOT_IMPLEMENTED";
  return "TORCH_ERROR";
}

}  // namespace

napi_value throwMapped(napi_env env) {
  try {
    throw;
  } catch (const CodedError& error) {
    return throwJs(env, error.code, error.what(), "");
  } catch (const c10::Error& error) {
    return throwJs(env, codeOf(error), error.what_without_backtrace(), error.what());
  } catch (const std::bad_alloc&) {
    return throwJs(env, "OUT_OF_MEMORY", "not enough memory", "");
  } catch (const std::exception& error) {
    return throwJs(env, "TORCH_ERROR", error.what(), "");
  } catch (...) {
    return throwJs(env, "TORCH_ERROR", "unknown native exception", "");
  }
}

void exportFunction(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  check(env, napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function));
  check(env, napi_set_named_property(env, exports, name, function));
}

}  // namespace adapt

NAPI_MODULE_INIT() {
  using namespace adapt;
  try {
    installCachingAllocator();
    auto* state = new Environment();
    napi_status status = napi_set_instance_data(
        env, state,
        [](napi_env finalizeEnv, void* data, void*) {
          auto* doomed = static_cast<Environment*>(data);
          if (doomed->bufferRef) napi_delete_reference(finalizeEnv, doomed->bufferRef);
          delete doomed;
        },
        nullptr);
    if (status != napi_ok) {
      delete state;
      check(env, status);
    }
    exportDispatch(env, exports);
    exportAutograd(env, exports);
    exportRecompute(env, exports);
    exportHost(env, exports);
    exportSystem(env, exports);
    exportDevice(env, exports);
    exportOnednnLinear(env, exports);
    exportProfiler(env, exports);
    exportStopSignals(env, exports);
    exportProcessGroup(env, exports);
    exportGradientBuckets(env, exports);
    return exports;
  } catch (...) {
    return throwMapped(env);
  }
}
