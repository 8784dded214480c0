-- Gives an instance a port range: the one it has, the one it asks for, or the lowest free one.
--
-- KEYS[1]  index: hash of first port -> JSON of the allocation
-- ARGV[1]  instance id
-- ARGV[2]  base port, ARGV[3] range size, ARGV[4] number of ranges
-- ARGV[5]  first port it wants, 0 for any
-- ARGV[6]  first port of a range it has and cannot use, 0 for none; kept where there is no other
-- ARGV[7]  JSON of the allocation, but for the port
-- ARGV[8…] first ports of ranges that cannot be used now
--
-- Returns {verdict, port, JSON}: HELD, CLAIMED, TAKEN (by another), UNUSABLE or EXHAUSTED.

local index = KEYS[1]
local instance_id = ARGV[1]
local base, size, capacity = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local wanted, unusable = tonumber(ARGV[5]), tonumber(ARGV[6])

-- Slots in use. Ranges of another plan (the configuration changed) are where they are and as
-- large as they are: each blocks every slot it reaches into.
local used = {}
local ranges = {}
local given_up

local function block(slots, first, length)
  local low = math.max(0, math.floor((first - base) / size))
  local high = math.min(capacity - 1, math.floor((first + length - 1 - base) / size))
  for slot = low, high do
    slots[slot] = true
  end
end

local entries = redis.call('HGETALL', index)
for i = 1, #entries, 2 do
  local port, entry = tonumber(entries[i]), cjson.decode(entries[i + 1])
  if entry.instance_id == instance_id then
    if port ~= unusable then
      return {'HELD', port, entries[i + 1]}
    end
    given_up = entries[i] -- but only for another
  else
    local length = entry.size or size
    block(used, port, length)
    table.insert(ranges, {port, port + length - 1})
  end
end

local avoid = {[unusable] = true}
for i = 8, #ARGV do
  avoid[tonumber(ARGV[i])] = true
end
local avoided_slots = {}
for port in pairs(avoid) do
  if port > 0 then
    block(avoided_slots, port, size)
  end
end

local function claim(port)
  if given_up then
    redis.call('HDEL', index, given_up)
  end
  redis.call('HSET', index, string.format('%d', port), ARGV[7])
  return {'CLAIMED', port, ARGV[7]}
end

if wanted > 0 then
  local last = wanted + (cjson.decode(ARGV[7]).size or size) - 1
  for _, range in ipairs(ranges) do
    if range[1] <= last and wanted <= range[2] then
      return {'TAKEN', wanted, ''}
    end
  end
  if avoid[wanted] then
    return {'UNUSABLE', wanted, ''}
  end
  return claim(wanted)
end

local avoided = 0
for slot = 0, capacity - 1 do
  local port = base + slot * size
  if not used[slot] then
    if not avoided_slots[slot] then
      return claim(port)
    end
    avoided = avoided + 1
  end
end
return {'EXHAUSTED', avoided, ''}
