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

-- Slots in use. A range from another base port (the configuration changed) blocks both slots
-- it reaches into.
local used = {}
local given_up
local entries = redis.call('HGETALL', index)
for i = 1, #entries, 2 do
  local port = tonumber(entries[i])
  if cjson.decode(entries[i + 1]).instance_id == instance_id then
    if port ~= unusable then
      return {'HELD', port, entries[i + 1]}
    end
    given_up = entries[i] -- but only for another
  else
    local slot = (port - base) / size
    used[math.floor(slot)] = true
    used[math.ceil(slot)] = true
  end
end

local avoid = {[unusable] = true}
for i = 8, #ARGV do
  avoid[tonumber(ARGV[i])] = true
end

local function claim(port)
  if given_up then
    redis.call('HDEL', index, given_up)
  end
  redis.call('HSET', index, string.format('%d', port), ARGV[7])
  return {'CLAIMED', port, ARGV[7]}
end

if wanted > 0 then
  if used[(wanted - base) / size] then
    return {'TAKEN', wanted, ''}
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
    if not avoid[port] then
      return claim(port)
    end
    avoided = avoided + 1
  end
end
return {'EXHAUSTED', avoided, ''}
