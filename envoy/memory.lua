-- What a worker was told of owners, kept over new rules, new cells and new listeners; and how it asks for more.
-- `lua_program` puts it before decide.lua, with `lookups` before it: nil where nobody is there to be asked. The data
-- lies in a global of the VM that both filters and all versions of a listener share.

local MAX_ASKED, MAX_NAME = 16, 255
local RELEARNED = 10000
local PATIENCE, SHORTEST_PAUSE, LONGEST_PAUSE = 3, 200, 2000
local NOBODY = "0"
local SLOTS = 16384
local OUTLIVED = 5000
local LISTENS = 5

cellplane = cellplane or {}
-- Two halves: what is touched moves to the young one, and when that is full the old one is dropped at once. So
-- forgetting costs nothing, and a flood of names that are asked for once drops no name that is asked for often.
local memory = cellplane.memory or {
  young = {}, old = {}, count = 0, failures = 0, failed_at = 0, quiet_until = 0,
  at = 0, since = 0, newest_at = 0, moved = {}, -- what was heard of drops and moves: see forgetting.py
}
cellplane.memory = memory
memory.heard_at = memory.heard_at or 0

-- Garbage is looked for when there are some 40 MB of it, for that costs the more the more often; where more is
-- remembered, when there is three times of what is not garbage. Counted in names, of some 300 bytes.
local function tidy()
  local megabytes = 4 + (memory.count + (memory.aged or 0)) * 0.0003
  collectgarbage("setpause", math.max(400, 100 + 4000 / megabytes))
end
tidy()

local function keep(name, entry)
  if memory.young[name] == nil then
    if memory.count >= lookups.capacity / 2 then
      memory.old, memory.young, memory.aged, memory.count = memory.young, {}, memory.count, 0
    end
    memory.count = memory.count + 1
    if memory.count % 1024 == 0 then tidy() end
  end
  memory.young[name] = entry
end

local function recall(name)
  local entry = memory.young[name]
  if entry == nil then
    entry = memory.old[name]
    if entry then keep(name, entry) end
  end
  return entry
end

-- generations.py
local function slot_of(name)
  local found = 0
  for at = 1, #name do found = (found * 31 + string.byte(name, at)) % 16777213 end
  return found % SLOTS
end

-- What the virtual host says was dropped or moved since this worker looked last. Who missed more than it says can't
-- know what still holds, and forgets everything. A request that began before a push reads what was said before it, so
-- what is older is passed over; but where nothing newer has been read for five seconds, a store was put back, and what
-- is told now is all that there is. It looks once in five milliseconds, which is as long as a push takes to come.
local function listen(handle, now)
  if now >= memory.heard_at and now < memory.heard_at + LISTENS then return end
  memory.heard_at = now
  local said = handle:virtualHost():metadata()
  local at = said:get("at") or 0
  if at == memory.at then memory.newest_at = now return end
  if at < memory.at and now - memory.newest_at < OUTLIVED then return end
  local since = said:get("since") or 0
  if at < memory.at or memory.at < since then
    memory.young, memory.old, memory.count, memory.aged = {}, {}, 0, 0
    memory.at, memory.since, memory.moved = since, since, {}
  end
  for slot, revision in string.gmatch(said:get("moved") or "", "(%d+) (%d+)") do
    revision = tonumber(revision)
    if revision <= memory.at then break end -- the newest come first
    memory.moved[tonumber(slot)] = revision
  end
  memory.at, memory.newest_at = at, now
end

local function failed(now)
  -- Requests that waited side by side say the same, so they count once.
  if now - memory.failed_at < lookups.timeout then return end
  memory.failed_at = now
  memory.failures = memory.failures + 1
  if memory.failures >= PATIENCE then
    local pause = SHORTEST_PAUSE * 2 ^ (memory.failures - PATIENCE)
    memory.quiet_until = now + math.min(pause, LONGEST_PAUSE)
  end
end

local function may_ask(now)
  if memory.failures < PATIENCE then return true end
  if now < memory.quiet_until then return false end
  -- One goes ahead to see whether somebody answers again; the others wait for what it finds.
  memory.quiet_until = now + LONGEST_PAUSE
  return true
end

local function quoted(value)
  if not string.find(value, "[^A-Za-z0-9._/-]") then return value end
  return (string.gsub(value, "[^A-Za-z0-9._/-]", function(mark)
    return string.format("%%%02X", string.byte(mark))
  end))
end

local function unquoted(text)
  return (string.gsub(text, "%%(%x%x)", function(code) return string.char(tonumber(code, 16)) end))
end

-- A cell refused what was remembered as its own. Asked for anew soon: who refused knows no more than this.
local function relearn(name, owner, now)
  local entry = recall(name)
  if entry and entry.owner ~= owner then
    entry.owner, entry.expires = owner, math.min(entry.expires, now + RELEARNED)
  end
end

-- One request's look at the memory; none waits for anything, so there is one at a time. `told`: what it was told
-- just now, by name; nil before it has asked. `lines`: what it asks; nil while that is nothing.
local handle, told, now, asking, lines, asked

local function look(of, what)
  handle, told, now, asking, lines, asked = of, what, nil, nil, nil, nil
end

local function owner_of(rule, key, value)
  if value == "" then return NOBODY end
  local name = key.kind .. value
  if told and told[name] then return told[name] end
  if not now then
    now = handle:timestamp()
    listen(handle, now)
  end
  local entry = recall(name)
  local slot = entry and entry.slot or slot_of(name)
  local generation = memory.moved[slot] or memory.since
  if entry and entry.generation == generation then
    if now < entry.expires then return entry.owner end
  else
    entry = nil -- somebody moved: what was known may be wrong by now
  end
  if asking == nil then asking = not told and may_ask(now) end
  if asking then
    lines, asked = lines or {}, asked or {}
    if not asked[name] and #lines < MAX_ASKED then
      asked[name] = true
      lines[#lines + 1] = string.format("%s %d %.0f %s", rule.name, key.bucket, generation, quoted(value))
    end
    return nil, asked[name]
  end
  if entry and now < entry.expires + lookups.stale then return entry.owner end
  return nil
end

local function question()
  return lines and table.concat(lines, "\n")
end

-- Take in an answer. `asked_for` and `answer` are the texts of questions.py; no answer: nobody gave one in time.
local function learn(asked_for, answer, at)
  local found, answers = {}, answer and string.gmatch(answer, "(%d+) %d+ (%d+)")
  if not answers then
    failed(at)
    return found
  end
  memory.failures, memory.quiet_until = 0, 0
  for bucket, generation, value in string.gmatch(asked_for, "[^ \n]+ (%d+) (%d+) ([^\n]*)") do
    local owner, seconds = answers()
    if not owner then break end
    local name = lookups.kinds[bucket] .. unquoted(value)
    found[name] = owner
    if #name <= MAX_NAME and seconds ~= "0" then
      local expires = at + tonumber(seconds) * 1000
      keep(name, { owner = owner, expires = expires, generation = tonumber(generation), slot = slot_of(name) })
    end
  end
  return found
end
