// Gradients in buckets that are summed over ranks while backward still runs. A bucket is a flat tensor [N * piece] whose parts the
// gradients are; rank r sums piece r of all ranks, in rank order. TypeScript lays them out: src/distributed/gradient-buckets.ts.
#include "process_group.h"

#ifdef ADAPT_HAS_C10D
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <mutex>
#include <thread>

namespace adapt {

using Clock = std::chrono::steady_clock;

// One collective of a bucket under way, with copies of what lies on another device than the link exchanges.
struct Flight {
  WorkPtr work;
  at::Tensor sent, received;
};

struct GradientBuckets {
  struct Parameter {
    at::Tensor tensor, view;
    size_t bucket = 0;
    bool isReady = false;
  };
  struct Bucket {
    at::Tensor flat;
    size_t firstParameter = 0, numParameters = 0, numWaiting = 0;
    Flight flight;
  };

  LinkPtr link;  // empty for a world of one
  int rank = 0, size = 1;
  std::vector<Parameter> parameters;
  std::vector<Bucket> buckets;
  // Kept alive: the parameters hold them weakly, and the hooks sit on them.
  std::vector<decltype(torch::autograd::impl::grad_accumulator(at::Tensor()))> accumulators;
  at::Tensor scale;
  bool isArmed = false, isFinishing = false;
  size_t numLaunched = 0, numSummed = 0, numLaunchedInBackward = 0;
  size_t numSent = 0, numGathered = 0;  // of a gather under way
  std::exception_ptr failure;
  std::mutex mutex;  // a device's backward has threads of its own

  int64_t pieceLength(const Bucket& bucket) const { return bucket.flat.numel() / size; }
  at::Tensor pieceOf(const Bucket& bucket) const {
    return bucket.flat.narrow(0, rank * pieceLength(bucket), pieceLength(bucket));
  }

  at::Device linkDevice(const Bucket& bucket) const { return link->device ? bucket.flat.device() : at::Device(at::kCPU); }

  // Gradients that somebody replaced by tensors of their own come back into the bucket.
  void settle(const Bucket& bucket) {
    for (size_t i = bucket.firstParameter; i < bucket.firstParameter + bucket.numParameters; ++i) {
      Parameter& parameter = parameters[i];
      at::Tensor& gradient = parameter.tensor.mutable_grad();
      if (gradient.defined() && gradient.data_ptr() == parameter.view.data_ptr()) continue;
      if (gradient.defined()) parameter.view.copy_(gradient);
      else parameter.view.zero_();
      gradient = parameter.view;
    }
  }

  void launch(size_t index) {
    c10::NoGradGuard guard;
    Bucket& bucket = buckets[index];
    settle(bucket);
    if (scale.defined()) bucket.flat.mul_(scale);
    if (!link) return;
    bucket.flight.sent = bucket.flat.to(linkDevice(bucket));  // the bucket itself where it lies there
    bucket.flight.received = at::empty_like(bucket.flight.sent);
    bucket.flight.work = startAllToAll(*link, bucket.flight.received, bucket.flight.sent);
  }

  // Whether the work of a flight is done, so that waiting for it takes no time; over the host it is waited for where `wait` says so. Nothing is
  // asked of a device that waits for another rank: its queue has an end, and who asks beyond it is held where nobody looks after the ranks.
  bool hasArrived(const Flight& flight, bool wait) const {
    if (!flight.work->isCompleted() && (link->device || !wait)) return false;
    if (link->device && flight.work->exception()) std::rethrow_exception(flight.work->exception());
    return true;
  }

  // Sums the pieces of buckets that have come, in the order in which they were sent.
  void sumArrived(bool wait) {
    c10::NoGradGuard guard;
    for (; numSummed < numLaunched; ++numSummed) {
      Bucket& bucket = buckets[numSummed];
      if (!link) continue;
      if (!hasArrived(bucket.flight, wait)) return;
      bucket.flight.work->wait();
      const at::Tensor piece = bucket.flight.sent.narrow(0, rank * pieceLength(bucket), pieceLength(bucket));
      sumPieces(piece, bucket.flight.received);
      if (bucket.flight.sent.device() != bucket.flat.device()) pieceOf(bucket).copy_(piece);
      bucket.flight = Flight();
    }
  }

