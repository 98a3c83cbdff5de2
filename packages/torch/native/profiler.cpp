// What one thread does and when: operators and backward nodes through LibTorch's RecordFunction, calls from JavaScript,
// regions that TypeScript names, and allocations. The callback is registered for the thread that starts a recording (LibTorch hands
// it on to the threads of its autograd engine) and removed at the end: nothing is registered, and nothing costs, while none is on.
#include "profiler.h"

#include <ATen/record_function.h>

#include <chrono>
#include <mutex>
#include <tuple>

#include "environment.h"

namespace adapt {

std::atomic<bool> recording{false};

namespace {

// A step of a large model has some ten thousand.
constexpr size_t kMaxEvents = size_t{1} << 20;

using Clock = std::chrono::steady_clock;

struct Event {
  uint32_t name;
  SpanKind kind;
  uint64_t thread;
  int64_t start, end;  // ns since the start of the recording; end is -1 while it lasts
};

// One for the process: a second thread is refused while one is recorded.
class Recorder {
 public:
  uint64_t start() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (session_ % 2 == 1) throw CodedError("PROFILER_BUSY", "a recording is on already");
    events_.clear();
    names_.clear();
    nameOf_.clear();
    dropped_ = 0;
    owner_ = at::RecordFunction::currentThreadId();
    zero_ = Clock::now();
    return ++session_;
  }

  // Closes what is open, so that every event has an end.
  int64_t stop() {
    std::lock_guard<std::mutex> lock(mutex_);
    const int64_t end = now();
    ++session_;
    for (Event& event : events_)
      if (event.end < 0) event.end = end;
    return end;
  }

  // The index of a new event and its session; session 0 when nothing is noted.
  std::pair<size_t, uint64_t> begin(SpanKind kind, const char* name) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (session_ % 2 == 0) return {0, 0};
    if (events_.size() >= kMaxEvents) {
      ++dropped_;
      return {0, 0};
    }
    const auto [known, isNew] = nameOf_.emplace(name, names_.size());
    if (isNew) names_.push_back(known->first);
    events_.push_back({static_cast<uint32_t>(known->second), kind, at::RecordFunction::currentThreadId(), now(), -1});
    return {events_.size() - 1, session_};
  }

  void end(size_t index, uint64_t session) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (session == session_ && index < events_.size()) events_[index].end = now();
  }

  const std::vector<Event>& events() const { return events_; }
  const std::vector<std::string>& names() const { return names_; }
  size_t dropped() const { return dropped_; }
  uint64_t owner() const { return owner_; }
  uint64_t session() const { return session_; }

 private:
  int64_t now() const { return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - zero_).count(); }

  std::mutex mutex_;
  std::vector<Event> events_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, size_t> nameOf_;
  size_t dropped_ = 0;
  uint64_t owner_ = 0;
  uint64_t session_ = 0;  // odd while a recording is on
  Clock::time_point zero_;
};

// Never destroyed: memory is freed after static destructors too.
Recorder& recorder() {
  static auto* instance = new Recorder();
  return *instance;
}

// Of the thread that is recorded: its callback.
thread_local at::CallbackHandle callback = 0;

struct OperatorSpan : at::ObserverContext {
  OperatorSpan(size_t index_, uint64_t session_) : index(index_), session(session_) {}
  size_t index;
  uint64_t session;
};

std::unique_ptr<at::ObserverContext> beginOperator(const at::RecordFunction& function) {
  const auto kind = function.scope() == at::RecordScope::BACKWARD_FUNCTION ? SpanKind::Backward : SpanKind::Operator;
  const auto [index, session] = recorder().begin(kind, function.name());
  return std::make_unique<OperatorSpan>(index, session);
}

void endOperator(const at::RecordFunction&, at::ObserverContext* context) {
  const auto* span = static_cast<OperatorSpan*>(context);
  if (span && span->session != 0) recorder().end(span->index, span->session);
}

// startRecording()
napi_value startRecording(Call& call) {
  recorder().start();
  callback = at::addThreadLocalCallback(
      at::RecordFunctionCallback(beginOperator, endOperator).scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
  recording = true;
  return call.undefined();
}

void requireOwner() {
  if (callback == 0) throw CodedError("NOT_RECORDING", "no recording is on in this thread");
}

napi_value toArray(Call& call, const std::vector<Event>& events) {
  constexpr size_t kFields = 5;
  void* data = nullptr;
  napi_value buffer, view;
  check(call.env, napi_create_arraybuffer(call.env, events.size() * kFields * sizeof(double), &data, &buffer));
  check(call.env, napi_create_typedarray(call.env, napi_float64_array, events.size() * kFields, buffer, 0, &view));
  auto* numbers = static_cast<double*>(data);
  for (const Event& event : events) {
    *numbers++ = event.name;
    *numbers++ = static_cast<double>(event.kind);
    *numbers++ = static_cast<double>(event.thread);
    *numbers++ = static_cast<double>(event.start) / 1000;
    *numbers++ = static_cast<double>(event.end - event.start) / 1000;
  }
  return view;
}

// stopRecording() -> { names, events: Float64Array of (name, kind, thread, start us, duration us), thread, wallUs, dropped }
napi_value stopRecording(Call& call) {
  requireOwner();
  recording = false;
  at::removeCallback(callback);
  callback = 0;
  const int64_t end = recorder().stop();
  napi_value names;
  check(call.env, napi_create_array(call.env, &names));
  uint32_t i = 0;
  for (const std::string& name : recorder().names())
    check(call.env, napi_set_element(call.env, names, i++, call.fromString(name)));
  napi_value result = call.newObject();
  call.set(result, "names", names);
  call.set(result, "events", toArray(call, recorder().events()));
  call.set(result, "thread", call.fromNumber(static_cast<double>(recorder().owner())));
  call.set(result, "wallUs", call.fromNumber(static_cast<double>(end) / 1000));
  call.set(result, "dropped", call.fromNumber(static_cast<double>(recorder().dropped())));
  return result;
}

// beginRegion(name) -> index, or -1 where nothing is noted
napi_value beginRegion(Call& call) {
  requireOwner();
  const auto [index, session] = recorder().begin(SpanKind::Region, call.string(0).c_str());
  return call.fromNumber(session == 0 ? -1 : static_cast<double>(index));
}

napi_value endRegion(Call& call) {
  requireOwner();
  recorder().end(call.count(0), recorder().session());
  return call.undefined();
}

// hasRecordCallbacks(): whether LibTorch would call anybody for an operator of this thread
napi_value hasRecordCallbacks(Call& call) { return call.fromBool(at::hasCallbacks()); }

}  // namespace

void Span::begin(SpanKind kind, const char* name) {
  if (callback == 0) return;
  std::tie(index_, session_) = recorder().begin(kind, name);
}

void Span::end() { recorder().end(index_, session_); }

void exportProfiler(napi_env env, napi_value exports) {
  exportFunction(env, exports, "startRecording", unrecorded<startRecording>);
  exportFunction(env, exports, "stopRecording", unrecorded<stopRecording>);
  exportFunction(env, exports, "beginRegion", unrecorded<beginRegion>);
  exportFunction(env, exports, "endRegion", unrecorded<endRegion>);
  exportFunction(env, exports, "hasRecordCallbacks", guarded<hasRecordCallbacks>);
}

}  // namespace adapt
