-- JSON (RFC 8259) for the gateway: decoding request bodies to check them, encoding errors.
--
-- Stricter than Envoy's transcoder, which accepts single quotes, bare keys and trailing commas.

local json = {}

json.null = setmetatable({}, { __tostring = function() return "null" end })

local OBJECT, ARRAY = {}, {}

local WORDS = { t = "true", f = "false", n = "null" }
local VALUES = { ["true"] = true, ["false"] = false, null = json.null }

-- As deep as protobuf's own parsers go; the recursion below must end somewhere.
local MAX_DEPTH = 100

local ESCAPES = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/",
  b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

function json.is_object(value) return getmetatable(value) == OBJECT end
function json.is_array(value) return getmetatable(value) == ARRAY end

local function fail(text, at, what)
  local before = text:sub(1, at - 1)
  local _, breaks = before:gsub("\n", "")
  local column = #before:match("[^\n]*$") + 1
  error({ json = what .. " at line " .. (breaks + 1) .. ", column " .. column }, 0)
end

local function utf8(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then
    return string.char(0xC0 + math.floor(code / 0x40), 0x80 + code % 0x40)
  end
  if code < 0x10000 then
    return string.char(
      0xE0 + math.floor(code / 0x1000), 0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  end
  return string.char(
    0xF0 + math.floor(code / 0x40000), 0x80 + math.floor(code / 0x1000) % 0x40,
    0x80 + math.floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
end

-- Returns the string that begins behind the quote at `start - 1`, and where to go on.
local function read_string(text, start)
  local parts, at = {}, start
  while true do
    local stop = text:find('["\\%c]', at)
    if not stop then fail(text, start - 1, "a string that does not end") end
    parts[#parts + 1] = text:sub(at, stop - 1)
    local found = text:sub(stop, stop)
    if found == '"' then return table.concat(parts), stop + 1 end
    if found == "\127" then
      parts[#parts + 1] = found
      at = stop + 1
    elseif found ~= "\\" then
      fail(text, stop, "a control character in a string")
    else
      local kind = text:sub(stop + 1, stop + 1)
      if kind == "u" then
        local code = tonumber(text:match("^%x%x%x%x", stop + 2) or "", 16)
        if not code then fail(text, stop, "a bad \\u escape") end
        at = stop + 6
        if code >= 0xD800 and code < 0xDC00 then
          local low = tonumber(text:match("^\\u(%x%x%x%x)", at) or "", 16)
          if not low or low < 0xDC00 or low > 0xDFFF then
            fail(text, stop, "half a surrogate pair")
          end
          code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00)
          at = at + 6
        elseif code >= 0xDC00 and code < 0xE000 then
          fail(text, stop, "half a surrogate pair")
        end
        parts[#parts + 1] = utf8(code)
      else
        if not ESCAPES[kind] then fail(text, stop, "an unknown escape") end
        parts[#parts + 1] = ESCAPES[kind]
        at = stop + 2
      end
    end
  end
end

local read_value

local function skip(text, at) return text:find("[^ \t\r\n]", at) or #text + 1 end

local function read_object(text, at, depth)
  local object = setmetatable({}, OBJECT)
  at = skip(text, at)
  if text:sub(at, at) == "}" then return object, at + 1 end
  while true do
    if text:sub(at, at) ~= '"' then fail(text, at, "a field name in double quotes expected") end
    local key
    key, at = read_string(text, at + 1)
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then fail(text, at, "':' expected") end
    object[key], at = read_value(text, skip(text, at + 1), depth + 1)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "}" then return object, at + 1 end
    if mark ~= "," then fail(text, at, "',' or '}' expected") end
    at = skip(text, at + 1)
  end
end

local function read_array(text, at, depth)
  local array = setmetatable({}, ARRAY)
  at = skip(text, at)
  if text:sub(at, at) == "]" then return array, at + 1 end
  while true do
    array[#array + 1], at = read_value(text, at, depth + 1)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "]" then return array, at + 1 end
    if mark ~= "," then fail(text, at, "',' or ']' expected") end
    at = skip(text, at + 1)
  end
end

local function read_number(text, at)
  local number = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  local whole = number and number:match("^-?(%d+)")
  local valid = number and tonumber(number) and not number:find("%.$") and not number:find("%.[eE]")
  if not valid or (whole:sub(1, 1) == "0" and #whole > 1) then fail(text, at, "a value expected") end
  return tonumber(number), at + #number
end

function read_value(text, at, depth)
  if depth > MAX_DEPTH then fail(text, at, "nested too deeply") end
  local mark = text:sub(at, at)
  if mark == "{" then return read_object(text, at + 1, depth) end
  if mark == "[" then return read_array(text, at + 1, depth) end
  if mark == '"' then return read_string(text, at + 1) end
  local word = WORDS[mark]
  if not word then return read_number(text, at) end
  if text:sub(at, at + #word - 1) ~= word then fail(text, at, "a value expected") end
  return VALUES[word], at + #word
end

-- Returns the value of a text, or nil and what is wrong with it.
function json.decode(text)
  local ok, value = pcall(function()
    local found, at = read_value(text, skip(text, 1), 1)
    at = skip(text, at)
    if at <= #text then fail(text, at, "something behind the end") end
    return found
  end)
  if ok then return value end
  if type(value) == "table" and value.json then return nil, value.json end
  error(value, 0)
end

local function encode_string(text)
  return '"' .. text:gsub('[%c"\\]', function(found)
    if found == "\127" then return found end
    if found == '"' or found == "\\" then return "\\" .. found end
    return string.format("\\u%04x", found:byte())
  end) .. '"'
end

-- Encodes a string, boolean, number, array of pairs ({"name", value}, in that order, as an
-- object marked by json.object), or list.
function json.encode(value)
  if type(value) == "string" then return encode_string(value) end
  if type(value) ~= "table" or value == json.null then return tostring(value) end
  local parts = {}
  if value.pairs then
    for _, pair in ipairs(value.pairs) do
      parts[#parts + 1] = encode_string(pair[1]) .. ":" .. json.encode(pair[2])
    end
    return "{" .. table.concat(parts, ",") .. "}"
  end
  for _, item in ipairs(value) do parts[#parts + 1] = json.encode(item) end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- Marks a list of {name, value} pairs as an object whose order is kept.
function json.object(pairs_in_order) return { pairs = pairs_in_order } end

return json