  // Of a hook an exception would leave backward half done: it is kept for finish.
  void ready(size_t index, bool byHook) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!isArmed || failure) return;
    try {
      Parameter& parameter = parameters.at(index);
      if (parameter.isReady && !byHook) return;
      if (parameter.isReady)
        throw CodedError("GRADIENT_AFTER_READY", "parameter " + std::to_string(index) + " received a gradient after it was ready to be summed over ranks");
      parameter.isReady = true;
      buckets[parameter.bucket].numWaiting -= 1;
      // Every rank launches in the same order, whatever the order of its gradients.
      for (; numLaunched < buckets.size() && buckets[numLaunched].numWaiting == 0; ++numLaunched, ++numLaunchedInBackward)
        launch(numLaunched);
      sumArrived(/*wait=*/false);
    } catch (...) {
      failure = std::current_exception();
    }
  }

  void arm(at::Tensor scale_) {
    if (isArmed) throw CodedError("BAD_ARGUMENT", "these gradient buckets are armed already");
    scale = std::move(scale_);
    numLaunched = numSummed = numLaunchedInBackward = 0;
    failure = nullptr;
    for (Bucket& bucket : buckets) bucket.numWaiting = bucket.numParameters;
    for (Parameter& parameter : parameters) parameter.isReady = false;
    isArmed = true;
  }

  // Sends what has not left and takes what has come. Whether that is all; on a device it may be called again.
  bool finish() {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!isArmed && !isFinishing) throw CodedError("BAD_ARGUMENT", "these gradient buckets are not armed");
    isFinishing = false;
    if (isArmed) {
      isArmed = false;
      if (failure) std::rethrow_exception(failure);
      for (; numLaunched < buckets.size(); ++numLaunched) launch(numLaunched);
      scale = at::Tensor();
    }
    sumArrived(/*wait=*/true);
    isFinishing = numSummed < buckets.size();
    return !isFinishing;
  }

  // Every rank's piece of every bucket to all, a few buckets at a time. Whether that is done, as above.
  bool gather() {
    if (!link) return true;
    constexpr size_t kInFlight = 4;
    c10::NoGradGuard guard;
    const std::lock_guard<std::mutex> lock(mutex);
    for (; numGathered < buckets.size(); ++numGathered) {
      for (; numSent < std::min(numGathered + kInFlight, buckets.size()); ++numSent) {
        Bucket& next = buckets[numSent];
        const at::Device device = linkDevice(next);
        next.flight.sent = pieceOf(next).to(device, /*non_blocking=*/false, /*copy=*/true);
        next.flight.received = next.flat.device() == device ? next.flat : at::empty(next.flat.sizes(), next.flat.options().device(device));
        next.flight.work = startAllGather(*link, next.flight.received, next.flight.sent);
      }
      Bucket& done = buckets[numGathered];
      if (!hasArrived(done.flight, /*wait=*/true)) return false;
      done.flight.work->wait();
      if (done.flight.received.device() != done.flat.device()) done.flat.copy_(done.flight.received);
      done.flight = Flight();
    }
    numGathered = numSent = 0;
    return true;
  }

  bool isIdle() {
    const std::lock_guard<std::mutex> lock(mutex);
    return std::all_of(buckets.begin(), buckets.end(), [](const Bucket& bucket) { return !bucket.flight.work || bucket.flight.work->isCompleted(); });
  }
};

namespace {

struct ReadyHook : torch::autograd::FunctionPostHook {
  ReadyHook(std::weak_ptr<GradientBuckets> buckets_, size_t index_) : buckets(std::move(buckets_)), index(index_) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    if (const auto owner = buckets.lock()) owner->ready(index, /*byHook=*/true);
    return outputs;
  }
  std::weak_ptr<GradientBuckets> buckets;
  size_t index;
};

GradientBuckets& bucketsOf(Call& call) {
  const auto found = distributedOf(call).buckets.find(call.integer(0));
  if (found == distributedOf(call).buckets.end()) throw CodedError("GROUP_CLOSED", "these gradient buckets were disposed");
  return *found->second;
}

