// Any operator of the c10 dispatcher through its boxed call. Arguments arrive in the shared Float64Array as
// [tag, payload...] per schema argument, in schema order; results go back the same way from position 0.
#include "environment.h"

#include <ATen/core/jit_type.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <sstream>

namespace adapt {
namespace {

// Must match `Tag` in src/argument-encoder.ts.
enum Tag : int {
  kDefault = 0, kNone = 1, kTensor = 2, kNumber = 3, kInteger = 4, kBool = 5, kNumberList = 6, kTensorList = 7,
  kString = 8, kDevice = 9, kGenerator = 10
};

ArgKind kindOf(const c10::TypePtr& type, bool& optional) {
  using c10::TypeKind;
  if (type->kind() == TypeKind::OptionalType) {
    optional = true;
    bool ignored = false;
    return kindOf(type->castRaw<c10::OptionalType>()->getElementType(), ignored);
  }
  switch (type->kind()) {
    case TypeKind::TensorType: return ArgKind::Tensor;
    case TypeKind::IntType:
    case TypeKind::SymIntType: return ArgKind::Int;
    case TypeKind::FloatType: return ArgKind::Float;
    case TypeKind::BoolType: return ArgKind::Bool;
    case TypeKind::NumberType: return ArgKind::Scalar;
    case TypeKind::StringType: return ArgKind::String;
    case TypeKind::DeviceObjType: return ArgKind::Device;
    case TypeKind::GeneratorType: return ArgKind::Generator;
    case TypeKind::ScalarTypeType: return ArgKind::DType;
    case TypeKind::LayoutType: return ArgKind::Layout;
    case TypeKind::MemoryFormatType: return ArgKind::MemoryFormat;
    case TypeKind::ListType: {
      const auto& element = type->castRaw<c10::ListType>()->getElementType();
      bool elementOptional = false;
      switch (kindOf(element, elementOptional)) {
        case ArgKind::Tensor: return elementOptional ? ArgKind::OptionalTensorList : ArgKind::TensorList;
        case ArgKind::Int: return ArgKind::IntList;
        case ArgKind::Float: return ArgKind::FloatList;
        case ArgKind::Bool: return ArgKind::BoolList;
        case ArgKind::Scalar: return ArgKind::ScalarList;
        default: return ArgKind::Other;
      }
    }
    default: return ArgKind::Other;
  }
}

const char* kindName(ArgKind kind) {
  switch (kind) {
    case ArgKind::Tensor: return "tensor";
    case ArgKind::TensorList: return "tensor[]";
    case ArgKind::OptionalTensorList: return "tensor?[]";
    case ArgKind::Int: return "int";
    case ArgKind::Float: return "float";
    case ArgKind::Bool: return "bool";
    case ArgKind::Scalar: return "scalar";
    case ArgKind::IntList: return "int[]";
    case ArgKind::FloatList: return "float[]";
    case ArgKind::BoolList: return "bool[]";
    case ArgKind::ScalarList: return "scalar[]";
    case ArgKind::DType: return "dtype";
    case ArgKind::Layout: return "layout";
    case ArgKind::MemoryFormat: return "memory_format";
    case ArgKind::String: return "string";
    case ArgKind::Device: return "device";
    case ArgKind::Generator: return "generator";
    default: return "other";
  }
}

// Reads one call's arguments from the shared buffer, never past its end.
class ArgumentReader {
 public:
  ArgumentReader(Call& call, size_t limit) : call_(call), data_(call.state.buffer), limit_(limit) {}

