-- Takes back the ranges of an instance; with ARGV[2], only the one that starts there.
--
-- KEYS[1]  index: hash of first port -> JSON of the allocation
-- ARGV[1]  instance id
-- ARGV[2]  first port, or 0 for whatever it has
--
-- Returns the first port of each.

local released = {}
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local port = tonumber(ARGV[2])
  if cjson.decode(entries[i + 1]).instance_id == ARGV[1]
      and (port == 0 or port == tonumber(entries[i])) then
    redis.call('HDEL', KEYS[1], entries[i])
    table.insert(released, tonumber(entries[i]))
  end
end
return released