// bucketsNew(group or -1, numParameters, numBuckets) -> id. In the buffer, per parameter: its handle, that of its part of a
// bucket, the bucket; then the handle of each bucket [N * piece].
napi_value bucketsNew(Call& call) {
  const size_t numParameters = call.count(1), numBuckets = call.count(2);
  if (3 * numParameters + numBuckets > call.state.bufferLength) throw CodedError("BAD_ARGUMENT", "more parameters than the shared buffer holds");
  auto made = std::make_shared<GradientBuckets>();
  if (call.integer(0) >= 0) {
    made->link = linkOf(call, 0);
    made->rank = made->link->group->getRank();
    made->size = made->link->group->getSize();
  }
  const double* entry = call.state.buffer;
  for (size_t i = 0; i < numParameters; ++i, entry += 3) {
    GradientBuckets::Parameter parameter;
    parameter.tensor = call.state.slots.get(entry[0]);
    parameter.view = call.state.slots.get(entry[1]);
    parameter.bucket = static_cast<size_t>(entry[2]);
    if (parameter.bucket >= numBuckets) throw CodedError("BAD_ARGUMENT", "no such bucket");
    made->parameters.push_back(std::move(parameter));
  }
  for (size_t i = 0; i < numBuckets; ++i) {
    GradientBuckets::Bucket bucket;
    bucket.flat = call.state.slots.get(entry[i]);
    made->buckets.push_back(std::move(bucket));
  }
  for (size_t i = 0; i < numParameters; ++i) {
    GradientBuckets::Bucket& bucket = made->buckets[made->parameters[i].bucket];
    if (bucket.numParameters == 0) bucket.firstParameter = i;
    if (bucket.firstParameter + bucket.numParameters != i) throw CodedError("BAD_ARGUMENT", "the parameters of a bucket do not follow each other");
    bucket.numParameters += 1;
    auto accumulator = torch::autograd::impl::grad_accumulator(made->parameters[i].tensor);
    if (!accumulator) throw CodedError("BAD_ARGUMENT", "parameter " + std::to_string(i) + " receives no gradient");
    accumulator->add_post_hook(std::make_unique<ReadyHook>(made, i));
    made->accumulators.push_back(std::move(accumulator));
  }
  Distributed& state = distributedOf(call);
  state.buckets[state.next] = std::move(made);
  return call.fromNumber(static_cast<double>(state.next++));
}

// bucketsZero(id): every gradient is a part of its bucket, and zero
napi_value bucketsZero(Call& call) {
  GradientBuckets& buckets = bucketsOf(call);
  c10::NoGradGuard guard;
  for (auto& bucket : buckets.buckets) bucket.flat.zero_();
  for (auto& parameter : buckets.parameters) parameter.tensor.mutable_grad() = parameter.view;
  return call.undefined();
}

// bucketsArm(id, scale or -1)
napi_value bucketsArm(Call& call) {
  bucketsOf(call).arm(call.number(1) < 0 ? at::Tensor() : call.tensor(1));
  return call.undefined();
}

// bucketsReady(id, parameter)
napi_value bucketsReady(Call& call) {
  bucketsOf(call).ready(call.count(1), /*byHook=*/false);
  return call.undefined();
}

// bucketsFinish(id, limitMs) -> buckets that left in backward; -1 where a device is not done after so long: to be called again
napi_value bucketsFinish(Call& call) {
  GradientBuckets& buckets = bucketsOf(call);
  const bool isDone = isDoneWithin(std::chrono::milliseconds(call.count(1)), [&] { return buckets.finish(); });
  return call.fromNumber(isDone ? static_cast<double>(buckets.numLaunchedInBackward) : -1);
}

// bucketsGather(id, limitMs): every rank's piece of every bucket to all -> whether that is done, as above
napi_value bucketsGather(Call& call) {
  GradientBuckets& buckets = bucketsOf(call);
  return call.fromBool(isDoneWithin(std::chrono::milliseconds(call.count(1)), [&] { return buckets.gather(); }));
}

// bucketsClose(id, limitMs) -> whether nothing is under way any more, so that the group may be closed
napi_value bucketsClose(Call& call) {
  Distributed& state = distributedOf(call);
  const auto found = state.buckets.find(call.integer(0));
  if (found == state.buckets.end()) return call.fromBool(true);
  const auto until = Clock::now() + std::chrono::milliseconds(call.count(1));
  found->second->isArmed = false;
  while (!found->second->isIdle() && Clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const bool isIdle = found->second->isIdle();
  // What is under way writes into these buffers for as long as the process lives.
  if (!isIdle) new std::shared_ptr<GradientBuckets>(found->second);
  state.buckets.erase(found);
  return call.fromBool(isIdle);
}

}  // namespace

void exportGradientBuckets(napi_env env, napi_value exports) {
  exportFunction(env, exports, "bucketsNew", guarded<bucketsNew>);
  exportFunction(env, exports, "bucketsZero", guarded<bucketsZero>);
  exportFunction(env, exports, "bucketsArm", guarded<bucketsArm>);
  exportFunction(env, exports, "bucketsReady", guarded<bucketsReady>);
  exportFunction(env, exports, "bucketsFinish", guarded<bucketsFinish>);
  exportFunction(env, exports, "bucketsGather", guarded<bucketsGather>);
  exportFunction(env, exports, "bucketsClose", guarded<bucketsClose>);
}

}  // namespace adapt

#else
namespace adapt {
void exportGradientBuckets(napi_env, napi_value) {}
}  // namespace adapt
#endif
