-- The protobuf wire format: enough to read descriptors and to write an error detail.

local wire = {}

local function varint(data, at)
  local value, scale = 0, 1
  while true do
    local byte = data:byte(at)
    if not byte then error("protobuf data that ends too early") end
    value = value + (byte % 128) * scale
    at = at + 1
    if byte < 128 then return value, at end
    scale = scale * 128
  end
end

-- Iterates over the fields of a message: number and value, a number for varints and a string
-- of bytes for everything that has a length. Fixed-width fields are passed over.
function wire.fields(data)
  local at = 1
  return function()
    while at <= #data do
      local tag, value
      tag, at = varint(data, at)
      local number, kind = math.floor(tag / 8), tag % 8
      if kind == 0 then
        value, at = varint(data, at)
        return number, value
      elseif kind == 2 then
        local length
        length, at = varint(data, at)
        value, at = data:sub(at, at + length - 1), at + length
        return number, value
      elseif kind == 5 then
        at = at + 4
      elseif kind == 1 then
        at = at + 8
      else
        error("protobuf data of an unknown kind")
      end
    end
  end
end

local function put_varint(value)
  local bytes = {}
  while value >= 128 do
    bytes[#bytes + 1] = string.char(value % 128 + 128)
    value = math.floor(value / 128)
  end
  bytes[#bytes + 1] = string.char(value)
  return table.concat(bytes)
end

-- Encodes a field: a number as varint, a string with its length; nothing for an empty string.
function wire.field(number, value)
  if type(value) == "number" then return put_varint(number * 8) .. put_varint(value) end
  if value == "" then return "" end
  return put_varint(number * 8 + 2) .. put_varint(#value) .. value
end

return wire