  c10::IValue read(const ResolvedArgument& argument) {
    const int tag = static_cast<int>(next());
    switch (tag) {
      case kDefault:
        if (argument.defaultValue) return *argument.defaultValue;
        if (argument.optional) return c10::IValue();
        throw CodedError("MISSING_ARGUMENT", "is required");
      case kNone:
        if (argument.optional) return c10::IValue();
        throw wrongType(argument, "null");
      case kTensor: {
        const at::Tensor& tensor = call_.state.slots.get(next());
        note(tensor);
        if (argument.kind != ArgKind::Tensor) throw wrongType(argument, "a tensor");
        return tensor;
      }
      case kNumber: return number(argument, next());
      case kInteger: {
        // Two halves, because a double cannot hold every int64.
        const auto high = static_cast<int64_t>(within(-2147483648.0, 2147483647.0));
        const auto low = static_cast<uint64_t>(within(0.0, 4294967295.0));
        if (argument.kind != ArgKind::Int && argument.kind != ArgKind::Scalar) throw wrongType(argument, "a bigint");
        return static_cast<int64_t>((static_cast<uint64_t>(high) << 32) | low);
      }
      case kBool: {
        const bool value = next() != 0;
        if (argument.kind == ArgKind::Bool) return value;
        if (argument.kind == ArgKind::Scalar) return at::Scalar(value);
        throw wrongType(argument, "a boolean");
      }
      case kNumberList: return numberList(argument);
      case kTensorList: return tensorList(argument);
      case kString: {
        if (argument.kind != ArgKind::String) throw wrongType(argument, "a string");
        napi_value value;
        check(call_.env, napi_get_element(call_.env, call_.args[2], static_cast<uint32_t>(within(0.0, 4294967295.0)), &value));
        size_t length = 0;
        check(call_.env, napi_get_value_string_utf8(call_.env, value, nullptr, 0, &length));
        std::string text(length, '\0');
        check(call_.env, napi_get_value_string_utf8(call_.env, value, &text[0], length + 1, &length));
        return text;
      }
      case kDevice: {
        const double limit = static_cast<double>(c10::DeviceType::COMPILE_TIME_MAX_DEVICE_TYPES) - 1;
        const auto type = static_cast<c10::DeviceType>(static_cast<int>(within(0.0, limit)));
        const auto index = static_cast<c10::DeviceIndex>(within(-1.0, 127.0));
        if (argument.kind != ArgKind::Device) throw wrongType(argument, "a device");
        return c10::Device(type, index);
      }
      case kGenerator: {
        const auto index = static_cast<size_t>(within(0.0, 4294967295.0));
        if (argument.kind != ArgKind::Generator) throw wrongType(argument, "a generator");
        if (index >= call_.state.generators.size()) throw CodedError("BAD_ARGUMENT", "unknown generator");
        return call_.state.generators[index];
      }
      default: throw CodedError("BAD_ARGUMENT", "unknown argument tag " + std::to_string(tag));
    }
  }

 private:
  double next() {
    if (position_ >= limit_) throw CodedError("BAD_ARGUMENT", "argument buffer ended early");
    return data_[position_++];
  }
  double within(double low, double high) {
    const double value = next();
    if (!(value >= low && value <= high)) throw CodedError("BAD_ARGUMENT", "argument buffer holds " + std::to_string(value));
    return value;
  }
  size_t count() {
    const double value = next();
    if (!(value >= 0 && value <= static_cast<double>(limit_ - position_))) throw CodedError("BAD_ARGUMENT", "list longer than the buffer");
    return static_cast<size_t>(value);
  }
  static CodedError wrongType(const ResolvedArgument& argument, const char* got) {
    return CodedError("BAD_ARGUMENT", std::string("expected ") + kindName(argument.kind) + ", received " + got);
  }
  void note(const at::Tensor& tensor) {
    sawTensor_ = true;
    if (tensor.defined() && !c10::isIntegralType(tensor.scalar_type(), true)) sawFloating_ = true;
  }
  static int64_t toInteger(double value) {
    if (!(std::abs(value) <= 9007199254740992.0) || value != std::floor(value))
      throw CodedError("BAD_ARGUMENT", "expected an integer, received " + std::to_string(value));
    return static_cast<int64_t>(value);
  }

  static c10::IValue enumeration(double value, int64_t numOptions, int64_t excluded) {
    const int64_t option = toInteger(value);
    if (option < 0 || option >= numOptions || option == excluded)
      throw CodedError("BAD_ARGUMENT", "there is no such value: " + std::to_string(option));
    return option;
  }

