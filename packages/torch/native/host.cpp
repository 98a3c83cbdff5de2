// Copies between tensors, JS typed arrays and files. Every one of them is explicit; nothing aliases JS memory.
#include "environment.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

namespace adapt {
namespace {

struct HostBytes {
  char* data;
  size_t length;
};

HostBytes bytesOf(Call& call, size_t i) {
  bool isView = false;
  if (i < call.numArgs) check(call.env, napi_is_typedarray(call.env, call.args[i], &isView));
  if (!isView) throw CodedError("BAD_ARGUMENT", "expected a typed array");
  napi_typedarray_type type;
  size_t length = 0, offset = 0;
  void* data = nullptr;
  napi_value buffer;
  check(call.env, napi_get_typedarray_info(call.env, call.args[i], &type, &length, &data, &buffer, &offset));
  size_t itemSize = 1;
  switch (type) {
    case napi_int16_array:
    case napi_uint16_array: itemSize = 2; break;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array: itemSize = 4; break;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array: itemSize = 8; break;
    default: break;
  }
  return {static_cast<char*>(data), length * itemSize};
}

std::vector<int64_t> shapeFromBuffer(Call& call, size_t numDims) {
  if (numDims > 64) throw CodedError("BAD_ARGUMENT", "more than 64 dimensions");
  std::vector<int64_t> shape(numDims);
  for (size_t i = 0; i < numDims; ++i) {
    const double size = call.state.buffer[i];
    if (!(size >= 0 && size <= 9007199254740991.0) || size != std::floor(size))
      throw CodedError("BAD_ARGUMENT", "a size is negative or not a safe integer");
    shape[i] = static_cast<int64_t>(size);
  }
  return shape;
}

// fromHost(typedArray, dtype, numDims, deviceType, deviceIndex): shape in the buffer. Copies bytes as they are. The way
// to a CUDA device leads through pinned memory, so that the host does not wait for the copy; LibTorch reuses that memory
// only after the copy.
napi_value fromHost(Call& call) {
  const HostBytes source = bytesOf(call, 0);
  const at::ScalarType dtype = call.scalarType(1);
  const c10::DeviceType type = call.deviceType(3);
  const c10::Device device(type, static_cast<c10::DeviceIndex>(call.integer(4)));
  const bool pinned = type == c10::DeviceType::CUDA;
  at::Tensor tensor = at::empty(shapeFromBuffer(call, call.count(2)), at::TensorOptions().dtype(dtype).pinned_memory(pinned));
  if (tensor.nbytes() != source.length)
    throw CodedError("SHAPE_MISMATCH", "the array has " + std::to_string(source.length) + " bytes, the shape needs " + std::to_string(tensor.nbytes()));
  if (source.length > 0) std::memcpy(tensor.data_ptr(), source.data, source.length);
  if (type != c10::DeviceType::CPU) tensor = tensor.to(tensor.options().device(device).pinned_memory(false), /*non_blocking=*/true);
  return call.fromNumber(call.state.slots.add(tensor));
}

at::Tensor hostContiguous(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU).contiguous(); }

// toHost(handle, typedArray): the array must have exactly the tensor's bytes
napi_value toHost(Call& call) {
  const at::Tensor tensor = hostContiguous(call.tensor(0));
  const HostBytes target = bytesOf(call, 1);
  if (tensor.nbytes() != target.length)
    throw CodedError("SHAPE_MISMATCH", "the tensor has " + std::to_string(tensor.nbytes()) + " bytes, the array " + std::to_string(target.length));
  if (target.length > 0) std::memcpy(target.data, tensor.data_ptr(), target.length);
  return call.undefined();
}

// item(handle) -> number
napi_value item(Call& call) {
  const at::Scalar scalar = call.tensor(0).item();
  return call.fromNumber(scalar.isIntegral(true) ? static_cast<double>(scalar.toLong()) : scalar.toDouble());
}

// meta(handle): buffer = [dtype, deviceType, deviceIndex, requiresGrad, isLeaf, numDims, sizes...]
napi_value meta(Call& call) {
  const at::Tensor& tensor = call.tensor(0);
  double* out = call.state.buffer;
  out[0] = static_cast<double>(tensor.scalar_type());
  out[1] = static_cast<double>(tensor.device().type());
  out[2] = static_cast<double>(tensor.device().index());
  out[3] = tensor.requires_grad();
  out[4] = tensor.is_leaf();
  out[5] = static_cast<double>(tensor.dim());
  for (int64_t i = 0; i < tensor.dim(); ++i) out[6 + i] = static_cast<double>(tensor.size(i));
  return call.undefined();
}

// Applies pread/pwrite until all bytes are done.
template <typename Transfer>
void transferAll(Transfer transfer, char* data, size_t length, int64_t offset, const char* verb) {
  size_t done = 0;
  while (done < length) {
    const ssize_t n = transfer(data + done, length - done, offset + static_cast<int64_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw CodedError("FILE_IO", std::string(verb) + " failed: " + std::strerror(errno));
    if (n == 0) throw CodedError("FILE_IO", std::string(verb) + ": the file ended " + std::to_string(length - done) + " bytes early");
    done += static_cast<size_t>(n);
  }
}

// Bytes that are on the host at one time between a file and another device; a multiple of every item's size.
constexpr int64_t kPieceBytes = 8 << 20;

// Calls move(piece, staged, offset) for each piece of a contiguous tensor that is not on the CPU; `staged` has as much on the CPU.
template <typename Move>
void inPieces(const at::Tensor& tensor, Move move) {
  const at::Tensor flat = tensor.view({-1});
  const int64_t itemSize = static_cast<int64_t>(flat.element_size());
  const int64_t length = std::min(flat.numel(), kPieceBytes / itemSize);
  const at::TensorOptions options = at::TensorOptions().dtype(flat.scalar_type()).pinned_memory(flat.is_cuda());
  const at::Tensor staging = at::empty({length}, options);
  for (int64_t at = 0; at < flat.numel(); at += length) {
    const int64_t n = std::min(length, flat.numel() - at);
    move(flat.narrow(0, at, n), staging.narrow(0, 0, n), at * itemSize);
  }
}

// readFile(handle, fd, offset): fills a tensor from a file, without passing through JS memory
napi_value readFile(Call& call) {
  const at::Tensor& tensor = call.tensor(0);
  const int fd = static_cast<int>(call.integer(1));
  const auto read = [fd](char* data, size_t n, int64_t at) { return pread(fd, data, n, at); };
  const int64_t offset = call.integer(2);
  const at::Tensor target = tensor.detach();
  const at::Tensor whole = target.is_contiguous() ? target : at::empty(target.sizes(), target.options());
  if (whole.device().is_cpu()) {
    transferAll(read, static_cast<char*>(whole.data_ptr()), whole.nbytes(), offset, "read");
  } else {
    inPieces(whole, [&](const at::Tensor& piece, const at::Tensor& staged, int64_t at) {
      transferAll(read, static_cast<char*>(staged.data_ptr()), staged.nbytes(), offset + at, "read");
      piece.copy_(staged);
    });
  }
  if (!whole.is_same(target)) target.copy_(whole);
  return call.undefined();
}

// writeFile(handle, fd, offset) -> bytes written
napi_value writeFile(Call& call) {
  const at::Tensor tensor = call.tensor(0).detach().contiguous();
  const int fd = static_cast<int>(call.integer(1));
  const int64_t offset = call.integer(2);
  const auto write = [fd](char* data, size_t n, int64_t at) { return pwrite(fd, data, n, at); };
  if (tensor.device().is_cpu()) {
    transferAll(write, static_cast<char*>(tensor.data_ptr()), tensor.nbytes(), offset, "write");
  } else {
    inPieces(tensor, [&](const at::Tensor& piece, const at::Tensor& staged, int64_t at) {
      staged.copy_(piece);
      transferAll(write, static_cast<char*>(staged.data_ptr()), staged.nbytes(), offset + at, "write");
    });
  }
  return call.fromNumber(static_cast<double>(tensor.nbytes()));
}

}  // namespace

void exportHost(napi_env env, napi_value exports) {
  exportFunction(env, exports, "fromHost", guarded<fromHost>);
  exportFunction(env, exports, "toHost", guarded<toHost>);
  exportFunction(env, exports, "item", guarded<item>);
  exportFunction(env, exports, "meta", guarded<meta>);
  exportFunction(env, exports, "readFile", guarded<readFile>);
  exportFunction(env, exports, "writeFile", guarded<writeFile>);
}

}  // namespace adapt
