// The way from tensors of the device to tensors of the host over the same memory, and back.
#pragma once

#include "memory.h"

#include <unordered_map>

namespace testing_device {

inline const void* dataOf(const c10::Storage& storage) { return storage.unsafeGetStorageImpl()->data_ptr().get(); }

// A tensor with the sizes, strides and offset of `like` over another storage.
inline at::Tensor tensorOver(c10::Storage storage, c10::DispatchKey key, const at::Tensor& like) {
  at::Tensor made = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), like.dtype());
  made.unsafeGetTensorImpl()->set_storage_offset(like.storage_offset());
  made.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides());
  return made;
}

// Host aliases of the device tensors of one call. Tensors that share a storage share it as aliases, too, so a kernel
// sees overlaps, and a view that it returns comes back as a view.
class Aliases {
 public:
  at::Tensor toHost(const at::Tensor& device) {
    const auto known = aliasOf_.find(device.unsafeGetTensorImpl());
    if (known != aliasOf_.end()) return known->second.alias;
    const c10::Storage& storage = device.storage();
    auto [entry, isNew] = hostOf_.try_emplace(storage.unsafeGetStorageImpl());
    if (isNew) {
      c10::DataPtr data(untagged(dataOf(storage)), c10::Device(c10::kCPU));
      entry->second = c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), storage.nbytes(),
                                                            std::move(data), c10::GetCPUAllocator(), true);
      deviceOf_.emplace(entry->second.unsafeGetStorageImpl(), storage);
    }
    at::Tensor alias = tensorOver(entry->second, c10::DispatchKey::CPU, device);
    aliasOf_.emplace(device.unsafeGetTensorImpl(), Pair{device, alias});
    return alias;
  }

  // What a kernel returned: the argument itself, a view of one, or memory of its own, which becomes the device's.
  at::Tensor toDevice(const at::Tensor& host, c10::DeviceIndex index) {
    for (const auto& [_, pair] : aliasOf_)
      if (pair.alias.unsafeGetTensorImpl() == host.unsafeGetTensorImpl()) return pair.device;
    auto [entry, isNew] = deviceOf_.try_emplace(host.storage().unsafeGetStorageImpl());
    if (isNew) entry->second = adopt(host.storage(), index);
    return tensorOver(entry->second, c10::DispatchKey::PrivateUse1, host);
  }

  // What a kernel resized (an out= argument) is resized on the device, too.
  void settle() {
    for (auto& [_, pair] : aliasOf_) {
      const auto& [device, alias] = pair;
      const bool moved = untagged(dataOf(device.storage())) != dataOf(alias.storage());
      if (!moved && device.sizes() == alias.sizes() && device.strides() == alias.strides()) continue;
      if (moved) {
        auto* storage = device.storage().unsafeGetStorageImpl();
        const c10::Storage fresh = adopt(alias.storage(), device.device().index());
        storage->set_data_ptr(std::move(const_cast<c10::DataPtr&>(fresh.unsafeGetStorageImpl()->data_ptr())));
        storage->set_nbytes(alias.storage().nbytes());
      }
      device.unsafeGetTensorImpl()->set_sizes_and_strides(alias.sizes(), alias.strides());
    }
  }

 private:
  struct Pair {
    at::Tensor device, alias;
  };

  static c10::Storage adopt(const c10::Storage& host, c10::DeviceIndex index) {
    return c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), host.nbytes(),
                                                 deviceData(dataOf(host), c10::Storage(host), host.nbytes(), index),
                                                 &allocator, true);
  }

  std::unordered_map<c10::TensorImpl*, Pair> aliasOf_;
  std::unordered_map<c10::StorageImpl*, c10::Storage> hostOf_, deviceOf_;
};

}  // namespace testing_device
