-- What rules take out of a request, inside Envoy: the twin of extraction.py, and of all that it uses.
-- `lua_program` puts the ruleset's data (`rules`, `reserved`) before it, and the texts that lead to cells (`ends`); the
-- listener's loader runs the whole once for each. Where the request ends is left in a header of ours (`end_header`), where
-- the route table, which comes with it, looks cells up; why rules were passed over, in the filter state.
-- It never fails on what a client sends; if it did, the request would be answered 503, and not sent astray.

local bit = require("bit")
local band, bxor, rshift = bit.band, bit.bxor, bit.rshift
local byte, char, find, format, sub = string.byte, string.char, string.find, string.format, string.sub
local concat = table.concat

local MAX_TEXT, MAX_JSON, MAX_DEPTH, MAX_NUMBER = 4096, 8192, 16, 9007199254740991
local MAX_VALUES = 10
local NONE = {}

-- encodings.py

local STANDARD, URL, DIGITS = {}, {}, {}
for at = 0, 63 do
  STANDARD[byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", at + 1)] = at
  URL[byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", at + 1)] = at
  if at < 36 then DIGITS[byte("0123456789abcdefghijklmnopqrstuvwxyz", at + 1)] = at end
end

-- What comes before `first` has to be whole groups of four.
local function decoded(text, first, last, digits)
  local rest = (last - first + 1) % 4
  if rest == 1 then return nil end
  local out, count = {}, 0
  for at = first, last - 3, 4 do
    local a, b, c, d = byte(text, at, at + 3)
    a, b, c, d = digits[a], digits[b], digits[c], digits[d]
    if not (a and b and c and d) then return nil end
    count = count + 1
    out[count] = char(a * 4 + rshift(b, 4), band(b, 15) * 16 + rshift(c, 2), band(c, 3) * 64 + d)
  end
  if rest > 0 then
    local a, b, c = byte(text, last - rest + 1, last)
    a, b = digits[a], digits[b]
    if not (a and b) then return nil end
    out[count + 1] = char(a * 4 + rshift(b, 4))
    if rest == 3 then
      c = digits[c]
      if not c then return nil end
      out[count + 2] = char(band(b, 15) * 16 + rshift(c, 2))
    end
  end
  return concat(out)
end

local function from_base64(text)
  local bare = #text
  while bare > 0 and byte(text, bare) == 61 do bare = bare - 1 end
  local padding = #text - bare
  if padding > 0 and (#text % 4 ~= 0 or padding > 2) then return nil end
  return decoded(text, 1, bare, STANDARD)
end

local function from_base64url(text)
  return decoded(text, 1, #text, URL)
end

local function base36_at(text, first, last)
  if last < first or last - first > 10 then return nil end
  local number = 0
  for at = first, last do
    local digit = DIGITS[byte(text, at)]
    if not digit then return nil end
    number = number * 36 + digit
  end
  if number > MAX_NUMBER then return nil end
  return number
end

local function from_base36(text)
  return base36_at(text, 1, #text)
end

local CRC = {}
for at = 0, 255 do
  local value = at
  for _ = 1, 8 do
    if band(value, 1) == 1 then value = bxor(rshift(value, 1), 0xEDB88320) else value = rshift(value, 1) end
  end
  CRC[at] = value
end

-- Of the text before this place, as a number; nil where it has other characters than `known`, up to `bare`.
local function checksum(text, past, bare, known)
  local crc = -1
  for at = 1, past - 1 do
    local code = byte(text, at)
    if at < bare and not known[code] then return nil end
    crc = bxor(CRC[band(bxor(crc, code), 255)], rshift(crc, 8))
  end
  crc = bxor(crc, -1)
  return crc < 0 and crc + 4294967296 or crc
end

-- tokens.py

local NUMBERS = {} -- how small ones are written
for at = 0, 999 do NUMBERS[at] = format("%d", at) end

-- What digits of base64url say between two places of a text. Of the random part nothing is asked but its length, so
-- that it is not decoded.
local function payload_fields(text, first, last)
  local rest = (last - first + 1) % 4
  if rest == 1 or last <= first then return nil end
  local total = (last - first + 1 - rest) / 4 * 3 + (rest > 0 and rest - 1 or 0)
  local before, ending = byte(text, last - 1, last)
  before, ending = URL[before], URL[ending]
  local length
  if rest == 0 then
    length = band(before, 3) * 64 + ending
  elseif rest == 3 then
    length = band(before, 15) * 16 + rshift(ending, 2)
  else
    length = before * 4 + rshift(ending, 4)
  end
  local random = total - 1 - length
  if length < 3 or length > 159 or random < 16 or random > 65 then return nil end
  local whole = (random - random % 3) / 3
  local bytes = decoded(text, first + 4 * whole, last, URL)
  local fields, previous, lines = {}, 0, 0
  local at, stop = random - 3 * whole + 1, #bytes - 1
  repeat
    local key, colon = byte(bytes, at, at + 1)
    if at + 2 > stop or colon ~= 58 or key < 97 or key > 122 or key <= previous then return nil end
    local past = at + 2
    while past <= stop and byte(bytes, past) ~= 10 do past = past + 1 end
    local number = base36_at(bytes, at + 2, past - 1)
    if not number then return nil end
    previous = key
    fields[char(key)] = NUMBERS[number] or format("%.0f", number)
    lines = lines + 1
    at = past + 1
  until at > stop + 1
  if lines > 10 then return nil end
  return fields
end

local function parse_payload(payload, stated)
  if #stated ~= 2 or from_base36(stated) ~= #payload or #payload < 27 or #payload > 300
    or find(payload, "[^A-Za-z0-9_-]") then
    return nil
  end
  return payload_fields(payload, 1, #payload)
end

local function parse_token(text)
  local total = #text
  if total < 40 or total > 333 then return nil end
  local dot = total - 12
  local mark, zero, one, second = byte(text, dot, dot + 3)
  if mark ~= 46 or zero ~= 48 or one ~= 49 or second ~= 46 then return nil end
  local head, length = dot - 1, base36_at(text, total - 8, total - 7)
  if not length or length < 27 or length > 300 or head - length < 0 or head - length > 20 then return nil end
  local stated = base36_at(text, total - 6, total)
  if not stated or checksum(text, total - 6, dot, URL) ~= stated then return nil end
  return payload_fields(text, head - length + 1, head)
end

-- flat_json.py

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }
local NOT_JSON = {}

local function utf8(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + rshift(code, 6), 0x80 + band(code, 63)) end
  if code < 0x10000 then
    return char(0xE0 + rshift(code, 12), 0x80 + band(rshift(code, 6), 63), 0x80 + band(code, 63))
  end
  return char(0xF0 + rshift(code, 18), 0x80 + band(rshift(code, 12), 63), 0x80 + band(rshift(code, 6), 63),
    0x80 + band(code, 63))
end

local function read_json(text)
  local at = 1
  local value

  local function space()
    local _, ending = find(text, "^[ \t\n\r]*", at)
    at = ending + 1
  end

  local function take(mark)
    if sub(text, at, at) ~= mark then error(NOT_JSON) end
    at = at + 1
  end

  local function hex()
    if not find(text, "^%x%x%x%x", at) then error(NOT_JSON) end
    local code = tonumber(sub(text, at, at + 3), 16)
    at = at + 4
    return code
  end

  local function escape()
    local letter = sub(text, at, at)
    at = at + 1
    if ESCAPES[letter] then return ESCAPES[letter] end
    if letter ~= "u" then error(NOT_JSON) end
    local code = hex()
    if code >= 0xD800 and code < 0xDC00 and sub(text, at, at + 1) == "\\u" then
      at = at + 2
      local low = hex()
      if low < 0xDC00 or low >= 0xE000 then error(NOT_JSON) end
      code = 0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00
    end
    if code >= 0xD800 and code < 0xE000 then error(NOT_JSON) end
    return utf8(code)
  end

  local function text_value()
    at = at + 1
    local out = {}
    while true do
      local _, ending = find(text, '^[^"\\%z\1-\31]*', at)
      out[#out + 1] = sub(text, at, ending)
      at = ending + 1
      if sub(text, at, at) == '"' then
        at = at + 1
        return concat(out)
      end
      take("\\")
      out[#out + 1] = escape()
    end
  end

  local function open(depth)
    if depth > MAX_DEPTH then error(NOT_JSON) end
    at = at + 1
  end

  local function more(ending, first)
    space()
    if sub(text, at, at) == ending then
      at = at + 1
      return false
    end
    if not first then
      take(",")
      space()
    end
    return true
  end

  local function object(depth, fields)
    local names, first = {}, true
    open(depth)
    while more("}", first) do
      if sub(text, at, at) ~= '"' then error(NOT_JSON) end
      local name = text_value()
      space()
      take(":")
      space()
      local found = value(depth)
      if names[name] then error(NOT_JSON) end
      names[name] = true
      first = false
      if found then fields[name] = found end
    end
  end

  local function array(depth)
    local first = true
    open(depth)
    while more("]", first) do
      value(depth)
      first = false
    end
  end

  function value(depth)
    local mark = sub(text, at, at)
    if mark == '"' then return text_value() end
    if mark == "{" then return object(depth + 1, {}) end
    if mark == "[" then return array(depth + 1) end
    for _, word in ipairs({ "true", "false", "null" }) do
      if sub(text, at, at + #word - 1) == word then
        at = at + #word
        return nil
      end
    end
    local _, ending = find(text, "^-?%d+", at)
    if not ending then error(NOT_JSON) end
    local number = sub(text, at, ending)
    if find(number, "^-?0%d") then error(NOT_JSON) end
    at = ending + 1
    local _, fraction = find(text, "^%.%d+", at)
    if fraction then at = fraction + 1 end
    local _, exponent = find(text, "^[eE][+-]?%d+", at)
    if exponent then at = exponent + 1 end
    if fraction or exponent then return nil end
    return number
  end

  local fields = {}
  space()
  if sub(text, at, at) ~= "{" then error(NOT_JSON) end
  object(1, fields)
  space()
  if at <= #text then error(NOT_JSON) end
  return fields
end

local function json_fields(text)
  if #text > MAX_JSON then return nil end
  local fine, fields = pcall(read_json, text)
  if fine then return fields end
  if fields ~= NOT_JSON then error(fields) end
  return nil
end

-- credentials.py

local function basic_fields(value)
  local _, _, encoded = find(value, "^[Bb][Aa][Ss][Ii][Cc] +([A-Za-z0-9+/]+=*)$")
  local text = encoded and from_base64(encoded)
  local colon = text and find(text, ":", 1, true)
  if not colon then return nil end
  return { user = sub(text, 1, colon - 1), password = sub(text, colon + 1) }
end

local function jwt_fields(token)
  local _, _, claims = find(token, "^[A-Za-z0-9_-]+%.([A-Za-z0-9_-]+)%.[A-Za-z0-9_-]*$")
  local text = claims and from_base64url(claims)
  return text and json_fields(text)
end

-- scopes.py

local function registry_scopes(text)
  local whole = string.gsub(text, "%%%x%x", "")
  if find(whole, "%", 1, true) then return nil end
  local reading, writing = { seen = {} }, { seen = {} }
  for value in string.gmatch(text, "[^&]+") do
    local plain = string.gsub(string.gsub(value, "%+", " "), "%%(%x%x)", function(code)
      return char(tonumber(code, 16))
    end)
    if find(plain, "%c") then return nil end
    for scope in string.gmatch(plain, "[^ ]+") do
      local kind, name, actions = string.match(scope, "^([^:]*):(.*):([^:]*)$")
      if not kind then return nil end
      if string.match(kind, "^[^(]*") == "repository" then
        local namespace = string.match(name, "^[^/]*")
        if not find(namespace, "^[A-Za-z0-9._-]+$") then return nil end
        local writes = false
        for action in string.gmatch(actions, "[^,]+") do writes = writes or action ~= "pull" end
        local list = writes and writing or reading
        if not list.seen[namespace] then
          list.seen[namespace] = true
          list[#list + 1] = namespace
        end
      end
    end
  end
  local list = #writing > 0 and writing or reading
  if #list == 0 then return {} end
  return { namespaces = concat(list, " ") }
end

-- regex_program.py: the same machine. It notes where it was at splits only; no other step is a choice.

local CHAR, RUN, SPLIT, JUMP, SAVE, END = 1, 2, 3, 4, 5, 6

local function run_at(program, text, start, visited)
  local steps, last = program.steps, #text
  local slots, stack, top = {}, { 1, start }, 2
  while top > 0 do
    local place, at = stack[top], stack[top - 1]
    top = top - 2
    if at < 0 then
      slots[-at - 1] = place
    else
      while at do
        local step = steps[at]
        local kind = step[1]
        if kind == CHAR then
          if place <= last and step[2][byte(text, place)] then
            at, place = at + 1, place + 1
          else
            at = nil
          end
        elseif kind == RUN then
          local _, ending = find(text, step[2], place)
          if step[4] and ending >= place + step[4] then ending = place + step[4] - 1 end
          if ending - place + 1 < step[3] then
            at = nil
          else
            at, place = at + 1, ending + 1
          end
        elseif kind == SPLIT then
          local here = at * (last + 2) + place
          visited = visited or {}
          if visited[here] then
            at = nil
          else
            visited[here] = true
            stack[top + 1], stack[top + 2] = step[3], place
            top = top + 2
            at = step[2]
          end
        elseif kind == JUMP then
          at = step[2]
        elseif kind == SAVE then
          if top > 0 then -- there is a choice to come back to
            stack[top + 1], stack[top + 2] = -step[2] - 1, slots[step[2]] or 0
            top = top + 2
          end
          slots[step[2]] = place
          at = at + 1
        elseif not program.to_end or place == last + 1 then
          return slots, visited
        else
          at = nil
        end
      end
    end
  end
  return nil, visited
end

local function run(program, text)
  local slots, visited
  for start = 1, program.from_start and 1 or #text + 1 do
    slots, visited = run_at(program, text, start, visited)
    if slots then
      local found = {}
      for at, name in ipairs(program.names) do
        local first, past = slots[2 * at - 2] or 0, slots[2 * at - 1] or 0
        if first > 0 and past >= first then found[name] = sub(text, first, past - 1) end
      end
      return found
    end
  end
  return nil
end

-- transforms.py

local function match_text(program, text)
  if not program then return text ~= "" and NONE or nil end
  if not program.patterns then return run(program, text) end
  for _, pattern in ipairs(program.patterns) do
    local first, _, one, two, three = find(text, pattern)
    if first then
      local names = program.names
      if not one then return NONE end
      if not two then return { [names[1]] = one } end
      if not three then return { [names[1]] = one, [names[2]] = two } end
      return { [names[1]] = one, [names[2]] = two, [names[3]] = three }
    end
  end
  return nil
end

local READERS = {
  ["routable-token"] = parse_token,
  ["routable-token-payload"] = parse_payload,
  ["basic-auth"] = basic_fields,
  ["jwt-claims"] = jwt_fields,
  ["json"] = json_fields,
  ["base64"] = from_base64,
  ["base64url"] = from_base64url,
  ["registry-scopes"] = registry_scopes,
}

-- request.py

local function cookie_values(header, name)
  local found, at = {}, 1
  local last = #header + 1
  while at <= last do
    local ending = find(header, "[;,]", at) or last
    local begin = find(header, "[^ \t]", at) or last
    if begin < ending and sub(header, begin, begin + #name) == name .. "=" and begin + #name < ending then
      found[#found + 1] = sub(header, begin + #name + 1, ending - 1)
    end
    at = ending + 1
  end
  return found
end

local function host_name(authority)
  local name = string.gsub(authority, ":%d*$", "")
  return string.lower(name)
end

local function query_values(path, name)
  local found = {}
  local mark = find(path, "?", 1, true)
  local at, last = (mark or #path) + 1, #path + 1
  while at <= last do
    local ending = find(path, "&", at, true) or last
    local equals = find(path, "=", at, true)
    local stop = equals and equals < ending and equals or ending
    if sub(path, at, stop - 1) == name then found[#found + 1] = sub(path, stop + 1, ending - 1) end
    at = ending + 1
  end
  return found
end

local function is_reserved(path)
  local slash = find(path, "/", 2, true)
  local first = sub(path, 2, (slash or #path + 1) - 1)
  if reserved[first] then return true end
  if slash and slash < #path then return false end
  local _, _, bare = find(first, "^(.*)%.[^.]*$")
  return reserved[bare or ""] or false
end

-- extraction.py

-- The value of a part, and whether there are more of them.
local function value_of(condition, ask)
  local part = condition.part
  if part == "path" then return ask("path") end
  if part == "header" then
    local value = ask(condition.name)
    if value == "" then return nil end
    return value
  end
  if part == "method" then return ask(":method") or "" end
  if part == "host" then return ask(":authority") or "" end
  local found
  if part == "query" then
    found = query_values(ask(":path") or "", condition.name)
    if condition.every and #found > 0 then return concat(found, "&") end
  else
    found = cookie_values(ask("cookie") or "", condition.name)
  end
  return found[1], #found > 1
end

local function fill(template, known)
  local only = not template[2] and template[1]
  if only then return type(only) == "table" and known[only[1]] or type(only) == "string" and only or nil end
  local out = {}
  for at, part in ipairs(template) do
    if type(part) == "table" then part = known[part[1]] end
    if not part then return nil end
    out[at] = part
  end
  return concat(out)
end

local function read(rule, known)
  for _, transform in ipairs(rule.transforms) do
    local first, second = transform.inputs[1], transform.inputs[2]
    first = fill(first, known)
    if not first then return nil end
    if second then
      second = fill(second, known)
      if not second then return nil end
    end
    local found
    if transform.type == "match" then
      found = match_text(transform.regex, first)
    else
      found = READERS[transform.type](first, second)
    end
    if not found then return "malformed" end
    if type(found) == "string" then
      known[transform.output] = found
    else
      for name, value in pairs(found) do known[transform.output .. "." .. name] = value end
    end
  end
  for _, name in ipairs(rule.exist) do
    if not known[name] or known[name] == "" then return nil end
  end
  if not rule.keys then return "matched" end
  local texts, some = rule.texts, false
  if not texts then
    texts = {}
    rule.texts = texts -- one request is read at a time
  end
  for at, key in ipairs(rule.keys) do
    local text = fill(key.text, known)
    texts[at] = text or false
    some = some or text ~= nil
  end
  if not some then return nil end
  return "keys", texts
end

-- Most differ in the second character, and looking at that makes no string.
local function begins(value, start)
  return byte(value, 2) == (byte(start, 2) or byte(value, 2)) and sub(value, 1, #start) == start
end

local function extract(rule, ask)
  local known, passed = nil, nil
  for _, condition in ipairs(rule.conditions) do
    local value, more = value_of(condition, ask)
    if not value then return nil end
    if more then
      passed = passed or "ambiguous"
    elseif condition.unreserved and is_reserved(value) then
      return nil
    elseif #value > MAX_TEXT then
      if not condition.by_name then return nil end
      passed = passed or "malformed"
    else
      local start = condition.starts
      if start and not begins(value, start) then return nil end
      local groups = match_text(condition.regex, value)
      if condition.inverse then groups = not groups and NONE or nil end
      if not groups then return nil end
      if groups ~= NONE then
        if known then
          for name, text in pairs(groups) do known[name] = text end
        else
          known = groups
        end
      end
      if condition.kept_as then
        known = known or {}
        known[condition.kept_as] = condition.part == "host" and host_name(value) or value
      end
    end
  end
  if passed then return passed end
  return read(rule, known or {})
end

-- Each part of the request is fetched from Envoy once: a call into Envoy costs as much as a hundred steps here.
-- "path" is the path without its query.
local headers, fetched

local function ask(name)
  local value = fetched[name]
  if value ~= nil then return value or nil end
  if name == "path" then
    value = headers:getAtIndex(":path", 0) or ""
    local mark = find(value, "?", 1, true)
    if mark then value = sub(value, 1, mark - 1) end
  else
    local count = headers:getNumValues(name)
    if count == 1 then
      value = headers:getAtIndex(name, 0)
    elseif count > 1 then
      local all = {}
      for at = 1, count do all[at] = headers:getAtIndex(name, at - 1) end
      value = concat(all, ",")
    end
  end
  fetched[name] = value or false
  return value
end

-- The owner of all of a key's values, as owner_of gives it for one; "ambiguous" where there are several.
local function owner_of_all(rule, key, text)
  local found, count, waiting = NOBODY, 0, false
  for _ in string.gmatch(text, "[^ ]+") do
    count = count + 1
    if count > MAX_VALUES then return "ambiguous" end
  end
  for value in string.gmatch(text, "[^ ]+") do
    if not lookups then return nil end
    local owner, will_ask = owner_of(rule, key, value)
    if not owner then
      if not will_ask then return nil end
      waiting = true
    elseif owner ~= NOBODY then
      if found ~= NOBODY and found ~= owner then found = "ambiguous" else found = owner end
    end
  end
  if waiting then return nil, true end
  return found
end

-- Where the route table has an end for a key, by its text. Only what leads somewhere is kept: clients write texts.
local function end_of(rule, at, key, text)
  local led = key.led
  if not led then
    led = {}
    key.led = led
  end
  local found = led[text]
  if not found and ends[key.ends][text] then
    found = rule.name .. "/" .. at .. ":" .. text
    led[text] = found
  end
  return found
end

-- What the route table is told of a rule, and whether that is where the request ends: by the first key that leads
-- to a cell. What comes after it is nobody's question.
local function settle(rule, texts)
  local named, asking = false, false
  for at, key in ipairs(rule.keys) do
    local text = texts[at]
    if text and key.bucket then
      local owner, will_ask = NOBODY, nil
      if text ~= "" then
        if key.many then
          owner, will_ask = owner_of_all(rule, key, text)
        else
          if not lookups then return "undecided" end
          owner, will_ask = owner_of(rule, key, text)
        end
      end
      if owner == "ambiguous" then return asking and "asking" or owner end
      if not owner then
        if not will_ask then return "undecided" end
        asking = true -- and go on, to ask for all at once
      elseif owner ~= NOBODY then
        named = true
        local found = not asking and end_of(rule, at, key, owner)
        if found then return found, true end
      end
    elseif text then
      named = true
      local found = not asking and end_of(rule, at, key, text)
      if found then return found, true end
    end
  end
  if asking then return "asking" end
  return named and "unknown" or "not_found"
end

-- fence_routes.py: in a sidecar, what the virtual host's metadata says of a name that is no more, or hardly, here.
-- Envoy copies all of the metadata for each look at it, so it is taken over once: other names are another program.
local names

local function barred(handle, ask)
  if not names then
    names = {}
    for name, bar in pairs(handle:virtualHost():metadata()) do names[name] = bar end
  end
  for _, rule in ipairs(rules) do
    local outcome, texts = extract(rule, ask)
    for at, key in ipairs(outcome == "keys" and rule.keys or NONE) do
      if texts[at] and key.bucket then
        for value in string.gmatch(texts[at], key.many and "[^ ]+" or ".+") do
          local name = key.kind .. value
          local bar = names[name]
          if bar then return bar, name end
        end
      end
    end
  end
end

local READS = { GET = true, HEAD = true, OPTIONS = true }

-- True where the request was answered here: its owner is in another cell, or is leaving and must not be written for.
local function refused(handle, ask)
  local bar, name = barred(handle, ask)
  if not bar then return false end
  local moving = string.match(bar, "^moving (.*)$")
  if moving and READS[ask(":method")] then return false end
  handle:respond({
    [":status"] = moving and "423" or "421",
    ["retry-after"] = "1",
    ["content-type"] = "text/plain; charset=utf-8",
    -- Of whom is leaving nobody is told where to: an edge would ask for it again, here.
    [fenced] = not moving and bar .. "; claim=" .. quoted(name) or nil,
  }, moving and "This is being moved to another cell. Try again in a moment.\n"
    or "This is in another cell now. Try again.\n")
  return true
end

local function decide(handle, version, told)
  headers, fetched = handle:headers(), {}
  if fenced then
    if refused(handle, ask) then return end
    handle:streamInfo():filterState():set("cellplane.keys", "envoy.string", "read")
    handle:clearRouteCache()
    return
  end
  look(handle, told)
  local state = told and handle:streamInfo():filterState() -- an object of Envoy's, which most have no need of
  local passed, ended = false, false
  for _, rule in ipairs(rules) do
    local outcome
    if not ended then
      local found
      outcome, found = extract(rule, ask)
      if outcome == "keys" then outcome, ended = settle(rule, found) end
      if ended then
        headers:replace(end_header, outcome)
        if not told then break end
        outcome = nil
      end
    end
    if outcome then
      passed = true
      state = state or handle:streamInfo():filterState()
      state:set(rule.state, "envoy.string", outcome)
    elseif told then
      state:set(rule.state, "envoy.string", "over") -- whatever was said of it before
    end
  end
  if not ended then headers:replace(end_header, "/") end
  if passed then
    headers:replace(passed_header, "passed")
  elseif told then
    headers:remove(passed_header)
  end
  local claims = question()
  if claims then
    local metadata = handle:streamInfo():dynamicMetadata()
    metadata:set("cellplane.asked", "version", version)
    metadata:set("cellplane.asked", "claims", claims)
  end
  handle:clearRouteCache()
end

-- The second time, behind ext_proc: what it said is taken in, and everything decided again with it.
-- Rules before the one that asked have been passed over, and counted, and are not to be counted twice.
local function decide_again(handle, asked, rule)
  local state = handle:streamInfo():filterState()
  for _, name in ipairs(order) do
    if name == rule then break end
    state:set("cellplane.passed." .. name, "envoy.string", "yes")
  end
  local told = handle:streamInfo():dynamicMetadata():get("cellplane.told")
  decide(handle, nil, learn(asked, told and told.owners, handle:timestamp()))
end

local BODILESS = { GET = true, HEAD = true, OPTIONS = true, DELETE = true }

-- Whether all of the request's body is kept. One of unknown length could outgrow that while it is tried again.
local function replayable(handle, most)
  local headers = handle:requestHeaders()
  local length = tonumber(headers:get("content-length") or "")
  if length then return length <= most end
  return BODILESS[headers:get(":method")]
end

-- Upstream of a cell that refused: where the owner is now. The retry goes there, and memory learns it; a second
-- refusal is the client's, and so is what nobody of ours said.
local function moved(handle, name, most)
  local headers, state = handle:headers(), handle:streamInfo():filterState()
  local cell, claim = string.match(headers:get(name), "^cell%-(%d+); owner=%u+/%d+; epoch=%d+; claim=(%S+)$")
  if headers:get(":status") ~= "421" or not cell or state:get("cellplane.moved")
    or not replayable(handle, most) then
    headers:remove(name)
    return
  end
  state:set("cellplane.moved", "envoy.string", cell)
  if lookups then relearn(unquoted(claim), cell, handle:timestamp()) end
end

return decide, decide_again, {
  checksum = checksum, from_base36 = from_base36, from_base64 = from_base64, from_base64url = from_base64url,
  parse_token = parse_token, parse_payload = parse_payload, json_fields = json_fields,
  basic_fields = basic_fields, jwt_fields = jwt_fields, registry_scopes = registry_scopes, match_text = match_text,
  cookie_values = cookie_values, query_values = query_values, is_reserved = is_reserved, extract = extract,
  slot_of = slot_of, moved = moved,
}
