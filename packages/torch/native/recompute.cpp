// Activation recomputation for single tensors: what a kernel of ours gave is freed after the forward and made again when backward needs it.
#include "kernels/recompute.h"
#include "tensor_list.h"

#include <ATen/record_function.h>

#include <memory>
#include <type_traits>
#include <utility>

namespace adapt {
namespace {

using torch::autograd::Node;
// A std::shared_ptr, or an intrusive one of later versions.
using NodePointer = std::decay_t<decltype(std::declval<const at::Tensor&>().grad_fn())>;

Recompute recomputeOf(Node& node) {
  const Recompute found = recomputeOfRmsNorm(node);
  return found ? found : recomputeOfSwiglu(node);
}

// The storage of a result, whose numbers come and go; nodes that read it hold the same one.
class FreedResult {
 public:
  FreedResult(const at::Tensor& result, Recompute recompute)
      : storage_(result.storage()), maker_(result.grad_fn()), recompute_(recompute) {
    put(at::DataPtr(nullptr, storage_.device()), 0);
  }

  // The first call alone; backward of all tensors on the CPU runs in one thread.
  void restore() {
    if (!maker_) return;
    RECORD_FUNCTION("adapt::recompute", c10::ArrayRef<const c10::IValue>());
    const at::Tensor again = recompute_(*maker_);
    c10::StorageImpl* made = again.storage().unsafeGetStorageImpl();
    const size_t numBytes = made->nbytes();
    put(made->set_data_ptr(at::DataPtr(nullptr, storage_.device())), numBytes);
    made->set_nbytes(0);
    // The readers' nodes free the numbers for good when they are done.
    storage_ = c10::Storage();
    maker_.reset();
  }

 private:
  void put(at::DataPtr&& data, size_t numBytes) {
    c10::StorageImpl* storage = storage_.unsafeGetStorageImpl();
    storage->set_data_ptr_noswap(std::move(data));
    storage->set_nbytes(numBytes);
  }

  c10::Storage storage_;
  NodePointer maker_;
  Recompute recompute_;
};

// recomputeInBackward(handle, numReaders): readers are in the buffer
napi_value recomputeInBackward(Call& call) {
  const at::Tensor result = call.tensor(0);
  std::vector<at::Tensor> readers;
  for (const at::Tensor& reader : readList(call, 0, call.count(1)))
    if (reader.requires_grad()) readers.push_back(reader);
  const Recompute recompute = result.grad_fn() && !readers.empty() ? recomputeOf(*result.grad_fn()) : nullptr;
  if (!recompute) return call.undefined();
  const auto freed = std::make_shared<FreedResult>(result, recompute);
  // A gradient reaches what was read out of it before the nodes that read it run.
  for (const at::Tensor& reader : readers) reader.register_hook([freed](const at::Tensor&) { freed->restore(); });
  return call.undefined();
}

}  // namespace

void exportRecompute(napi_env env, napi_value exports) {
  exportFunction(env, exports, "recomputeInBackward", guarded<recomputeInBackward>);
}

}  // namespace adapt
