-- Shared by the scripts that follow it. Amounts are whole numbers up to 2^53, which a double
-- holds exactly. Limits are compared with differences, never with sums that could pass 2^53;
-- usage itself could only by repairs, of instances that together really have 8 PiB.
local RESOURCES = {'instances', 'cpu', 'memory', 'storage'}

local function text(number)
  return string.format('%.0f', number)
end

-- Four numbers of ARGV, from a place on.
local function numbers(from)
  return {tonumber(ARGV[from]), tonumber(ARGV[from + 1]), tonumber(ARGV[from + 2]), tonumber(ARGV[from + 3])}
end

-- The four fields of a hash; where there is none, the default.
local function amounts(key, default)
  local found = redis.call('HMGET', key, unpack(RESOURCES))
  local result = {}
  for i = 1, 4 do
    result[i] = tonumber(found[i]) or default[i]
  end
  return result
end

-- A reservation is "instances cpu memory storage created reserved": amounts, then when it was
-- first and last reserved, in milliseconds.
local function parse(reservation)
  local result = {0, 0, 0, 0, 0, 0}
  if reservation then
    local i = 1
    for word in string.gmatch(reservation, '%d+') do
      result[i] = tonumber(word)
      i = i + 1
    end
  end
  return result
end

local function milliseconds()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- What is in the way of holding `asked` instead of `held`. Only growth can be: what shrinks
-- succeeds also where the limits were lowered below what is in use.
local function shortages(limits, usage, held, asked)
  local found = {}
  for i = 1, 4 do
    if asked[i] > held[i] and asked[i] > limits[i] - (usage[i] - held[i]) then
      for _, item in ipairs({RESOURCES[i], text(limits[i]), text(usage[i]), text(held[i]), text(asked[i])}) do
        table.insert(found, item)
      end
    end
  end
  return found
end

-- Writes the reservation of an instance in place of the old one; `asked` nil removes it.
local function replace(usage_key, reservations_key, instance, usage, held, asked)
  if not asked then
    redis.call('HDEL', reservations_key, instance)
    if redis.call('EXISTS', reservations_key) == 0 then
      redis.call('DEL', usage_key)
      return ''
    end
  end
  local new = asked or {0, 0, 0, 0}
  for i = 1, 4 do
    redis.call('HSET', usage_key, RESOURCES[i], text(math.max(0, usage[i] - held[i] + new[i])))
  end
  if not asked then
    return ''
  end
  local now = milliseconds()
  local created = held[5] > 0 and held[5] or now
  local written = {}
  for i = 1, 4 do
    written[i] = text(asked[i])
  end
  local reservation = table.concat(written, ' ') .. ' ' .. text(created) .. ' ' .. text(now)
  redis.call('HSET', reservations_key, instance, reservation)
  return reservation
end
