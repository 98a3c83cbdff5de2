// Store, groups and collectives of torch.distributed. Calls block until the group has done them. Sizes are compared by the
// caller (src/distributed/process-group.ts): different ones end the process inside Gloo, where nothing can catch it.
#include "process_group.h"

#ifdef ADAPT_HAS_C10D
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/Logging.h>
#include <dlfcn.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <cstring>
#include <thread>

namespace adapt {

using std::chrono::milliseconds;

// A group that was not closed may have work that waits for a peer which never answers; its destructor would wait as long. It
// stays, with its threads, until the process ends.
Distributed::~Distributed() {
  for (auto& [id, bucketsOfGroup] : buckets) new std::shared_ptr<GradientBuckets>(std::move(bucketsOfGroup));
  for (auto& [id, link] : groups) new LinkPtr(std::move(link));
  for (auto& [id, link] : opening) new std::future<LinkPtr>(std::move(link));
  for (auto& [id, store] : stores) store.release();
}

Distributed& distributedOf(Call& call) {
  if (!call.state.distributed) call.state.distributed = std::make_shared<Distributed>();
  return *call.state.distributed;
}

namespace {

template <typename Value>
Value& find(std::unordered_map<int64_t, Value>& map, int64_t id, const char* what) {
  const auto found = map.find(id);
  if (found == map.end()) throw CodedError("GROUP_CLOSED", std::string("this ") + what + " was closed");
  return found->second;
}

StorePtr storeOf(Call& call, size_t i) { return find(distributedOf(call).stores, call.integer(i), "store"); }

}  // namespace

LinkPtr linkOf(Call& call, size_t i) { return find(distributedOf(call).groups, call.integer(i), "process group"); }

bool isDoneWithin(milliseconds limit, const std::function<bool()>& step) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!step()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

WorkPtr Link::started(WorkPtr work) {
  if (!device) return work;
  const std::lock_guard<std::mutex> lock(mutex_);
  // Each holds its buffers.
  const auto isDone = [](const WorkPtr& one) { return one->isCompleted() && !one->exception(); };
  pending_.erase(std::remove_if(pending_.begin(), pending_.end(), isDone), pending_.end());
  pending_.push_back(work);
  return work;
}

bool Link::settle() {
  const std::lock_guard<std::mutex> lock(mutex_);
  try {
    for (const WorkPtr& work : pending_) {
      if (!work->isCompleted()) return false;
      if (work->exception()) std::rethrow_exception(work->exception());
    }
  } catch (...) {
    hasFailed_ = true;
    throw;
  }
  pending_.clear();
  return !hasFailed_;
}

bool Link::isIdle() noexcept {
  try {
    return settle();
  } catch (...) {
    return false;
  }
}

void Link::abort() {
  if (device && !isAborted_.exchange(true)) device->abort(*group);
}

at::Tensor bytesOf(const Link& link, const at::Tensor& tensor) {
  if (tensor.device().is_cpu() != (link.device == nullptr) || !tensor.is_contiguous())
    throw CodedError("BAD_ARGUMENT", std::string("a collective of this group needs a contiguous tensor on ") + (link.device ? "its device" : "the CPU"));
  return tensor.detach().view({tensor.numel()}).view(at::kByte);
}

WorkPtr startAllToAll(Link& link, const at::Tensor& received, const at::Tensor& sent) {
  at::Tensor output = bytesOf(link, received), input = bytesOf(link, sent);
  std::vector<int64_t> equalSplits;
  return link.started(link.group->alltoall_base(output, input, equalSplits, equalSplits));
}

WorkPtr startAllGather(Link& link, const at::Tensor& all, const at::Tensor& piece) {
  at::Tensor input = bytesOf(link, piece), output = bytesOf(link, all);
  if (link.device) return link.started(link.group->_allgather_base(output, input));
  // Gloo's of LibTorch 1.13 has only this one.
  std::vector<at::Tensor> inputs{input};
  std::vector<std::vector<at::Tensor>> outputs(1);
  for (int rank = 0; rank < link.group->getSize(); ++rank) outputs[0].push_back(output.narrow(0, rank * input.numel(), input.numel()));
  return link.group->allgather(outputs, inputs);
}

namespace {

constexpr int64_t kBlock = 1024;

template <typename Item, typename Total>
void sumInRankOrder(Item* out, const Item* in, int64_t numPieces, int64_t length) {
  at::parallel_for(0, length, 1 << 16, [&](int64_t begin, int64_t end) {
    Total total[kBlock];
    for (int64_t start = begin; start < end; start += kBlock) {
      const int64_t n = std::min(kBlock, end - start);
      std::fill(total, total + n, Total(0));
      for (int64_t piece = 0; piece < numPieces; ++piece) {
        const Item* source = in + piece * length + start;
        for (int64_t i = 0; i < n; ++i) total[i] += static_cast<Total>(source[i]);
      }
      for (int64_t i = 0; i < n; ++i) out[start + i] = static_cast<Item>(total[i]);
    }
  });
}

}  // namespace

void sumPieces(const at::Tensor& out, const at::Tensor& in) {
  const int64_t length = out.numel();
  if (length == 0) return;
  if (in.numel() % length != 0 || in.scalar_type() != out.scalar_type() || !in.is_contiguous() || !out.is_contiguous() ||
      in.device() != out.device())
    throw CodedError("BAD_ARGUMENT", "pieces to sum do not fit their sum");
  const int64_t numPieces = in.numel() / length;
  const at::ScalarType type = out.scalar_type();
  if (!out.device().is_cpu()) {
    at::Tensor total = at::zeros(out.sizes(), out.options().dtype(at::isFloatingType(type) ? at::kDouble : at::kLong));
    for (int64_t piece = 0; piece < numPieces; ++piece) total.add_(in.narrow(0, piece * length, length).view(out.sizes()));
    out.copy_(total);
    return;
  }
  if (at::isFloatingType(type)) {
    AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, type, "sumPieces", [&] {
      sumInRankOrder<scalar_t, double>(out.data_ptr<scalar_t>(), in.data_ptr<scalar_t>(), numPieces, length);
    });
  } else {
    AT_DISPATCH_INTEGRAL_TYPES(type, "sumPieces", [&] {
      sumInRankOrder<scalar_t, int64_t>(out.data_ptr<scalar_t>(), in.data_ptr<scalar_t>(), numPieces, length);
    });
  }
}

