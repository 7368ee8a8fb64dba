#pragma once
// What a process makes for itself and means to remove stays behind when it is killed. So it is locked (flock) from its making
// on, and what nobody has locked is nobody's, and is removed by the next one that comes by. Private to this folder.

#include "haproxy/descriptor.h"

namespace haproxy {

/// Locks what was just made, for as long as it is open; true also where the file system has no locks. False: somebody who
/// cleared up took it for a leftover, and it is gone.
[[nodiscard]] bool claim(const Descriptor& made);

/// Has nobody claimed it? It is then locked.
[[nodiscard]] bool is_leftover(const Descriptor& found);

}  // namespace haproxy
