-- Writes limits of a namespace's own, unless they changed since they were read.
-- KEYS limits usage reservations; ARGV whether to compare ('1' or '0'), the 4 limits expected
-- ('' where the default), then resource and limit by turns ('' for the default again).
-- Returns 1, or 0 where they changed.
if ARGV[1] == '1' then
  local current = redis.call('HMGET', KEYS[1], unpack(RESOURCES))
  for i = 1, 4 do
    if (current[i] or '') ~= ARGV[1 + i] then
      return 0
    end
  end
end
for i = 6, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
redis.call('HDEL', KEYS[1], 'updated')
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'updated', text(milliseconds()))
end
return 1
