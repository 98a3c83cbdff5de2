// Signals that ask a run to stop. Node runs its own handlers only when the event loop turns, which a long native call
// keeps from happening; these note the signal at once, on whatever thread it arrives.
#include "environment.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace adapt {
namespace {

constexpr int kInterruptedExit = 130;
constexpr int kMaxSignal = 32;
// Less than a finger takes: `timeout` and some runners of commands hand one signal on twice.
constexpr int64_t kSamePressNs = 20'000'000;

std::atomic<int> firstSignal{0};
std::atomic<int64_t> firstAt{0};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free,
               "a signal handler may only touch lock-free atomics");

struct Watched {
  bool active = false;
  struct sigaction previous = {};
};
std::array<Watched, kMaxSignal> watched;

int64_t nowNs() {
  struct timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// The first signal is kept. A SIGINT after it means now: nothing is flushed, no handler or destructor runs.
void onStopSignal(int signal) {
  const int64_t now = nowNs();
  int64_t first = 0;
  if (firstAt.compare_exchange_strong(first, now)) {
    firstSignal.store(signal);
  } else if (signal == SIGINT && now - first > kSamePressNs) {
    _exit(kInterruptedExit);
  }
}

// watchStopSignal(number): takes the signal over from Node until unwatchStopSignals
napi_value watchStopSignal(Call& call) {
  const int64_t number = call.integer(0);
  if (number < 1 || number >= kMaxSignal) throw CodedError("BAD_ARGUMENT", "unknown signal");
  Watched& entry = watched[static_cast<size_t>(number)];
  if (entry.active) return call.undefined();
  struct sigaction action = {};
  action.sa_handler = onStopSignal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // a save that is under way must not fail with EINTR
  if (sigaction(static_cast<int>(number), &action, &entry.previous) != 0)
    throw CodedError("BAD_ARGUMENT", "this signal cannot be watched");
  entry.active = true;
  return call.undefined();
}

// stopSignal() -> the first watched signal since the last unwatchStopSignals, or 0
napi_value stopSignal(Call& call) { return call.fromNumber(firstSignal.load()); }

// unwatchStopSignals(): gives the signals back and forgets what came
napi_value unwatchStopSignals(Call& call) {
  for (size_t number = 1; number < watched.size(); number++) {
    if (!watched[number].active) continue;
    sigaction(static_cast<int>(number), &watched[number].previous, nullptr);
    watched[number].active = false;
  }
  firstSignal.store(0);
  firstAt.store(0);
  return call.undefined();
}

}  // namespace

void exportStopSignals(napi_env env, napi_value exports) {
  exportFunction(env, exports, "watchStopSignal", guarded<watchStopSignal>);
  exportFunction(env, exports, "stopSignal", guarded<stopSignal>);
  exportFunction(env, exports, "unwatchStopSignals", guarded<unwatchStopSignals>);
}

}  // namespace adapt