  // JS numbers do not say whether they are integers: a Scalar is an integer only beside integer tensors.
  c10::IValue number(const ResolvedArgument& argument, double value) {
    switch (argument.kind) {
      case ArgKind::Int: return toInteger(value);
      case ArgKind::Float: return value;
      case ArgKind::Scalar:
        if (sawTensor_ && !sawFloating_ && value == std::floor(value) && std::abs(value) <= 9007199254740992.0)
          return toInteger(value);
        return value;
      case ArgKind::IntList: return c10::List<int64_t>({toInteger(value)});
      case ArgKind::FloatList: return c10::List<double>({value});
      case ArgKind::DType:
        return enumeration(value, static_cast<int64_t>(at::ScalarType::NumOptions), static_cast<int64_t>(at::ScalarType::Undefined));
      case ArgKind::Layout: return enumeration(value, static_cast<int64_t>(at::Layout::NumOptions), -1);
      case ArgKind::MemoryFormat: return enumeration(value, static_cast<int64_t>(at::MemoryFormat::NumOptions), -1);
      default: throw wrongType(argument, "a number");
    }
  }

  c10::IValue numberList(const ResolvedArgument& argument) {
    const size_t n = count();
    switch (argument.kind) {
      case ArgKind::IntList: {
        c10::List<int64_t> list;
        list.reserve(n);
        for (size_t i = 0; i < n; ++i) list.push_back(toInteger(next()));
        return list;
      }
      case ArgKind::FloatList: {
        c10::List<double> list;
        list.reserve(n);
        for (size_t i = 0; i < n; ++i) list.push_back(next());
        return list;
      }
      case ArgKind::BoolList: {
        c10::List<bool> list;
        for (size_t i = 0; i < n; ++i) list.push_back(next() != 0);
        return list;
      }
      case ArgKind::TensorList:
        if (n == 0) return c10::List<at::Tensor>();
        throw wrongType(argument, "an array of numbers");
      case ArgKind::OptionalTensorList:
        if (n == 0) return c10::List<c10::optional<at::Tensor>>();
        throw wrongType(argument, "an array of numbers");
      case ArgKind::ScalarList: {
        c10::List<at::Scalar> list;
        for (size_t i = 0; i < n; ++i) list.push_back(at::Scalar(next()));
        return c10::impl::toList(list);
      }
      default: throw wrongType(argument, "an array of numbers");
    }
  }

  c10::IValue tensorList(const ResolvedArgument& argument) {
    const size_t n = count();
    if (argument.kind == ArgKind::TensorList) {
      c10::List<at::Tensor> list;
      list.reserve(n);
      for (size_t i = 0; i < n; ++i) {
        list.push_back(call_.state.slots.get(next()));
        note(list[i]);
      }
      return list;
    }
    if (argument.kind == ArgKind::OptionalTensorList) {
      c10::List<c10::optional<at::Tensor>> list;
      for (size_t i = 0; i < n; ++i) {
        const double handle = next();
        if (handle < 0) list.push_back(c10::nullopt);
        else list.push_back(call_.state.slots.get(handle));
      }
      return list;
    }
    throw wrongType(argument, "an array of tensors");
  }

  Call& call_;
  const double* data_;
  size_t limit_;
  size_t position_ = 0;
  bool sawTensor_ = false;
  bool sawFloating_ = false;
};

class ResultWriter {
 public:
  explicit ResultWriter(Call& call) : call_(call) {}

  void write(const c10::IValue& value) {
    if (value.isTensor()) {
      const at::Tensor& tensor = value.toTensor();
      if (!tensor.defined()) return put(kNone);
      put(kTensor);
      put(call_.state.slots.add(tensor));
    } else if (value.isNone()) {
      put(kNone);
    } else if (value.isInt()) {
      put(kNumber);
      put(static_cast<double>(value.toInt()));
    } else if (value.isDouble()) {
      put(kNumber);
      put(value.toDouble());
    } else if (value.isBool()) {
      put(kBool);
      put(value.toBool());
    } else if (value.isTensorList()) {
      const auto list = value.toTensorList();
      put(kTensorList);
      put(static_cast<double>(list.size()));
      for (size_t i = 0; i < list.size(); ++i) put(call_.state.slots.add(list.get(i)));
    } else if (value.isIntList()) {
      const auto list = value.toIntList();
      put(kNumberList);
      put(static_cast<double>(list.size()));
      for (size_t i = 0; i < list.size(); ++i) put(static_cast<double>(list.get(i)));
    } else {
      throw CodedError("UNSUPPORTED_RESULT", "result of kind " + value.tagKind() + " has no TypeScript form");
    }
  }

