-- Holds new connections of a backend while it has no usable server, or for as long as it is told to. For HAProxy 2.6 and later.
--
--   global
--       setenv POINTSMAN_HOLD 40s                         the longest hold: a number and ms, s or m; 40s when not said
--       lua-load /usr/share/pointsman/hold.lua            or `lua-load ... 40s`: but 2.6 drops a word after the file in silence
--   backend pg_primary
--       tcp-request inspect-delay 60s                     longer than the longest hold, as HAProxy ends the waiting there
--       tcp-request content lua.hold
--
-- A new connection waits in the action while its backend has no server that is up (or has no check), takes new connections and is
-- not `backup`; for the longest hold at most, counted from its own arrival. Then it goes on, to whatever the backend does with
-- it. It works in `backend` and `listen`; in a `frontend` it passes everybody on. Established sessions are not touched.
-- A client that leaves while it waits is let go; nothing is opened to a server for it.
--
-- On the stats socket, at any level (HAProxy has none for commands in Lua), and by `@1` on the master socket:
--   hold BACKEND MILLISECONDS   New connections wait for that long, even if a server is usable. A later command replaces it, 0
--                               ends it; at most 60000. The reply's first word is `held` if and only if it was done.
--   show hold                   A line per backend that has held anything: clients waiting now, what is left of the command's
--                               time, connections that had to wait, those that reached the longest hold, the longest wait.
--
-- In a worker that a reload has left behind, HAProxy checks no server any more (2.6 to 3.2): who is held there sees no server come
-- up, and waits to the end.

local kTick = 10000        -- us between two wakings of one connection, while few wait
-- us between the wakings of all: the wide one while all have their turn within kCycle, else the narrow one, so at most 14,300
-- wakings a second, however many wait. 1,900 wait 0.3 s for their turn, 5,000 wait 0.35 s.
local kWide, kNarrow, kCycle = 160, 70, 300000
-- us for which one look at a backend's servers is good for everybody. Who is let go on a look that is too old may be refused.
local kLookWhileUsable, kLookWhileHeld = 1000, 8000
local kBucket = 250000     -- us; waiting connections are counted by when they wake next
local kLate = 500000       -- us after which one that did not wake is no longer counted: it has left unseen
local kMargin = 2000       -- us; HAProxy's ticks are 1 ms
local kSameAge = 50000     -- us
local kMostHold = 60000    -- ms
local kLongSleep = 200     -- ms
local kFull = 1024         -- bytes; who has sent fewer and cannot send more has left

local function duration_us(text)
  local number, unit = text:match("^(%d+)(%a+)$")
  local factor = ({ms = 1000, s = 1000000, m = 60000000})[unit]
  local value = factor and #number <= 8 and math.tointeger(tonumber(number) * factor)
  if not value or value == 0 or value > 3600000000 then
    error("hold.lua: the longest hold is a number from 1ms to 60m, like 500ms, 40s or 2m; this is not: " .. text, 0)
  end
  return value
end

local arguments = table.pack(...)
if arguments.n > 1 then error("hold.lua: one argument, the longest hold; not " .. arguments.n, 0) end
local longest_hold = duration_us(arguments[1] or os.getenv("POINTSMAN_HOLD") or "40s")

local Waiting = {}     -- the metatable of what a waiting connection remembers
local backends = {}    -- by name, those in which the action has run or a hold was commanded
local slot = 0         -- us; when the next connection wakes that asks for a waking
local clock_moves = true

-- HAProxy's own clock: monotonic, moved once per turn of a thread's loop, so a thread may be a little behind another.
local function now_us()
  local now = core.now()
  return now.sec * 1000000 + now.usec
end

-- nil where there is no backend of this name: in a frontend, HAProxy gives the action the frontend's own.
local function find(name)
  local backend = name and backends[name]
  local proxy = name and not backend and core.backends[name]
  if proxy then
    backend = {
      name = name, proxy = proxy, held_until = 0, look_again = 0, usable = false, buckets = {}, held = 0, expired = 0,
      longest = 0, bound = longest_hold, proven = -1, failed_at = -kSameAge, scout_due = 0,
    }
    backends[name] = backend
  end
  return backend
end

-- `act` counts the servers that take new connections and are not `backup`; without check counts, drain and weight 0 do not.
local function is_held(backend, now)
  if backend.held_until > now then return true end
  if now >= backend.look_again then
    backend.usable = (backend.proxy:get_stats().act or 0) > 0
    backend.look_again = now + (backend.usable and kLookWhileUsable or kLookWhileHeld)
  end
  return not backend.usable
end

local function count(backend, time, change)
  local bucket = time // kBucket
  local number = (backend.buckets[bucket] or 0) + change
  backend.buckets[bucket] = number ~= 0 and number or nil
end

local function waiting_in(backend, now)
  local sum = 0
  for bucket, number in pairs(backend.buckets) do
    if (bucket + 1) * kBucket + kLate < now then
      backend.buckets[bucket] = nil
    else
      sum = sum + number
    end
  end
  return math.max(sum, 0)
end

-- Whether this call of the action may yield. It may not once the inspect-delay is over, and HAProxy tells nobody: it drops the
-- action and complains. But core.yield() comes back at once where it may not yield, and else by another call of the stream's task;
-- now and then by the same call, which begins anew when something about the stream has changed, but not time after time.
local function may_yield(txn)
  local calls = txn.f:cpu_calls()
  for _ = 1, 20 do
    core.yield()
    if txn.f:cpu_calls() ~= calls then return true end
  end
  return false
end

