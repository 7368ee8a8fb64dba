#pragma once
namespace controller {
/// Set by the build from CMake's project version.
inline constexpr const char* kVersion = POINTSMAN_VERSION;
}  // namespace controller
