// Gloo is inside LibTorch, its headers are not shipped with it (nor by Debian's libtorch-dev): this folder holds the little that
// c10d/ProcessGroupGloo.hpp names. The add-on must neither define nor need a symbol of gloo: src/distributed/symbols.test.ts.
#pragma once
#include <chrono>

namespace gloo {
class Context {  // only inline bodies of c10d's header name it
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};
}  // namespace gloo
