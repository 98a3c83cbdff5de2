// c10d's header holds pointers to these and looks into none.
#pragma once
#include <memory>
#include <string>

namespace gloo::transport {
class Device;
class UnboundBuffer;
}  // namespace gloo::transport