namespace {

// What `action` gives, or an error after so long: some calls of the store wait for its host without an end. The thread that
// waits stays behind and holds what it uses.
template <typename Action>
auto within(milliseconds limit, Action action) -> decltype(action()) {
  auto task = std::make_shared<std::packaged_task<decltype(action())()>>(std::move(action));
  auto result = task->get_future();
  std::thread([task] { (*task)(); }).detach();
  if (result.wait_for(limit) != std::future_status::ready) throw CodedError("STORE_SILENT", "the store does not answer");
  return result.get();
}

napi_value keepStore(Call& call, StorePtr store) {
  Distributed& state = distributedOf(call);
  state.stores[state.next] = std::move(store);
  return call.fromNumber(static_cast<double>(state.next++));
}

napi_value keepLink(Call& call, LinkPtr link) {
  Distributed& state = distributedOf(call);
  state.groups[state.next] = std::move(link);
  return call.fromNumber(static_cast<double>(state.next++));
}

// storeOpen(host, port, isServer, timeoutMs) -> store; port 0: the system chooses one (storePort)
napi_value storeOpen(Call& call) {
#if ADAPT_TORCH_AT_LEAST(2, 0)
  c10::initLogging();  // only Python calls it; without it TORCH_CPP_LOG_LEVEL is not read
#endif
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(call.count(1));
  options.isServer = call.boolean(2);
  options.waitWorkers = false;
  options.timeout = milliseconds(call.count(3));
  options.multiTenant = false;
  return keepStore(call, c10::make_intrusive<c10d::TCPStore>(call.string(0), options));
}

// storePort(store) -> port
napi_value storePort(Call& call) {
  const auto* store = dynamic_cast<c10d::TCPStore*>(storeOf(call, 0).get());
  if (store == nullptr) throw CodedError("BAD_ARGUMENT", "only a TCP store has a port");
  return call.fromNumber(static_cast<double>(store->getPort()));
}

// storePrefix(store, prefix) -> store
napi_value storePrefix(Call& call) {
  return keepStore(call, c10::make_intrusive<c10d::PrefixStore>(call.string(1), storeOf(call, 0)));
}

// storeSet(store, key, text, limitMs)
napi_value storeSet(Call& call) {
  const std::string text = call.string(2);
  within(milliseconds(call.count(3)), [store = storeOf(call, 0), key = call.string(1), bytes = std::vector<uint8_t>(text.begin(), text.end())] {
    store->set(key, bytes);
  });
  return call.undefined();
}

// storeGet(store, key, limitMs) -> text, or undefined where nobody has set it
napi_value storeGet(Call& call) {
  using Found = std::pair<bool, std::vector<uint8_t>>;
  const auto [isSet, bytes] = within(milliseconds(call.count(2)), [store = storeOf(call, 0), key = call.string(1)]() -> Found {
    if (!store->check({key})) return {false, {}};
    return {true, store->get(key)};
  });
  return isSet ? call.fromString(std::string(bytes.begin(), bytes.end())) : call.undefined();
}

// storeAdd(store, key, value, limitMs) -> the new sum
napi_value storeAdd(Call& call) {
  const int64_t sum = within(milliseconds(call.count(3)), [store = storeOf(call, 0), key = call.string(1), value = call.integer(2)] {
    return store->add(key, value);
  });
  return call.fromNumber(static_cast<double>(sum));
}

// storeClose(store)
napi_value storeClose(Call& call) {
  distributedOf(call).stores.erase(call.integer(0));
  return call.undefined();
}

// groupOpen(store, rank, size, timeoutMs, hostname, interfaces) -> group. Where both are empty, Gloo looks up this host's name.
napi_value groupOpen(Call& call) {
  auto options = c10d::ProcessGroupGloo::Options::create(milliseconds(call.count(3)));
  const std::string host = call.string(4);
  std::string interfaces = call.string(5);
  while (!interfaces.empty()) {
    const size_t comma = interfaces.find(',');
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(interfaces.substr(0, comma)));
    interfaces = comma == std::string::npos ? "" : interfaces.substr(comma + 1);
  }
  if (options->devices.empty())
    options->devices.push_back(host.empty() ? c10d::ProcessGroupGloo::createDefaultDevice() : c10d::ProcessGroupGloo::createDeviceForHostname(host));
  auto link = std::make_shared<Link>();
  link->group = c10::make_intrusive<c10d::ProcessGroupGloo>(storeOf(call, 0), static_cast<int>(call.integer(1)),
                                                            static_cast<int>(call.integer(2)), options);
  return keepLink(call, std::move(link));
}