-- The inspect-delay is longer than any age at which a connection yielded. So that age is proven for all of its backend, and only
-- who is older has to try. It is taken to be shorter than the longest hold when two in a row fail at the same age.
local function prove(txn, backend, age)
  if may_yield(txn) then
    backend.proven = math.max(backend.proven, age - kMargin)
    return true
  end
  local again = math.abs(age - backend.failed_at) < kSameAge
  backend.failed_at = age
  if again and backend.proven < backend.bound then
    backend.bound = math.max(backend.proven, 0)
    core.log(core.warning, string.format(
      "hold.lua: the 'tcp-request inspect-delay' of %s ends the hold after %d ms; make it longer than %d ms.",
      backend.name, age // 1000, longest_hold // 1000))
  end
  return false
end

-- When this connection wakes next. One of each backend goes ahead of the others, to prove ages before they get there.
local function next_waking(backend, waiting, now)
  if backend.proven < backend.bound and (backend.scout == waiting or backend.scout_due + kTick < now) then
    backend.scout, backend.scout_due = waiting, now + kTick
    return now + kTick
  end
  slot = math.max(slot + (slot - now < kCycle and kWide or kNarrow), now + kTick)
  return slot
end

local function begin(txn, now)
  local backend = find(txn.f:be_name())
  if not backend or not is_held(backend, now) then return nil end
  local waiting = setmetatable({backend = backend, since = now, wakes_at = now, before = txn:get_priv()}, Waiting)
  txn:set_priv(waiting)
  backend.held = backend.held + 1
  count(backend, now, 1)
  return waiting
end

local function leave(txn, waiting)
  local backend = waiting.backend
  count(backend, waiting.wakes_at, -1)
  if backend.scout == waiting then backend.scout, backend.scout_due = nil, 0 end
  txn:set_priv(waiting.before)
end

-- The client is there, and nobody has ended its session.
local function is_alive(txn)
  return txn.req:may_recv() and txn.res:may_recv()
end

-- The client has left, or has sent more than HAProxy keeps, which a client of a database does not before it has an answer.
local function end_of_input(txn, waiting)
  leave(txn, waiting)
  if txn.req:input() < kFull then txn:done() end
end

-- One look, at a waking. Returns the milliseconds to the next one; nil when the connection is to go on.
local function turn(txn, waiting, now)
  local backend = waiting.backend
  local age = now - waiting.since
  if not is_alive(txn) then return end_of_input(txn, waiting) end
  if age > backend.longest then backend.longest = age end
  if not is_held(backend, now) then return leave(txn, waiting) end
  local proven = age <= backend.proven
  if age >= backend.bound or not proven and not prove(txn, backend, age) then
    backend.expired = backend.expired + 1
    return leave(txn, waiting)
  end
  if not proven and not is_alive(txn) then return end_of_input(txn, waiting) end
  -- What the client sends wakes it too; that does not move its turn.
  if waiting.wakes_at <= now then
    count(backend, waiting.wakes_at, -1)
    waiting.wakes_at = math.min(next_waking(backend, waiting, now), waiting.since + backend.bound)
    count(backend, waiting.wakes_at, 1)
  end
  return math.max((waiting.wakes_at - now + 999) // 1000, 1)
end

-- There are two ways to sleep until act.wake_time(). To yield costs a third of returning act.YIELD, after which HAProxy calls the
-- action anew. But before 2.8 HAProxy moves its clock when Lua yields, and forgets a waking whose time is over by then: who was
-- to sleep 1 ms then sleeps to the end of the inspect-delay (2.6.12: 2 to 10 in 5,000). There only long sleeps are taken so.
-- Not core.msleep(): woken early it yields again, also where it may not, as when a client leaves (2.6).
local function hold(txn)
  local now = now_us()
  local waiting = txn:get_priv()
  if getmetatable(waiting) ~= Waiting then
    waiting = begin(txn, now)
    if not waiting then return act.CONTINUE end
  end
  while true do
    local sleep_ms = turn(txn, waiting, now)
    if not sleep_ms then return act.CONTINUE end
    act.wake_time(sleep_ms)
    if sleep_ms < kLongSleep and clock_moves then return act.YIELD end
    coroutine.yield()
    now = now_us()
  end
end

core.register_init(function()
  local major, minor = tostring(core.get_info().Version):match("^(%d+)%.(%d+)")
  clock_moves = not major or tonumber(major) * 100 + tonumber(minor) < 208
end)

local function command_hold(applet, _, name, milliseconds, ...)
  local value = name and milliseconds and select("#", ...) == 0 and milliseconds:match("^%d+$") and #milliseconds <= 5
    and math.tointeger(tonumber(milliseconds))
  if not value or value > kMostHold then
    applet:send("usage: hold BACKEND MILLISECONDS (0 to " .. kMostHold .. ")\n")
    return
  end
  local backend = find(name)
  if not backend then
    applet:send("no such backend: " .. name .. "\n")
    return
  end
  backend.held_until = value > 0 and now_us() + value * 1000 or 0
  applet:send("held " .. name .. " " .. value .. "\n")
end

local function command_show_hold(applet)
  local now = now_us()
  local names = {}
  for name in pairs(backends) do names[#names + 1] = name end
  table.sort(names)
  local lines = {"# backend waiting left_ms held_total expired_total longest_ms\n"}
  for _, name in ipairs(names) do
    local backend = backends[name]
    local left = math.max(backend.held_until - now + 999, 0) // 1000
    lines[#lines + 1] = string.format("%s %d %d %d %d %d\n", name, waiting_in(backend, now), left, backend.held,
      backend.expired, backend.longest // 1000)
  end
  applet:send(table.concat(lines))
end

core.register_action("hold", {"tcp-req"}, hold)
core.register_cli({"hold"}, "hold BACKEND MILLISECONDS               : let new connections wait (0: no longer)", command_hold)
core.register_cli({"show", "hold"}, "show hold                               : connections that wait, per backend",
  command_show_hold)