 private:
  void put(double value) {
    if (position_ >= call_.state.bufferLength) throw CodedError("BUFFER_TOO_SMALL", "result list longer than the shared buffer");
    call_.state.buffer[position_++] = value;
  }
  Call& call_;
  size_t position_ = 0;
};

// resolve(name, overload) -> { id, arguments: [{name, kind, optional, hasDefault, keywordOnly, broadcast}],
// aliasOfArgument, schema } or undefined; asking again gives the same id
napi_value resolve(Call& call) {
  const std::string name = call.string(0);
  const std::string overload = call.string(1);
  const auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
  if (!handle) return call.undefined();
  const auto& schema = handle->schema();
  ResolvedOperator op{*handle, {}, {}};

  napi_value argumentList;
  check(call.env, napi_create_array(call.env, &argumentList));
  uint32_t i = 0;
  for (const auto& argument : schema.arguments()) {
    bool optional = false;
    // The real type tells a dtype from the integer that stands for it.
    const ArgKind kind = kindOf(argument.real_type(), optional);
    ResolvedArgument resolved{kind, optional, std::nullopt};
    if (argument.default_value()) resolved.defaultValue = *argument.default_value();
    op.arguments.push_back(resolved);
    napi_value entry = call.newObject();
    call.set(entry, "name", call.fromString(argument.name()));
    call.set(entry, "kind", call.fromString(kindName(kind)));
    call.set(entry, "optional", call.fromBool(optional));
    call.set(entry, "hasDefault", call.fromBool(argument.default_value().has_value()));
    call.set(entry, "keywordOnly", call.fromBool(argument.kwarg_only()));
    call.set(entry, "broadcast", call.fromBool(argument.N().has_value()));
    check(call.env, napi_set_element(call.env, argumentList, i++, entry));
  }

  napi_value aliases;
  check(call.env, napi_create_array(call.env, &aliases));
  uint32_t r = 0;
  for (const auto& ret : schema.returns()) {
    int alias = -1;
    if (ret.alias_info() && ret.alias_info()->isWrite()) {
      for (size_t a = 0; a < schema.arguments().size(); ++a) {
        const auto* info = schema.arguments()[a].alias_info();
        if (info && info->isWrite() && info->beforeSets() == ret.alias_info()->beforeSets()) {
          alias = static_cast<int>(a);
          break;
        }
      }
    }
    op.aliasOfArgument.push_back(alias);
    check(call.env, napi_set_element(call.env, aliases, r++, call.fromNumber(alias)));
  }

  const auto [known, isNew] = call.state.operatorIds.emplace(name + "." + overload, call.state.operators.size());
  if (isNew) call.state.operators.push_back(std::move(op));
  napi_value result = call.newObject();
  call.set(result, "id", call.fromNumber(static_cast<double>(known->second)));
  call.set(result, "arguments", argumentList);
  call.set(result, "aliasOfArgument", aliases);
  std::ostringstream text;
  text << schema;
  call.set(result, "schema", call.fromString(text.str()));
  return result;
}

// hasKernel(name, overload, deviceType): whether the operator runs there by a kernel of its own, of its parts, or the
// device's fall-back. Not the dispatcher's computed table, which also holds kernels that only serve to transform programs.
napi_value hasKernel(Call& call) {
  auto& dispatcher = c10::Dispatcher::singleton();
  const auto handle = dispatcher.findSchema({call.string(0), call.string(1)});
  const c10::DispatchKey device = c10::computeDispatchKey(c10::nullopt, c10::nullopt, call.deviceType(2));
  bool found = handle && dispatcher.hasBackendFallbackForDispatchKey(device);
  for (const auto key : {device, c10::DispatchKey::CompositeImplicitAutograd, c10::DispatchKey::CompositeExplicitAutograd})
    found = found || (handle && handle->hasKernelForDispatchKey(key));
  return call.fromBool(found);
}

// overloads(name) -> string[]
napi_value overloads(Call& call) {
  const std::string name = call.string(0);
  napi_value list;
  check(call.env, napi_create_array(call.env, &list));
  uint32_t i = 0;
  for (const auto& op : c10::Dispatcher::singleton().getAllOpNames())
    if (op.name == name && c10::Dispatcher::singleton().findSchema(op))
      check(call.env, napi_set_element(call.env, list, i++, call.fromString(op.overload_name)));
  return list;
}

// call(operatorId, numDoubles, strings?) -> undefined; results are in the buffer
napi_value invoke(Call& call) {
  const size_t id = call.count(0);
  if (id >= call.state.operators.size()) throw CodedError("BAD_ARGUMENT", "unknown operator id");
  const ResolvedOperator& op = call.state.operators[id];
  const size_t limit = call.count(1);
  if (limit > call.state.bufferLength) throw CodedError("BAD_ARGUMENT", "argument length is over the buffer");

  torch::jit::Stack& stack = call.state.stack;
  stack.clear();
  // The stack holds references to tensors: empty it on every way out.
  struct Clear {
    torch::jit::Stack& stack;
    ~Clear() { stack.clear(); }
  } clear{stack};

  ArgumentReader reader(call, limit);
  for (size_t i = 0; i < op.arguments.size(); ++i) {
    try {
      stack.push_back(reader.read(op.arguments[i]));
    } catch (const CodedError& error) {
      throw CodedError(error.code, "argument `" + op.handle.schema().arguments()[i].name() + "`: " + error.what());
    }
  }
  op.handle.callBoxed(stack);

  ResultWriter writer(call);
  for (size_t r = 0; r < stack.size(); ++r)
    if (r >= op.aliasOfArgument.size() || op.aliasOfArgument[r] < 0) writer.write(stack[r]);
  return call.undefined();
}

// buffer(numDoubles) -> Float64Array shared with every later call
napi_value buffer(Call& call) {
  const size_t length = call.count(0);
  if (length < 128 || length > (size_t{1} << 24)) throw CodedError("BAD_ARGUMENT", "the buffer holds 128 to 2^24 numbers");
  void* data = nullptr;
  napi_value arrayBuffer, view;
  check(call.env, napi_create_arraybuffer(call.env, length * sizeof(double), &data, &arrayBuffer));
  check(call.env, napi_create_typedarray(call.env, napi_float64_array, length, arrayBuffer, 0, &view));
  if (call.state.bufferRef) napi_delete_reference(call.env, call.state.bufferRef);
  check(call.env, napi_create_reference(call.env, view, 1, &call.state.bufferRef));
  call.state.buffer = static_cast<double*>(data);
  call.state.bufferLength = length;
  return view;
}

napi_value release(Call& call) {
  call.state.slots.release(call.number(0));
  return call.undefined();
}

napi_value isLive(Call& call) { return call.fromBool(call.state.slots.isLive(call.number(0))); }

napi_value escape(Call& call) {
  call.state.slots.escape(call.number(0));
  return call.undefined();
}

napi_value beginScope(Call& call) {
  call.state.slots.beginScope();
  return call.fromNumber(static_cast<double>(call.state.slots.depth()));
}

// endScope(depth, numKept): kept handles are in the buffer
napi_value endScope(Call& call) {
  if (call.count(0) != call.state.slots.depth())
    throw CodedError("SCOPE_UNBALANCED", "scopes must end in the reverse order of their beginning (no await inside a scope)");
  const size_t numKept = call.count(1);
  if (numKept > call.state.bufferLength) throw CodedError("BAD_ARGUMENT", "too many kept tensors");
  call.state.slots.endScope(call.state.buffer, numKept);
  return call.undefined();
}

}  // namespace

void exportDispatch(napi_env env, napi_value exports) {
  exportFunction(env, exports, "resolve", guarded<resolve>);
  exportFunction(env, exports, "hasKernel", guarded<hasKernel>);
  exportFunction(env, exports, "overloads", guarded<overloads>);
  exportFunction(env, exports, "call", guarded<invoke>);
  exportFunction(env, exports, "buffer", guarded<buffer>);
  exportFunction(env, exports, "release", guarded<release>);
  exportFunction(env, exports, "isLive", guarded<isLive>);
  exportFunction(env, exports, "escape", guarded<escape>);
  exportFunction(env, exports, "beginScope", guarded<beginScope>);
  exportFunction(env, exports, "endScope", guarded<endScope>);
}

}  // namespace adapt