// Libraries of device groups stay loaded. Throws CodedError("NO_DEVICE_GROUPS") for what is none, or needs what is not there.
const DeviceGroups& deviceGroups(const std::string& library) {
  void* opened = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!opened) throw CodedError("NO_DEVICE_GROUPS", dlerror());
  const auto groups = reinterpret_cast<decltype(&adaptDeviceGroups)>(dlsym(opened, "adaptDeviceGroups"));
  if (!groups) throw CodedError("NO_DEVICE_GROUPS", library + " opens no groups");
  try {
    return *groups();
  } catch (const std::exception& error) {
    throw CodedError("NO_DEVICE_GROUPS", error.what());
  }
}

// deviceGroupsLoad(library): throws why that cannot be used
napi_value deviceGroupsLoad(Call& call) {
  deviceGroups(call.string(0));
  return call.undefined();
}

// One of each collective: what connects ranks does so in the first, which may take long or fail.
void tryOut(Link& link, const at::Device& device) {
  const at::Tensor sent = at::zeros({link.group->getSize()}, at::TensorOptions().dtype(at::kByte).device(device));
  const at::Tensor received = at::empty_like(sent);
  startAllToAll(link, received, sent)->wait();
  startAllGather(link, received, sent.narrow(0, 0, 1).clone())->wait();
  std::vector<at::Tensor> tensors{sent};
  link.started(link.group->broadcast(tensors, c10d::BroadcastOptions()))->wait();
  while (!link.settle()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// deviceGroupOpen(library, store, rank, size, deviceType, deviceIndex, timeoutMs) -> what deviceGroupReady waits for
napi_value deviceGroupOpen(Call& call) {
  const DeviceGroups& groups = deviceGroups(call.string(0));
  const at::Device device(call.deviceType(4), static_cast<c10::DeviceIndex>(call.integer(5)));
  auto task = std::make_shared<std::packaged_task<LinkPtr()>>(
      [&groups, device, store = storeOf(call, 1), rank = static_cast<int>(call.integer(2)), size = static_cast<int>(call.integer(3)),
       timeout = milliseconds(call.count(6))] {
        const c10::DeviceGuard guard(device);
        const auto link = std::make_shared<Link>();
        link->device = &groups;
        link->group = groups.open(store, rank, size, device.index(), timeout);
        tryOut(*link, device);
        return link;
      });
  Distributed& state = distributedOf(call);
  state.opening[state.next] = task->get_future();
  std::thread([task] { (*task)(); }).detach();
  return call.fromNumber(static_cast<double>(state.next++));
}

// deviceGroupReady(opening, limitMs) -> group, or -1 where that takes longer. Throws why it cannot be.
napi_value deviceGroupReady(Call& call) {
  Distributed& state = distributedOf(call);
  const auto found = state.opening.find(call.integer(0));
  if (found == state.opening.end()) throw CodedError("GROUP_CLOSED", "this group is not being opened");
  if (found->second.wait_for(milliseconds(call.count(1))) != std::future_status::ready) return call.fromNumber(-1);
  auto opened = std::move(found->second);
  state.opening.erase(found);
  return keepLink(call, opened.get());
}

// groupSettle(group, limitMs) -> whether all that was asked of the group is done; waits so long for it. Throws what went wrong.
napi_value groupSettle(Call& call) {
  const LinkPtr link = linkOf(call, 0);
  return call.fromBool(isDoneWithin(milliseconds(call.count(1)), [&] { return link->settle(); }));
}

// groupAbort(group, limitMs): gives up what is under way on a device, so that the process can end
napi_value groupAbort(Call& call) {
  const LinkPtr link = linkOf(call, 0);
  auto task = std::make_shared<std::packaged_task<void()>>([link] { link->abort(); });
  const auto result = task->get_future();
  std::thread([task] { (*task)(); }).detach();
  result.wait_for(milliseconds(call.count(1)));
  return call.undefined();
}

// groupClose(group): what is under way keeps it until the process ends
napi_value groupClose(Call& call) {
  Distributed& state = distributedOf(call);
  const auto found = state.groups.find(call.integer(0));
  if (found == state.groups.end()) return call.undefined();
  if (!found->second->isIdle()) new LinkPtr(found->second);
  state.groups.erase(found);
  return call.undefined();
}

// exchange(group, sent, received): uint8 tensors [N * piece]; piece r of `sent` goes to rank r
napi_value exchange(Call& call) {
  startAllToAll(*linkOf(call, 0), call.tensor(2), call.tensor(1))->wait();
  return call.undefined();
}

// gatherPieces(group, piece, all)
napi_value gatherPieces(Call& call) {
  startAllGather(*linkOf(call, 0), call.tensor(2), call.tensor(1))->wait();
  return call.undefined();
}

// sumOverRanks(group, tensor): [N * piece], in place, in rank order
napi_value sumOverRanks(Call& call) {
  const LinkPtr link = linkOf(call, 0);
  const at::Tensor tensor = call.tensor(1).detach();
  const int64_t length = tensor.numel() / link->group->getSize();
  const at::Tensor received = at::empty_like(tensor);
  startAllToAll(*link, received, tensor)->wait();
  const at::Tensor piece = tensor.narrow(0, link->group->getRank() * length, length);
  sumPieces(piece, received);
  startAllGather(*link, tensor, piece.clone())->wait();
  return call.undefined();
}

// sumStacked(out, in): out = the sum of in's pieces, in their order
napi_value sumStacked(Call& call) {
  sumPieces(call.tensor(0), call.tensor(1));
  return call.undefined();
}

// broadcastFrom(group, tensor, root): in place
napi_value broadcastFrom(Call& call) {
  const LinkPtr link = linkOf(call, 0);
  std::vector<at::Tensor> tensors{bytesOf(*link, call.tensor(1))};
  c10d::BroadcastOptions options;
  options.rootRank = call.integer(2);
  link->started(link->group->broadcast(tensors, options))->wait();
  return call.undefined();
}

c10d::ReduceOp reduceOpOf(const std::string& name) {
  if (name == "sum") return c10d::ReduceOp::SUM;
  if (name == "max") return c10d::ReduceOp::MAX;
  if (name == "min") return c10d::ReduceOp::MIN;
  throw CodedError("BAD_ARGUMENT", "unknown reduction " + name);
}

// allReduce(group, tensor, op): c10d's own, as a process of PyTorch calls it
napi_value allReduce(Call& call) {
  std::vector<at::Tensor> tensors{call.tensor(1)};
  c10d::AllreduceOptions options;
  options.reduceOp = reduceOpOf(call.string(2));
  linkOf(call, 0)->group->allreduce(tensors, options)->wait();
  return call.undefined();
}

// barrier(group): c10d's own
napi_value barrier(Call& call) {
  linkOf(call, 0)->group->barrier()->wait();
  return call.undefined();
}

}  // namespace

void exportProcessGroup(napi_env env, napi_value exports) {
  exportFunction(env, exports, "storeOpen", guarded<storeOpen>);
  exportFunction(env, exports, "storePort", guarded<storePort>);
  exportFunction(env, exports, "storePrefix", guarded<storePrefix>);
  exportFunction(env, exports, "storeSet", guarded<storeSet>);
  exportFunction(env, exports, "storeGet", guarded<storeGet>);
  exportFunction(env, exports, "storeAdd", guarded<storeAdd>);
  exportFunction(env, exports, "storeClose", guarded<storeClose>);
  exportFunction(env, exports, "groupOpen", guarded<groupOpen>);
  exportFunction(env, exports, "deviceGroupsLoad", guarded<deviceGroupsLoad>);
  exportFunction(env, exports, "deviceGroupOpen", guarded<deviceGroupOpen>);
  exportFunction(env, exports, "deviceGroupReady", guarded<deviceGroupReady>);
  exportFunction(env, exports, "groupSettle", guarded<groupSettle>);
  exportFunction(env, exports, "groupAbort", guarded<groupAbort>);
  exportFunction(env, exports, "groupClose", guarded<groupClose>);
  exportFunction(env, exports, "exchange", guarded<exchange>);
  exportFunction(env, exports, "gatherPieces", guarded<gatherPieces>);
  exportFunction(env, exports, "sumOverRanks", guarded<sumOverRanks>);
  exportFunction(env, exports, "sumStacked", guarded<sumStacked>);
  exportFunction(env, exports, "broadcastFrom", guarded<broadcastFrom>);
  exportFunction(env, exports, "allReduce", guarded<allReduce>);
  exportFunction(env, exports, "barrier", guarded<barrier>);
}

}  // namespace adapt

#else
namespace adapt {
void exportProcessGroup(napi_env, napi_value) {}
}  // namespace adapt
#endif
